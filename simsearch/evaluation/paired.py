"""Paired differences, query by query, with interval and p-value; those of the recipe from its baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsearch.arrays import Flags, Numbers
from simsearch.evaluation.retrieval import SystemResult
from simsearch.statistics.intervals import RESAMPLES, percentile_intervals
from simsearch.statistics.significance import FLIPS, sign_flip_test

HEADLINE = "recipe/index"
BASELINES = ("baseline/raw-l2", "baseline/raw-ip", "baseline/cosine")

_LEVEL = 0.05


@dataclass(frozen=True)
class Paired:
    """A mean paired difference over `n` queries, its 95 % interval (low, high) and its two-sided p-value."""

    n: int
    difference: float
    interval: tuple[float, float]
    p_value: float

    @property
    def seen(self) -> bool:
        """Whether it is a difference: the interval leaves out 0, and p is below 0.05."""
        low, high = self.interval
        return self.p_value < _LEVEL and (low > 0 or high < 0)


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
        known = None
        if len(pairs):
            p_value = sign_flip_test(pairs, flips=flips, seed=seed)
            known = Paired(len(pairs), float(pairs.mean()), (low, high), p_value)
        found.append(known)
    return found


def compare_systems(
    results: Mapping[str, SystemResult | None], boundary: Flags | None, ks: Sequence[int], k: int
) -> list[dict[str, Any]]:
    """Return recipe/index less each baseline, as report.json lists it: error@k over boundary queries and over all, and
    recall at the first of `ks` over all; boundary error against baseline/raw-l2 first. Empty without a boundary.
    """
    recipe = results.get(HEADLINE)
    if recipe is None or boundary is None:
        return []
    heads, columns = [], []
    for metric, at, scope in (
        ("cross_boundary_error", k, "boundary"),
        ("cross_boundary_error", k, "all"),
        ("recall", ks[0], "all"),
    ):
        for name in BASELINES:
            baseline = results.get(name)
            if baseline is None:
                continue
            one, other = (r.hit[at] if metric == "recall" else r.error[at] for r in (recipe, baseline))
            difference = one.astype(np.float64) - other
            columns.append(np.where(boundary, difference, np.nan) if scope == "boundary" else difference)
            heads.append({"metric": metric, "k": at, "scope": scope, "system": HEADLINE, "baseline": name})
    if not columns:
        return []
    return [
        {
            **head,
            "n": pair.n,
            "difference": pair.difference,
            "interval": pair.interval,
            "p_value": pair.p_value,
            "test": "sign-flip permutation",
            "seeds": 1,
        }
        for head, pair in zip(heads, paired_differences(np.stack(columns, axis=1)), strict=True)
        if pair is not None
    ]
