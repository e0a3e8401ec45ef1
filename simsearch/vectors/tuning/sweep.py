"""Search settings of one index, from cheap to dear: what each returns, how fast, and how fast over more rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simsearch.vectors.index import Index
from simsearch.vectors.search import DEFAULT, Search
from simsearch.vectors.speed import queries_per_second
from simsearch.vectors.tuning.candidates import Candidate
from simsearch.vectors.tuning.truth import Questions, Z, interval

_STEPS = tuple(2**power for power in range(12))
_FACTORS = (1, 2, 4, 8, 16, 32, 64, 128)
_LEAST_EF = 12  # above the ten that are asked for and the row itself: FAISS looks at no fewer
SECONDS = 0.1  # of timing a point: a sweep measures dozens
_MARGIN = 1.5  # times the half width of the interval: other queries must find the target reached too

_LIST_SECONDS = 2e-7  # what visiting a list costs, however few rows it has
_LEAST_SHARE = 0.1  # of a search that is scanning: over a small sample less than this cannot be told from none
_HNSW_GROWTH = 0.25  # time of a search over rows: between the logarithm and the caches' misses

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


def measure(index: Index, questions: Questions, search: Search, *, exact_index: bool = False, z: float = Z) -> Point:
    """Return the point of an index at these settings; `exact_index`: it returns the exact answer by its nature.

    `z`: half the width of the interval, in standard errors.
    """
    k = questions.k + int(bool((questions.own >= 0).any()))
    answer = lambda: index.search(questions.embeddings, k, search)  # noqa: E731 - what is timed
    qps, (scores, rows, _) = queries_per_second(answer, len(questions.embeddings), seconds=SECONDS)
    shares = questions.shares(scores, rows, exact=index.scores_are_exact)
    recall = float(shares.mean())
    low, high = (1.0, 1.0) if exact_index and recall > 0.9999 else interval(shares, z)
    return Point(search, recall, low, high, qps)


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


def entry(factory: str, stage: str, rows: int, size: int, build_seconds: float, point: Point) -> dict[str, Any]:
    """Return a line of the table."""
    return {
        "factory": factory,
        **point.search.given(),
        "stage": stage,
        "rows": rows,
        "ann_recall": round(point.recall, 6),
        "low": round(point.low, 6),
        "high": round(point.high, 6),
        "qps": round(point.qps, 1),
        "bytes": size,
        "build_seconds": round(build_seconds, 3),
        "pareto": False,
        "chosen": False,
    }


def mark_pareto(table: list[dict[str, Any]]) -> None:
    """Mark, within each stage, the lines that no other line beats in both recall and speed."""
    for stage in {line["stage"] for line in table}:
        best = -1.0
        lines = [line for line in table if line["stage"] == stage]
        for line in sorted(lines, key=lambda line: (-line["qps"], -line["ann_recall"])):
            line["pareto"] = line["ann_recall"] > best
            best = max(best, line["ann_recall"])


def search_seconds(
    candidate: Candidate, points: Sequence[Point], point: Point, growth: float, coarse: float = 0.0
) -> float:
    """Return what a query would take at the settings of `point` over `growth` times the rows that it was measured over.

    Scanning grows with the rows; finding the lists (`coarse` seconds), making tables of codes and scoring candidates
    again do not. Which share is which, the `points` that were measured tell.
    """
    seconds = 1 / point.qps
    if candidate.is_graph:
        return float(seconds * growth**_HNSW_GROWTH)
    scanning = _scanning_seconds(candidate, points, point, coarse)
    return seconds - scanning + scanning * growth


def _scanning_seconds(candidate: Candidate, points: Sequence[Point], point: Point, coarse: float) -> float:
    """Return the least squares of seconds = fixed + a nprobe + b k_factor, each point by its relative error."""
    seconds = 1 / point.qps
    nprobe, k_factor = (np.array([getattr(p.search, key) or 1 for p in points]) for key in ("nprobe", "k_factor"))
    varying = [axis for axis in (nprobe, k_factor) if len(set(axis.tolist())) > 1]
    most = max(0.0, seconds - coarse) if candidate.nlist else seconds
    if (candidate.nlist and len(set(nprobe.tolist())) == 1) or len(points) <= len(varying) or not varying:
        visits = _LIST_SECONDS * (point.search.nprobe or 1) if candidate.nlist else 0.0
        return max(0.0, most - visits)
    qps = np.array([p.qps for p in points])
    columns = np.stack([np.ones(len(points)), *varying], axis=1)
    found = np.linalg.lstsq(columns * qps[:, None], np.ones(len(points)), rcond=None)[0]
    scanning = found[1] * (point.search.nprobe or 1) if candidate.nlist else found[0]
    return float(np.clip(scanning, min(_LEAST_SHARE * seconds, most), most))


def graph_build_seconds(sample: int, rows: int, seconds: float) -> float:
    """Return what building a graph over `rows` would take: insertion is a search."""
    return float(seconds * (rows / sample) ** (1 + _HNSW_GROWTH / 2))
