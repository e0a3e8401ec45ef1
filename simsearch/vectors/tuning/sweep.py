"""Search settings of one index, from cheap to dear: what each returns, and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from simsearch.vectors.index import Index
from simsearch.vectors.search import DEFAULT, Search
from simsearch.vectors.tuning.candidates import Candidate
from simsearch.vectors.tuning.truth import Questions, interval

_STEPS = tuple(2**power for power in range(12))
_FACTORS = (1, 2, 4, 8, 16, 32, 64, 128)
_LEAST_EF = 12  # above the ten that are asked for and the row itself: FAISS looks at no fewer
_REPEATS, _REPEAT_SECONDS = 15, 0.1
_MARGIN = 1.5  # times the half width of the interval: other queries must find the target reached too

Axes = dict[str, list[int]]


@dataclass(frozen=True)
class Point:
    """Settings, what they return of the exact first ten (mean, 95 % interval) and queries a second of a batch."""

    search: Search
    recall: float
    low: float
    high: float
    qps: float

    def reaches(self, target: float) -> bool:
        """Return whether other queries may be expected to find the target reached."""
        return self.recall - _MARGIN * (self.recall - self.low) >= target or self.low >= 1.0


def measure(index: Index, questions: Questions, search: Search, *, exact_index: bool = False) -> Point:
    """Return the point of an index at these settings; `exact_index`: it returns the exact answer by its nature."""
    k, seconds = questions.k, []
    extra = int(bool((questions.own >= 0).any()))
    for _ in range(_REPEATS):
        started = time.perf_counter()
        scores, rows, _ = index.search(questions.embeddings, k + extra, search)
        seconds.append(time.perf_counter() - started)
        if sum(seconds) > _REPEAT_SECONDS:
            break
    shares = questions.shares(scores, rows, exact=index.scores_are_exact)
    recall = float(shares.mean())
    low, high = (1.0, 1.0) if exact_index and recall > 0.9999 else interval(shares)
    return Point(search, recall, low, high, len(rows) / min(seconds))


def sweep(
    index: Index,
    candidate: Candidate,
    questions: Questions,
    target: float,
    hopeless: Callable[[list[Point], Point], bool],
    first: Search = DEFAULT,
) -> list[Point]:
    """Return the points that were measured, at least one: step by step dearer until one reaches the target.

    Each step doubles what gains more, lists or candidates to score again; then each is cut back, while the target
    stays reached. `hopeless(points, point)` ends it where a point is already too slow.
    `first`: where a sample reached the target; the walk begins at a quarter of it.
    """
    axes = _axes(candidate, first)
    cheapest = replace(DEFAULT, **{key: steps[0] for key, steps in axes.items()})
    point = measure(index, questions, cheapest, exact_index=index.is_flat)
    points = [point]
    while not point.reaches(target):
        if hopeless(points, point):  # or only a busy moment of the machine
            point = max(point, measure(index, questions, point.search), key=lambda one: one.qps)
            if hopeless(points, point):
                break
        dearer = [measure(index, questions, search) for search in _steps(axes, point.search)]
        points += dearer
        reaching = [one for one in dearer if one.reaches(target)]
        if not dearer or max(one.recall for one in dearer) <= point.recall:
            break
        point = max(reaching, key=lambda one: one.qps) if reaching else max(dearer, key=lambda one: one.recall)
    if point.reaches(target):
        points += _polished(index, questions, target, axes, point)
    return points


def _polished(index: Index, questions: Questions, target: float, axes: Axes, point: Point) -> list[Point]:
    """Return cheaper points around one that reaches, each axis cut back in turn while the target stays reached."""
    points = []
    for key, steps in axes.items():
        now = low = getattr(point.search, key)
        for below in sorted((step for step in steps if step < now), reverse=True):
            low = below
            points.append(measure(index, questions, replace(point.search, **{key: below})))
            if not points[-1].reaches(target):
                break
            point = points[-1]
        high = getattr(point.search, key)
        while high - low > max(1, low // 8):  # the least that reaches and the most that does not
            between = (low + high) // 2
            points.append(measure(index, questions, replace(point.search, **{key: between})))
            if points[-1].reaches(target):
                point, high = points[-1], between
            else:
                low = between
    return points


def _axes(candidate: Candidate, first: Search) -> Axes:
    """Return the settings that a kind has, each with what it may be, ascending."""
    axes: Axes = {}
    if candidate.nlist:
        axes["nprobe"] = [*(step for step in _STEPS if step < candidate.nlist), candidate.nlist]
    if candidate.is_graph:
        axes["efSearch"] = [_LEAST_EF, *(step for step in _STEPS if step > _LEAST_EF)]
    if candidate.refines:
        axes["k_factor"] = list(_FACTORS)
    return {key: [step for step in steps if step >= (getattr(first, key) or 1) / 4] for key, steps in axes.items()}


def _steps(axes: Axes, now: Search) -> list[Search]:
    """Return the settings that are one step dearer, by each axis."""
    found = []
    for key, steps in axes.items():
        dearer = [step for step in steps if step > getattr(now, key)]
        found += [replace(now, **{key: dearer[0]})] if dearer else []
    return found
