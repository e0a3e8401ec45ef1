"""What the ranks of two samples say, and how far a rate set by ranks may be off."""

from __future__ import annotations

import math

import numpy as np

from simsearch.arrays import Doubles, Integers, Numbers

MOST_EXACT = 8  # values of the smaller sample, of which all orders are counted


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
    n, m = len(values), len(others)
    _, places, counts = np.unique(np.concatenate((values, others)), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    above = float(ranks[:n].sum()) - n * (n + 1) / 2
    most = max(above, n * m - above)
    if len(counts) == n + m and min(n, m) <= MOST_EXACT:
        ways = _ways(min(n, m), max(n, m))
        return min(1.0, 2 * sum(ways[round(most) :]) / sum(ways))
    ties = float((counts.astype(np.float64) ** 3 - counts).sum()) / ((n + m) * (n + m - 1))
    spread = math.sqrt(max(0.0, n * m / 12 * (n + m + 1 - ties)))
    return 1.0 if spread == 0 else min(1.0, math.erfc((most - n * m / 2 - 0.5) / spread / math.sqrt(2)))


def _ways(n: int, m: int) -> list[int]:
    """Return in how many orders of n and m values 0, 1, ..., n * m pairs have the first the higher: the coefficients of
    the product of (1 - x^(m + i)) / (1 - x^i), i = 1 ... n.
    """
    found = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for place in range(n * m, m + i - 1, -1):
            found[place] -= found[place - m - i]
        for place in range(i, n * m + 1):
            found[place] += found[place - i]
    return found


def beta_interval(a: float, b: float) -> tuple[float, float]:
    """Return the middle 95 % (low, high) of the distribution Beta(a, b), a and b above 0."""
    from scipy.special import betaincinv  # type: ignore[import-untyped]

    return float(betaincinv(a, b, 0.025)), float(betaincinv(a, b, 0.975))
