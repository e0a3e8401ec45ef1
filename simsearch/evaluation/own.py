"""What of the gallery is a query's own: its row, and the rows of its group. None of it is ever found for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simsearch.arrays import Flags, Floats, Integers, Labels


@dataclass(frozen=True)
class Own:
    """Own gallery rows (Q,) of the queries, -1 for none; where groups are in use, those of queries and of gallery rows.

    `groups` (Q,) and `of_gallery` (G,) are numbers, negative for an image that is one of its own.
    """

    rows: Labels
    groups: Labels | None = None
    of_gallery: Labels | None = None

    @classmethod
    def of(cls, query_rows: Labels, gallery: int, groups: Labels | None) -> Own:
        """What is own of the images `query_rows` in gallery rows [0, gallery); `groups` (N,) of all rows, or None."""
        rows = np.where(query_rows < gallery, query_rows, -1)
        return cls(rows) if groups is None else cls(rows, groups[query_rows], groups[:gallery])

    def part(self, queries: slice | Labels) -> Own:
        """Return what is own of some of the queries."""
        return Own(self.rows[queries], None if self.groups is None else self.groups[queries], self.of_gallery)

    @cached_property
    def counts(self) -> Integers:
        """How many gallery rows are left out for each query, (Q,)."""
        return self.among(np.zeros(len(self.rows), dtype=np.int64), None)

    @property
    def most(self) -> int:
        """The largest number of gallery rows that is left out for a query."""
        return int(self.counts.max(initial=0))

    def among(self, labels: Labels, gallery_labels: Labels | None) -> Integers:
        """Return how many of a query's own rows have its label, of `labels` (Q,); all of them without `gallery_labels`.

        A query that is a gallery row itself has its label.
        """
        alone = (self.rows >= 0).astype(np.int64)
        if self.groups is None:
            return alone
        of_query, of_gallery = self.cells(labels, gallery_labels)
        sizes = np.bincount(of_gallery[of_gallery >= 0], minlength=1 + int(of_query.max(initial=0)))
        return np.where(of_query >= 0, sizes[of_query], alone)

    def cells(self, labels: Labels, gallery_labels: Labels | None) -> tuple[Integers, Integers]:
        """Return numbers of queries (Q,) and of gallery rows (G,), equal where group and label are, -1 without a group.

        Without `gallery_labels` labels do not count.
        """
        assert self.groups is not None
        assert self.of_gallery is not None
        groups = np.concatenate((self.groups, self.of_gallery))
        both = np.zeros_like(groups) if gallery_labels is None else np.concatenate((labels, gallery_labels)) + 1
        numbers = np.unique(groups * (1 + int(both.max(initial=0))) + both, return_inverse=True)[1].ravel()
        numbers = np.where(groups >= 0, numbers, -1)
        return numbers[: len(self.groups)], numbers[len(self.groups) :]

    def is_own(self, rows: Integers) -> Flags:
        """Return which of the gallery rows (Q, n) found for each query are its own."""
        own: Flags = rows == self.rows[:, None]
        if self.groups is not None and self.of_gallery is not None:
            own |= (self.groups[:, None] >= 0) & (self.of_gallery[rows] == self.groups[:, None])
        return own

    def without(self, rows: Integers, scores: Floats | None = None) -> tuple[Integers, Floats]:
        """Return rows (Q, n), best first, and what stands beside them (else nothing), the own ones behind all others.

        These keep their order: of `most` more than are wanted the first are those that are wanted.
        """
        order = np.argsort(self.is_own(rows), axis=1, kind="stable")
        beside = np.empty((len(rows), 0), dtype=np.float32)
        if scores is not None:
            beside = np.take_along_axis(scores, order, axis=1)
        return np.take_along_axis(rows, order, axis=1), beside


def numbered(groups: Sequence[str]) -> Labels | None:
    """Return the groups of images as numbers, -1 for one that is one of its own (""); None where all of them are."""
    numbers = {group: i for i, group in enumerate(sorted(set(groups) - {""}))}
    return np.array([numbers.get(group, -1) for group in groups], dtype=np.int64) if numbers else None
