"""What the ranks of two samples say, and how far a rate set by ranks may be off."""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Doubles, Integers, Numbers


def auroc(positives: Numbers, negatives: Numbers) -> float:
    """Return the share of pairs of (n,) and (m,) values of which the positive is the higher, ties half: the area under
    the ROC curve (Hanley and McNeil 1982, Radiology 143). Raises ValueError for an empty sample.
    """
    if not len(positives) or not len(negatives):
        raise ValueError("expected positives and negatives, seen none of one")
    known = np.sort(negatives)
    below, reached = (np.searchsorted(known, positives, side=side) for side in ("left", "right"))
    return float((below + reached).mean() / (2 * len(known)))


def outscored(values: Numbers, others: Numbers) -> Doubles:
    """Return the share of the others (m,) that each of the values (n,) is above, ties half: the mean is `auroc`."""
    known = np.sort(others)
    below, reached = (np.searchsorted(known, values, side=side) for side in ("left", "right"))
    return np.asarray((below + reached) / (2 * len(known)), dtype=np.float64)


def auroc_differences(
    before: tuple[Numbers, Numbers], after: tuple[Numbers, Numbers], groups: Integers | None = None
) -> Doubles:
    """Return a value for each group of images (G,), whose mean is by how much the AUROC of the same images rose.

    `before` and `after` are scores of the same positives (n,) and negatives (m,). What an image adds is how its own
    share moved, of negatives that a positive is above, or of positives that are above a negative: the mean of these
    values scatters as the difference does, by the draw of positives and by that of negatives (DeLong, DeLong,
    Clarke-Pearson 1988, Biometrics 44). `groups` (n + m,), positives first, counted from 0: images of one are one value
    (Obuchowski 1997, Biometrics 53); None: each is its own. Raises ValueError for an empty sample.
    """
    sizes = [len(one) for one in before]
    if not all(sizes):
        raise ValueError("expected positives and negatives, seen none of one")
    own = outscored(*after) - outscored(*before)
    others = outscored(*before[::-1]) - outscored(*after[::-1])
    rise = float(own.mean())
    pulls = np.concatenate(((own - rise) / sizes[0], (others - rise) / sizes[1]))
    numbers = np.arange(len(pulls)) if groups is None else groups
    count = int(numbers.max()) + 1
    return np.asarray(rise + count * np.bincount(numbers, weights=pulls, minlength=count), dtype=np.float64)


def roc_points(positives: Numbers, negatives: Numbers) -> list[tuple[float, float]]:
    """Return the ROC curve of (n,) and (m,) values, from (0, share) to (1, 1): (share of the negatives, share of the
    positives) that reach a threshold, ascending, the highest share of the positives for each of the negatives.

    Raises ValueError for an empty sample.
    """
    if not len(positives) or not len(negatives):
        raise ValueError("expected positives and negatives, seen none of one")
    found = {0.0: 0.0}
    for threshold in np.unique(np.concatenate((positives, negatives)))[::-1]:
        found[float((negatives >= threshold).mean())] = float((positives >= threshold).mean())
    return list(found.items())


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
