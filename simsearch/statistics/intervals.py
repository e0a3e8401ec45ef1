"""Intervals of means over queries: the percentile bootstrap, and Wilson's score interval for hits."""

from __future__ import annotations

import math

import numpy as np

from simsearch.arrays import Doubles, Numbers

RESAMPLES = 2000

_NORMAL = 1.959963984540054  # 97.5 % quantile
_BLOCK_NUMBERS = 2_000_000  # counts held at a time: 16 MB of float64, three times that while they are drawn


def percentile_intervals(values: Numbers, *, resamples: int = RESAMPLES, seed: int = 0) -> Doubles:
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
