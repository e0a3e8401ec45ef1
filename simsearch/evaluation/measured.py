"""The figures of one system, measured: means and intervals by place, and the values of the single queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np

from simsearch.arrays import Flags, Integers, Labels, Numbers
from simsearch.evaluation.figures import FIGURES, Place, all_places
from simsearch.evaluation.retrieval import Block
from simsearch.evaluation.verification import Verification
from simsearch.statistics.intervals import percentile_intervals, wilson_interval

_LEAST_QUERIES = 2  # one query says nothing about others


@dataclass(frozen=True)
class Measured:
    """A figure: mean, 95 % interval (low, high), and values (Q,), NaN for a query that cannot be answered.

    Over pairs of queries it has neither interval nor values.
    """

    mean: float | None
    values: Numbers | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class SystemResult:
    """The figures of one system by their places; one that does not apply is missing. Empty without labels.

    `verification` is what its pairs of queries showed, and added by the caller.
    """

    figures: Mapping[Place, Measured] = field(default_factory=dict)
    verification: Verification | None = None

    def mean(self, key: str, k: float | None = None, scope: str = "all") -> float | None:
        """Return a mean, None where the figure does not apply."""
        found = self.figures.get(Place(key, k, scope))
        return None if found is None else found.mean

    def values(self, key: str, k: float | None = None, scope: str = "all") -> Numbers:
        """Return the values of the single queries, (Q,). Raises KeyError where the figure does not apply."""
        values = self.figures[Place(key, k, scope)].values
        assert values is not None, key
        return values

    def verified(self, found: Verification | None) -> SystemResult:
        """Return the result with the figures over pairs of queries."""
        added: dict[Place, Measured] = {}
        for figure in FIGURES:
            if found is not None and figure.pairs is not None:
                value = figure.pairs(found)
                by_rate = value if isinstance(value, Mapping) else {None: value}
                added |= {Place(figure.key, rate): Measured(mean) for rate, mean in by_rate.items()}
        return SystemResult({**self.figures, **added}, found)

    def tree(self, ks: Sequence[int], leaf: Callable[[Measured], Any]) -> dict[str, Any]:
        """Return `leaf` of every figure, None for one that is missing, as report.json has them: by `Place.steps`."""
        found: dict[str, Any] = {}
        for place in all_places(ks):
            if place.figure.by == "rate" and place not in self.figures:
                found[place.key] = None
                continue
            *steps, last = place.steps
            node = reduce(lambda node, step: node.setdefault(step, {}), steps, found)
            node[last] = leaf(self.figures[place]) if place in self.figures else None
        return found


def evaluate_system(
    neighbours: Iterable[tuple[slice, Integers]],
    query_labels: Labels,
    gallery_labels: Labels,
    *,
    relevant: Integers,
    boundary: Flags | None,
    ks: Sequence[int],
    deep: bool,
    most: int | None = None,
) -> SystemResult:
    """Return the figures of one system from `neighbours`: (slice of the queries, rows (B, n) best first) blocks.

    Each is a mean over the answerable queries (`relevant` R > 0), over boundary queries over those among them. The deep
    ones need n >= max R, and are measured where `deep` is said; the others look at the first `most` at most, beyond
    which rows may be a query's own. Intervals are left to `with_intervals`.
    """
    wanted = [place for place in all_places(ks) if place.scope == "all" and (deep or not place.figure.deep)]
    columns: dict[Place, Numbers] = {}
    for span, rows in neighbours:
        block = Block(gallery_labels[rows] == query_labels[span][:, None], relevant[span], most)
        for place in wanted:
            if place.figure.values is None:
                continue
            part = place.figure.values(block, int(place.k or 0))
            if place not in columns:
                columns[place] = np.full(len(query_labels), np.nan, dtype=part.dtype)
            columns[place][span] = part
    figures: dict[Place, Measured] = {}
    for place, column in columns.items():
        column[relevant == 0] = np.nan
        figures[place] = Measured(mean_of(column), column)
        if boundary is not None and "boundary" in place.figure.scopes:
            near = np.where(boundary, column, np.nan)
            figures[place._replace(scope="boundary")] = Measured(mean_of(near), near)
    return SystemResult(figures)


def mean_of(values: Numbers) -> float | None:
    """Return the mean of the values that are known, None where none is."""
    given = values[~np.isnan(values)]
    return float(given.mean(dtype=np.float64)) if len(given) else None


def with_intervals(results: Mapping[str, SystemResult], ks: Sequence[int]) -> dict[str, SystemResult]:
    """Return the results with the 95 % interval over queries of every figure, in one pass: Wilson's, or the bootstrap.

    None for figures over pairs of queries, which are not means over queries, and of fewer than two queries.
    """
    found: dict[tuple[str, Place], tuple[float, float]] = {}
    drawn: dict[tuple[str, Place], Numbers] = {}
    for name, result in results.items():
        for place in all_places(ks):
            values = result.figures[place].values if place in result.figures else None
            count = 0 if values is None else int((~np.isnan(values)).sum())
            if values is None or count < _LEAST_QUERIES:
                continue
            if place.hits == "right":
                found[name, place] = wilson_interval(float(np.nansum(values, dtype=np.float64)), count)
            elif place.hits == "wrong":
                low, high = wilson_interval(count - float(np.nansum(values, dtype=np.float64)), count)
                found[name, place] = 1 - high, 1 - low
            elif place.figure.interval == "bootstrap":
                drawn[name, place] = values
    if drawn:
        ends = percentile_intervals(np.stack(list(drawn.values()), axis=1)).tolist()
        found |= {key: (low, high) for key, (low, high) in zip(drawn, ends, strict=True)}
    return {
        name: replace(
            result,
            figures={place: replace(one, interval=found.get((name, place))) for place, one in result.figures.items()},
        )
        for name, result in results.items()
    }
