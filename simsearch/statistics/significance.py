"""Paired tests on per-query values, and the correction for many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simsearch.arrays import Numbers

FLIPS = 9999

_BLOCK_NUMBERS = 4_000_000  # signs held at a time: 32 MB of float64
_TOLERANCE = 1e-11  # sums of the same numbers in another order differ by this much


def sign_flip_test(differences: Numbers, *, flips: int = FLIPS, seed: int = 0) -> float:
    """Return the two-sided p-value of "the mean of the paired differences (n,) is zero": (b + 1) / (flips + 1).

    b counts the random sign flips of the differences whose absolute mean reaches the observed one (Phipson and Smyth
    2010, arXiv 1603.05766, equation 2: adding one keeps the test valid). Memory is bounded whatever n is. Raises
    ValueError for values that are not finite.
    """
    values = np.asarray(differences, dtype=np.float64).ravel()
    if not np.isfinite(values).all():
        raise ValueError("paired differences must be finite")
    count = len(values)
    moved = values[values != 0]  # a zero stays zero under either sign
    if not len(moved):
        return 1.0
    threshold = abs(moved.sum()) / count - _TOLERANCE
    # Shares of the first k take few values: how many of equal ones become negative is one binomial number, which is the
    # same test and, for 60,000 queries, some twenty times faster. Rounding joins 0.3 and 0.7 - 0.4.
    sizes, counts = np.unique(np.round(np.abs(moved), 12), return_counts=True)
    grouped = 8 * len(sizes) <= len(moved)
    if not grouped:
        sizes, counts = moved, np.ones(len(moved), dtype=np.int64)
    random = np.random.default_rng(seed)
    reached = 0
    rows = max(1, _BLOCK_NUMBERS // len(sizes))
    for start in range(0, flips, rows):
        shape = (min(rows, flips - start), len(sizes))
        kept = random.binomial(counts, 0.5, shape) if grouped else random.integers(0, 2, shape, dtype=np.int8)
        sums = (2.0 * kept - counts) @ sizes
        reached += int((np.abs(sums) / count >= threshold).sum())
    return (reached + 1) / (flips + 1)


def sign_flip_bound(differences: Numbers) -> float:
    """Return a number that the exact two-sided p-value of `sign_flip_test` cannot exceed, without drawing anything.

    A sum of n numbers with random signs reaches t with a probability of at most 2 exp(-t^2 / (2 sum d^2)) (Hoeffding
    1963, Probability inequalities for sums of bounded random variables, theorem 2). Where a loss is plain the bound is
    below any level that many tests ask for, and draws, whose p-value is never below 1 / (flips + 1), are not needed.
    """
    values = np.asarray(differences, dtype=np.float64).ravel()
    squares = float(np.square(values).sum())
    return 1.0 if squares == 0 else min(1.0, 2 * math.exp(-(float(values.sum()) ** 2) / (2 * squares)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number (Holm 1979, Scandinavian Journal of Statistics 6)."""
    corrected = [0.0] * len(p_values)
    reached = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = reached
    return corrected
