"""The exact neighbours of queries in a base that comes in blocks, so that it is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.vectors.exact import exact_search


def exact_neighbours(queries: Floats, base: Iterable[Floats], k: int) -> tuple[Floats, Integers]:
    """Return (inner products (Q, k) float32, rows (Q, k) int64) of the k nearest, best first, ties by row.

    `queries` (Q, D), `base` blocks (n, D) in row order; k is capped at the rows of the base. Memory: the answer, and
    what `exact_search` takes for one block.
    """
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    start = 0
    for block in base:
        for span, found_scores, found_rows in exact_search(queries, block, k, "ip"):
            all_scores = np.concatenate((scores[span], found_scores), axis=1)
            all_rows = np.concatenate((rows[span], found_rows + start), axis=1)
            order = np.lexsort((all_rows, -all_scores), axis=1)[:, :k]
            scores[span] = np.take_along_axis(all_scores, order, axis=1)
            rows[span] = np.take_along_axis(all_rows, order, axis=1)
        start += len(block)
    return scores[:, :start], rows[:, :start]
