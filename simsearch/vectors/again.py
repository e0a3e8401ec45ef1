"""The first neighbours again in float64: by direct differences, where float32 cannot tell them apart.

|q|^2 - 2qx + |x|^2 in float32 is off by some millionths of the lengths' square, so that neighbours nearer to each other
than a thousandth of the length come in any order, and a k-th neighbour may be lost. An inner product of D numbers is
off by at most D roundings, in practice by far fewer than 8 times their root (rounding errors are as good as
independent: Higham and Mary, https://doi.org/10.1137/18M1226312); `slack` is the smaller of the two and a little for
the subtractions. With the bound b of a query, scores that are more than 2b apart are in their true order. Those that
are not are taken again; and where rows beyond the margin come within 2b of the k-th, all rows are looked at.

Of a search for more than DEEP neighbours only the first DEEP are put in order so, among themselves: deep down, where
neighbours are as near to each other as the bound, that would take five times as long as the search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simsearch.arrays import Doubles, Floats, Integers

DEEP = 256
MARGIN = 8  # neighbours beyond k that are asked for, so that few queries have to look at all rows
_NUMBERS = 1 << 20  # float64 at a time
_CANCELS = 1000.0  # squared distances below so many bounds are taken again for their values


def slack(dim: int) -> float:
    """Return the error of a float32 inner product of `dim` numbers, relative to the product of the two lengths."""
    return (min(dim, 8 * math.sqrt(dim)) + 8) * 2.0**-24


@dataclass(frozen=True)
class Again:
    """A search as it was asked, and what float32 makes of it: both moved to the centre for "l2".

    `queries` (Q, D), `base` (N, D), `own` (Q,) as in `exact_search`; `moved` are (queries, base) that scores are of;
    `every` takes all values again, else only those whose order is in doubt.
    """

    queries: Floats
    base: Floats
    moved: tuple[Floats, Floats]
    lengths: Doubles  # of the moved base, (N,)
    metric: Literal["ip", "l2"]
    own: Integers
    k: int
    every: bool

    def settle(self, span: slice, scores: Floats, rows: Integers) -> tuple[Doubles, Integers]:
        """Return (scores (B, k) float64, rows (B, k)) in their true order, ties by row.

        From the `scores` (B, k + margin) of float32 and their rows, best first; -(squared distance) for "l2".
        """
        asked = self.moved[0][span].astype(np.float64)
        squares = np.einsum("nd,nd->n", asked, asked)
        found = scores.astype(np.float64) - (squares[:, None] if self.metric == "l2" else 0.0)
        bound = self._bound(np.sqrt(squares)[:, None], self.lengths.max())
        left = len(self.base) - (self.own[span] >= 0)
        near = found[:, -1] >= found[:, self.k - 1] - 2 * bound[:, 0]
        short = np.flatnonzero(near & (found.shape[1] < left) & (self.k <= DEEP))
        rows = self._reorder(span, found, rows, bound)
        found, rows = found[:, : self.k].copy(), rows[:, : self.k].copy()
        for query in short:
            found[query], rows[query] = self._over_all(span.start + int(query))
        return found, rows

    def _bound(self, asked: Doubles, lengths: Doubles) -> Doubles:
        product = (asked + lengths) ** 2 if self.metric == "l2" else asked * lengths
        return np.asarray(slack(self.base.shape[1]) * product)

    def _reorder(self, span: slice, found: Doubles, rows: Integers, bound: Doubles) -> Integers:
        """Take again, in place, what is within two bounds of its neighbour in the order; return the rows."""
        touches = np.zeros((len(found), found.shape[1] + 1), dtype=np.bool_)
        touches[:, 1:-1] = found[:, :-1] - found[:, 1:] <= 2 * bound
        doubted = touches[:, :-1] | touches[:, 1:]
        if self.metric == "l2":
            doubted |= -found < _CANCELS * bound
        if self.every:
            doubted[:] = True
        if self.k > DEEP:
            doubted[:, DEEP + MARGIN :] = False
        at = np.flatnonzero(doubted)
        run = np.cumsum(~touches[:, :-1].ravel())[at]
        flat = rows.ravel()
        names = flat[at]
        values = self._direct(span.start + at // found.shape[1], names)
        order = np.lexsort((names, -values, run))
        found.ravel()[at] = values[order]
        flat[at] = names[order]
        return flat.reshape(rows.shape)

    def _over_all(self, query: int) -> tuple[Doubles, Integers]:
        """Return the first k of one query over every row that float32 cannot rule out."""
        asked = self.moved[0][query]
        length = float(np.linalg.norm(asked.astype(np.float64)))
        found = (self.moved[1] @ asked).astype(np.float64)
        if self.metric == "l2":
            found = 2 * found - self.lengths**2 - length**2
        bound = self._bound(np.array(length), self.lengths)
        if self.own[query] >= 0:
            found[self.own[query]] = -np.inf
        cut = len(found) - self.k
        least = found - bound
        least.partition(cut)
        rows = np.flatnonzero(found + bound >= least[cut])
        values = self._direct(np.full(len(rows), query), rows)
        order = np.lexsort((rows, -values))[: self.k]
        return values[order], rows[order]

    def _direct(self, queries: Integers, rows: Integers) -> Doubles:
        """Return the scores of pairs (n,), each in float64 from the vectors as they were given."""
        found = np.empty(len(rows))
        step = max(1, _NUMBERS // self.base.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            ours, theirs = self.queries[queries[part]].astype(np.float64), self.base[rows[part]].astype(np.float64)
            if self.metric == "l2":
                ours -= theirs
                found[part] = -np.einsum("nd,nd->n", ours, ours)
            else:
                found[part] = np.einsum("nd,nd->n", ours, theirs)
        return found
