"""Neighbours that a file brings with its queries, held against those of exact search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from simsearch.arrays import Doubles, Floats, Integers
from simsearch.vectors.exact import exact_neighbours

MOST_K, MOST_QUERIES = 100, 1_000  # that are compared

_TOLERANCE = 1e-6  # scores of one pair differ by this much between ways of summing
_PAIRS = 65_536  # scored at a time


def agreement(queries: Floats, known: Integers, base: Iterable[Floats]) -> Doubles:
    """Return the share (Q,) of the rows `known` (Q, k) that are among the k nearest of unit queries (Q, D), ties too.

    `base` are blocks of unit vectors in row order, read once; a row that a query names twice counts once.
    """
    count, k = known.shape
    named = known.reshape(-1)
    order = np.argsort(named, kind="stable")
    ordered, scores = named[order], np.full(count * k, -np.inf)

    def scored() -> Iterator[Floats]:
        start = 0
        for block in base:
            low, high = np.searchsorted(ordered, (start, start + len(block)))
            for first in range(low, high, _PAIRS):
                at = order[first : min(first + _PAIRS, high)]
                scores[at] = np.einsum("nd,nd->n", queries[at // k], block[named[at] - start])
            start += len(block)
            yield block

    exact, _ = exact_neighbours(queries, scored(), k)
    hits = scores.reshape(count, k) >= exact[:, -1:] - _TOLERANCE
    places = np.argsort(known, axis=1, kind="stable")
    again = np.diff(np.take_along_axis(known, places, axis=1), axis=1, prepend=-1) == 0
    hits[np.arange(count)[:, None], places] &= ~again
    shares: Doubles = hits.mean(axis=1)
    return shares
