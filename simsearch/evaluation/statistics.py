"""Paired tests on per-query values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK_NUMBERS = 4_000_000  # signs held at a time: 32 MB of float64
_TOLERANCE = 1e-11  # sums of the same numbers in another order differ by this much


def sign_flip_test(differences: NDArray[np.floating], *, flips: int = 9999, seed: int = 0) -> float:
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
    random = np.random.default_rng(seed)
    reached = 0
    rows = max(1, _BLOCK_NUMBERS // len(moved))
    for start in range(0, flips, rows):
        kept = random.integers(0, 2, size=(min(rows, flips - start), len(moved)), dtype=np.int8)
        sums = 2 * (kept.astype(np.float64) @ moved) - moved.sum()
        reached += int((np.abs(sums) / count >= threshold).sum())
    return (reached + 1) / (flips + 1)
