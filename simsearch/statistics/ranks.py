"""What the ranks of two samples say, and how far a rate set by ranks may be off."""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Numbers


def auroc(positives: Numbers, negatives: Numbers) -> float:
    """Return the share of pairs of (n,) and (m,) values of which the positive is the higher, ties half: the area under
    the ROC curve (Hanley and McNeil 1982, Radiology 143). Raises ValueError for an empty sample.
    """
    if not len(positives) or not len(negatives):
        raise ValueError("expected positives and negatives, seen none of one")
    known = np.sort(negatives)
    below, reached = (np.searchsorted(known, positives, side=side) for side in ("left", "right"))
    return float((below + reached).mean() / (2 * len(known)))


def rank_test(values: Numbers, others: Numbers) -> float:
    """Return the two-sided p-value of "neither of two samples (n,) and (m,) tends to be higher".

    Mann and Whitney 1947 (Annals of Mathematical Statistics 18), ties corrected for; exact for up to 8 values without
    ties, else by the normal approximation. 1 where all values are equal. Raises ValueError for an empty sample.
    """
    if not len(values) or not len(others):
        raise ValueError("expected two samples, seen an empty one")
    low, high = min(values.min(), others.min()), max(values.max(), others.max())
    if low == high:
        return 1.0
    from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]

    return float(mannwhitneyu(values, others, alternative="two-sided").pvalue)


def beta_interval(a: float, b: float) -> tuple[float, float]:
    """Return the middle 95 % (low, high) of the distribution Beta(a, b), a and b above 0."""
    from scipy.special import betaincinv  # type: ignore[import-untyped]

    return float(betaincinv(a, b, 0.025)), float(betaincinv(a, b, 0.975))
