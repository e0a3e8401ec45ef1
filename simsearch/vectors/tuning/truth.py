"""What is right: exact neighbours of held-out rows, and the share of them that an index returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simsearch.arrays import Doubles, Floats, Integers
from simsearch.vectors.exact import exact_neighbours
from simsearch.vectors.index.protocol import Name
from simsearch.vectors.normalize import normalize

K = 10  # ann_recall@10 is what is asked for
Z = 1.96  # of a two-sided 95 % interval

_TOLERANCE = 1e-6  # scores of one pair differ by this much between ways of summing
_DEPTH = 32  # exact neighbours kept: of these, those that tie with the tenth count too
_READ = 65_536


class Source(Protocol):
    """Raw features (N, D) float32 in row order, as FeatureFile gives them."""

    @property
    def shape(self) -> tuple[int, int]: ...

    def read(self, start: int, stop: int) -> Floats: ...


@dataclass(frozen=True)
class Questions:
    """Queries (Q, D), the rows that they are (-1: none of those searched) and their exact neighbours, best first."""

    embeddings: Floats
    own: Integers
    scores: Floats  # (Q, at most 32)
    rows: Integers

    def part(self, start: int, stop: int) -> Questions:
        """Return some of the queries."""
        span = slice(start, stop)
        return Questions(self.embeddings[span], self.own[span], self.scores[span], self.rows[span])

    @property
    def k(self) -> int:
        """How many neighbours are judged: 10, or all where there are fewer."""
        return min(K, len(self.rows[0]))

    def shares(self, scores: Floats, rows: Integers, *, exact: bool) -> Doubles:
        """Return the share (Q,) of the exact first k in an index's answers to k + 1; a query's own row does not count.

        Ties may permute. `exact`: the scores are inner products themselves; else a row must be among the exact ones.
        """
        order = np.argsort(rows == self.own[:, None], axis=1, kind="stable")[:, : self.k]
        rows, scores = np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
        kth = self.scores[:, self.k - 1, None] - _TOLERANCE
        if exact:
            hits = (scores >= kth) & (rows != self.own[:, None])
        else:
            near = np.where(self.scores >= kth, self.rows, -1)
            hits = (rows[:, :, None] == near[:, None, :]).any(axis=2)
        shares: Doubles = hits.sum(axis=1) / self.k
        return shares


def ask(embeddings: Floats, own: Integers, blocks: Iterable[Floats]) -> Questions:
    """Return the queries with their exact neighbours over `blocks` of unit vectors in row order.

    Memory: a block. A query leaves its own row out.
    """
    return Questions(embeddings, own, *exact_neighbours(embeddings, blocks, _DEPTH, own))


def interval(shares: Doubles, z: float = Z) -> tuple[float, float]:
    """Return the interval of the mean share, over queries: the 95 % one, or that of `z` standard errors.

    One query that found nothing is added for the lower bound: where every query seen was perfect, a normal interval
    would have no width, although three in n may still be bad.
    """
    doubted = np.append(shares, 0.0)
    low = doubted.mean() - z * doubted.std(ddof=1) / np.sqrt(len(doubted))
    high = shares.mean() + z * shares.std(ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else 1.0
    return max(0.0, float(low)), min(1.0, float(high))


def unit_blocks(source: Source, rows: int, name: Name | None) -> Iterable[Floats]:
    """Yield the first `rows` rows as unit vectors; VectorsError names the first row without direction."""
    for start in range(0, rows, _READ):
        block = source.read(start, min(start + _READ, rows))
        yield normalize(block, name=name, start=start)


def take(source: Source, rows: int, wanted: Integers, name: Name | None) -> Floats:
    """Return the unit vectors of the rows `wanted`, (n, D), in one pass over the first `rows`."""
    taken = np.empty((len(wanted), source.shape[1]), dtype=np.float32)
    order = np.argsort(wanted, kind="stable")
    ordered = wanted[order]
    start = 0
    for block in unit_blocks(source, rows, name):
        span = slice(*np.searchsorted(ordered, (start, start + len(block))))
        taken[order[span]] = block[ordered[span] - start]
        start += len(block)
    return taken
