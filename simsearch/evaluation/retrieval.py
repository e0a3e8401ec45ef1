"""What the first rows that a system returns are worth, query by query: the functions behind the table of figures."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from simsearch.arrays import Doubles, Flags, Floats, Integers, Labels
from simsearch.evaluation.own import Own


def relevant_counts(query_labels: Labels, gallery_labels: Labels, own: Own) -> Integers:
    """Return R (Q,): gallery images of the query's label, its own row and group left out; 0 = unanswerable.

    A negative label means "unlabelled" and matches nothing.
    """
    names, counts = np.unique(gallery_labels[gallery_labels >= 0], return_counts=True)
    if not len(names):
        return np.zeros(len(query_labels), dtype=np.int64)
    place = np.minimum(np.searchsorted(names, query_labels), len(names) - 1)
    relevant = np.where(names[place] == query_labels, counts[place], 0)
    left_out = own.among(query_labels, gallery_labels)
    return np.asarray(np.where(relevant > 0, relevant - left_out, 0), dtype=np.int64)


class Block:
    """What was found for some of the queries: `right` (B, n), whether the row at each rank has the query's label, best
    first, and `relevant` (B,), how many rows of the gallery have it (R). Of a query the first R are there; beyond the
    first `most`, where that is given, nothing else is looked at.
    """

    def __init__(self, right: Flags, relevant: Integers, most: int | None = None) -> None:
        self.right, self.relevant = right, relevant
        self.first = right[:, :most]
        self.divisor = np.maximum(relevant, 1)
        self._found: dict[int, Integers] = {}

    def found(self, k: int) -> Integers:
        """Return how many of the first k are right, (B,)."""
        if k not in self._found:
            self._found[k] = np.asarray(self.first[:, :k].sum(axis=1))
        return self._found[k]

    @cached_property
    def counted(self) -> Flags:
        """Which of the first R are right, (B, max R)."""
        depth = min(self.right.shape[1], int(self.relevant.max(initial=0)))
        return np.asarray(self.right[:, :depth] & (np.arange(1, depth + 1) <= self.relevant[:, None]))

    def hit(self, k: int) -> Floats:
        """Return recall@k: whether a same-label row is in the first k."""
        return (self.found(k) > 0).astype(np.float32)

    def share(self, k: int) -> Doubles:
        """Return relevant_recall@k: the share of the R same-label rows that are in the first k."""
        return np.asarray(self.found(k) / self.divisor)

    def error(self, k: int) -> Doubles:
        """Return cross-boundary error@k: the share of the first k without the query's label.

        Divided by the rows returned when these are fewer than k. In float64: rounded to float32, differences that are
        equal become unequal, and a permutation test counts no ties.
        """
        width = self.first[:, :k].shape[1]
        return np.asarray((width - self.found(k)) / width)

    def precision(self, k: int) -> Doubles:
        """Return precision@k: the share of the first k with the query's label."""
        return 1.0 - self.error(k)

    def average_precision(self) -> Floats:
        """Return 1/R times the sum over ranks i <= R of precision@i where rank i is right, whose mean is MAP@R.

        Musgrave et al. 2020, arXiv 2003.08505, section 3.2.
        """
        counted = self.counted
        hits = np.cumsum(counted, axis=1, dtype=np.int32)  # equals the hits of all ranks wherever it is used
        ranks = np.arange(1, counted.shape[1] + 1)
        return np.asarray(((hits / ranks) * counted).sum(axis=1) / self.divisor, dtype=np.float32)

    def precision_at_r(self) -> Floats:
        """Return R-precision: precision@R."""
        return np.asarray(self.counted.sum(axis=1) / self.divisor, dtype=np.float32)
