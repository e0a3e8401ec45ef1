"""Paired differences, query by query, with interval and p-value; those of the recipe from its baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Numbers
from simsearch.evaluation.comparison import BASELINES, HEADLINE, Comparison
from simsearch.evaluation.figures import CLAIM, heads
from simsearch.evaluation.measured import SystemResult
from simsearch.statistics.intervals import RESAMPLES, percentile_intervals
from simsearch.statistics.significance import FLIPS, sign_flip_test


@dataclass(frozen=True)
class Paired:
    """A mean paired difference over `n` queries, its 95 % interval (low, high) and its two-sided p-value."""

    n: int
    difference: float
    interval: tuple[float, float]
    p_value: float


def paired_differences(
    columns: Numbers, *, resamples: int = RESAMPLES, flips: int = FLIPS, seed: int = 0
) -> list[Paired | None]:
    """Return for each column of paired differences (Q, C), NaN = no pair, what is known of its mean; None if nothing.

    The interval is the percentile bootstrap over queries, the p-value that of the sign-flip permutation test.
    """
    intervals = percentile_intervals(columns, resamples=resamples, seed=seed)
    found: list[Paired | None] = []
    for column, (low, high) in zip(columns.T, intervals.tolist(), strict=True):
        pairs = column[~np.isnan(column)].astype(np.float64)
        if len(pairs):
            p_value = sign_flip_test(pairs, flips=flips, seed=seed)
            found.append(Paired(len(pairs), float(pairs.mean()), (low, high), p_value))
        else:
            found.append(None)
    return found


def compare_systems(results: Mapping[str, SystemResult], ks: Sequence[int]) -> list[Comparison]:
    """Return recipe/index less each baseline in the headline figures, boundary error less that of raw-l2 first.

    Empty without a boundary.
    """
    recipe = results.get(HEADLINE, SystemResult())
    places = sorted(heads(ks), key=lambda place: (place.key != CLAIM, place.scope == "all"))
    found = [(place, name) for place in places if place.k for name in BASELINES if name in results]
    if not found or places[0] not in recipe.figures:
        return []
    columns = [recipe.values(*place).astype(np.float64) - results[name].values(*place) for place, name in found]
    return [
        Comparison(
            *place, HEADLINE, name, pair.n, pair.difference, pair.interval, pair.p_value, "sign-flip permutation", 1
        )
        for (place, name), pair in zip(found, paired_differences(np.stack(columns, axis=1)), strict=True)
        if pair is not None
    ]
