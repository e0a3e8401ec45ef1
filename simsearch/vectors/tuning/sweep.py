"""Search settings of one index, from cheap to dear: what each returns, and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from simsearch.vectors.index import Index
from simsearch.vectors.tuning.candidates import Candidate
from simsearch.vectors.tuning.truth import Questions, interval

_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_FACTORS = (1, 2, 4, 8, 16, 32, 64, 128)
_LEAST_EF = 16
_REPEATS, _REPEAT_SECONDS = 5, 0.25
_MARGIN = 1.5  # times the half width of the interval: other queries must find the target reached too

Axes = dict[str, list[int]]


@dataclass(frozen=True)
class Settings:
    """What a search is run with, in FAISS's own spelling; None leaves its default."""

    nprobe: int | None = None
    efSearch: int | None = None
    k_factor: float | None = None

    def given(self) -> dict[str, int | float]:
        """Those that are set."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Point:
    """Settings, what they return of the exact first ten (mean, 95 % interval) and queries a second of a batch."""

    settings: Settings
    recall: float
    low: float
    high: float
    qps: float

    def reaches(self, target: float) -> bool:
        """Whether other queries may be expected to find the target reached."""
        return self.recall - _MARGIN * (self.recall - self.low) >= target or self.low >= 1.0


def measure(index: Index, questions: Questions, settings: Settings, *, exact_index: bool = False) -> Point:
    """Return the point of an index at these settings; `exact_index`: it returns the exact answer by its nature."""
    k, seconds = questions.k, []
    extra = int(bool((questions.own >= 0).any()))
    for _ in range(_REPEATS):
        started = time.perf_counter()
        scores, rows = index.search(questions.embeddings, k + extra, **asdict(settings))
        seconds.append(time.perf_counter() - started)
        if len(seconds) > 1 and sum(seconds) > _REPEAT_SECONDS:
            break
    shares = questions.shares(scores, rows, exact=index.scores_are_exact)
    recall = float(shares.mean())
    low, high = (1.0, 1.0) if exact_index and recall > 0.9999 else interval(shares)
    return Point(settings, recall, low, high, len(rows) / min(seconds))


def sweep(
    index: Index,
    candidate: Candidate,
    questions: Questions,
    target: float,
    hopeless: Callable[[Point], bool],
    first: Settings | None = None,
) -> list[Point]:
    """Return the points that were measured, at least one: step by step dearer until one reaches the target.

    Each step is the one, more lists or more candidates to score again, that gains more; afterwards what lies between
    the last two is tried, and less of the other. `hopeless(point)` ends it where a point is already too slow.
    `first`: where a sample reached the target; the walk begins at half of it.
    """
    axes = _axes(candidate, first or Settings())
    point = measure(
        index, questions, Settings(**{key: steps[0] for key, steps in axes.items()}), exact_index=index.is_flat
    )
    points = [point]
    while not point.reaches(target) and not hopeless(point):
        dearer = [measure(index, questions, settings) for settings in _steps(axes, point.settings)]
        points += dearer
        reaching = [one for one in dearer if one.reaches(target)]
        if reaching:
            point = max(reaching, key=lambda one: one.qps)
        elif dearer and max(one.recall for one in dearer) > point.recall:
            before = point
            point = max(
                dearer, key=lambda one: (one.recall - before.recall) / max(1 / one.qps - 0.8 / before.qps, 1e-9)
            )
        else:
            break
    if point.reaches(target):
        points += _polished(index, questions, target, axes, point)
    return points


def _polished(index: Index, questions: Questions, target: float, axes: Axes, point: Point) -> list[Point]:
    """Return cheaper points around one that reaches, each axis cut back in turn while the target stays reached."""
    points = []
    for key, steps in axes.items():
        while True:
            now = getattr(point.settings, key)
            below = max((step for step in steps if step < now), default=now)
            between = (now + below) // 2
            cheaper = [value for value in {below, between} if value < now]
            tried = [measure(index, questions, replace(point.settings, **{key: value})) for value in cheaper]
            points += tried
            reaching = [one for one in tried if one.reaches(target)]
            if not reaching:
                break
            point = min(reaching, key=lambda one: float(getattr(one.settings, key)))
    return points


def _axes(candidate: Candidate, first: Settings) -> Axes:
    """Return the settings that a kind has, each with what it may be, ascending."""
    axes: Axes = {}
    if candidate.nlist:
        axes["nprobe"] = [*(step for step in _STEPS if step < candidate.nlist), candidate.nlist]
    if candidate.is_graph:
        axes["efSearch"] = [step for step in _STEPS if step >= _LEAST_EF]
    if candidate.refines:
        axes["k_factor"] = list(_FACTORS)
    return {key: [step for step in steps if step >= (getattr(first, key) or 1) / 2] for key, steps in axes.items()}


def _steps(axes: Axes, now: Settings) -> list[Settings]:
    """Return the settings that are one step dearer, by each axis."""
    found = []
    for key, steps in axes.items():
        dearer = [step for step in steps if step > getattr(now, key)]
        found += [replace(now, **{key: dearer[0]})] if dearer else []
    return found
