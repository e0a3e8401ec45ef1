"""Intervals over queries, for every figure of every system in one pass: Wilson's for recall, else the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.evaluation.retrieval import SystemResult

RESAMPLES = 2000

_LEAST_QUERIES = 2  # one query says nothing about others
_NORMAL = 1.959963984540054  # 97.5 % quantile

_BLOCK_NUMBERS = 2_000_000  # counts held at a time: 16 MB of float64, three times that while they are drawn


def percentile_intervals(
    values: NDArray[np.floating], *, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """Return the 95 % interval of the mean of each column of `values` (Q, C), as (C, 2) float64: low, high.

    Percentile bootstrap over rows (Efron and Tibshirani 1993, An introduction to the bootstrap, section 13.3): the
    rows are drawn anew with replacement, the same draws for all columns. NaN is no value, and is left out of sum and
    count; a column without any value has the interval (NaN, NaN), one whose values are all equal has it in a point.
    Memory: three copies of `values` and some 50 MB.
    """
    values = np.asarray(values, dtype=np.float64)
    given = ~np.isnan(values)
    used = given.any(axis=1)
    values, given = values[used], given[used]
    count, columns = values.shape
    intervals = np.full((columns, 2), np.nan)
    if not count or not columns:
        return intervals
    # Most columns leave out the same rows: one sum of counts serves them all.
    masks, mask_of = np.unique(given, axis=1, return_inverse=True)
    table = np.concatenate((np.where(given, values, 0.0), masks), axis=1)
    random = np.random.default_rng(seed)
    means = np.empty((resamples, columns))
    size = max(1, _BLOCK_NUMBERS // count)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = random.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
        counts = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        sums = counts.astype(np.float64) @ table
        with np.errstate(invalid="ignore"):  # a resample without any row of a small scope has no mean there
            means[start : start + rows] = sums[:, :columns] / sums[:, columns + mask_of.ravel()]
    for column in range(columns):
        seen = values[given[:, column], column]
        if len(seen):
            found = means[:, column]
            ends = np.quantile(found[~np.isnan(found)], (0.025, 0.975))
            # A mean cannot leave the range of its values; rounding of the sums can.
            intervals[column] = np.clip(ends, seen.min(), seen.max())
    return intervals


def wilson_interval(hits: float, count: int) -> tuple[float, float]:
    """Return the 95 % score interval (low, high) of the share of queries with a hit, `hits` of `count`.

    Wilson 1927, Probable inference, the law of succession, and statistical inference (JASA 22). Near 0 and 1 and for
    few queries the bootstrap is too narrow for values that are 0 or 1: of 12 hits in 12 it makes [1, 1], and for a
    share of 0.99 over 360 queries it holds the truth in 85 % instead of 95 %.
    """
    share, squared = hits / count, _NORMAL**2
    middle = (share + squared / (2 * count)) / (1 + squared / count)
    reach = _NORMAL * math.sqrt(share * (1 - share) / count + squared / (4 * count**2)) / (1 + squared / count)
    # Rounding must not leave out the share itself, where it is 0 or 1.
    return max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))


def figure_intervals(
    results: Mapping[str, SystemResult | None], boundary: NDArray[np.bool_] | None, ks: Sequence[int]
) -> dict[str, dict[str, Any] | None]:
    """Return for each system its figures' 95 % intervals: the tree of its figures, each leaf (low, high) or None.

    Recall@k is a hit or none for each query and has `wilson_interval`, all else the bootstrap. None for figures over
    pairs of queries, which are not means over queries, for a figure of fewer than two queries, and for a system without
    figures.
    """
    columns: list[NDArray[np.floating]] = []
    shares: dict[int, tuple[float, float]] = {}  # of the columns that hold hits

    def leaf(values: NDArray[np.floating] | None, hits: bool = False) -> int | None:
        count = 0 if values is None else int((~np.isnan(values)).sum())
        if values is None or count < _LEAST_QUERIES:
            return None
        if hits:
            shares[len(columns)] = wilson_interval(float(np.nansum(values, dtype=np.float64)), count)
        columns.append(values)
        return len(columns) - 1

    trees = {name: None if result is None else _tree(result, boundary, ks, leaf) for name, result in results.items()}
    drawn = [column for column in range(len(columns)) if column not in shares]
    intervals = dict(shares)
    if drawn:
        ends = percentile_intervals(np.stack([columns[column] for column in drawn], axis=1)).tolist()
        intervals |= {column: (low, high) for column, (low, high) in zip(drawn, ends, strict=True)}
    return {name: None if tree is None else _filled(tree, intervals) for name, tree in trees.items()}


def _tree(result: SystemResult, boundary: NDArray[np.bool_] | None, ks: Sequence[int], leaf: Any) -> dict[str, Any]:
    """Return the tree of figures with the column of each, as `leaf` numbers them."""
    pairs = result.verification
    return {
        "recall": {k: leaf(result.hit[k], True) for k in ks},
        "relevant_recall": {k: leaf(result.share[k]) for k in ks},
        "precision": {k: leaf(1.0 - result.error[k]) for k in ks},
        "map_at_r": leaf(result.average_precision),
        "r_precision": leaf(result.precision_at_r),
        "cross_boundary_error": {
            k: {
                "all": leaf(result.error[k]),
                "boundary": leaf(None if boundary is None else np.where(boundary, result.error[k], np.nan)),
            }
            for k in ks
        },
        "roc_auc": None,
        "eer": None,
        "tar_at_far": None if pairs is None else dict.fromkeys(pairs.tar_at_far),
        "inversion_rate": None,
    }


def _filled(tree: dict[str, Any], intervals: Mapping[int, tuple[float, float]]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            filled[key] = _filled(value, intervals)
        else:
            filled[key] = None if value is None else list(intervals[value])
    return filled
