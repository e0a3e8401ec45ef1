"""What every index does with a question and with its answers, whoever looks the neighbours up."""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.errors import VectorsError
from simsearch.vectors.index.deleting import Answers, Deleted
from simsearch.vectors.index.passing import Passing, checked_flags
from simsearch.vectors.index.protocol import Index, Neighbours
from simsearch.vectors.search import Search


def check_asked(
    index: Index,
    embeddings: Floats,
    k: int,
    search: Search,
    rows_below: int | None,
    deleted: Deleted | None,
    passing: Passing | None,
) -> tuple[int, int]:
    """Return below which row is searched, and how many rows may be found; raises what `Index.search` does."""
    if embeddings.ndim != 2 or embeddings.shape[1] != index.dim:
        raise VectorsError(f"index {index.factory}: expected queries (Q, {index.dim}), seen {embeddings.shape}")
    below = index.ntotal if rows_below is None else min(rows_below, index.ntotal)
    for key, value in (("k", k), ("rows_below", below), *search.given().items()):
        if value < 1:
            raise VectorsError(f"index {index.factory}: expected {key} >= 1, seen {value}")
    if deleted is not None and len(deleted.flags) != index.ntotal:
        raise VectorsError(f"index {index.factory}: {len(deleted.flags)} rows may be deleted of {index.ntotal}")
    if passing is not None:
        checked_flags(passing.flags, index.factory, index.ntotal)
        return index.ntotal, len(passing)
    live = below - (deleted.below(below) if deleted else 0)
    if live < 1:
        raise VectorsError(f"index {index.factory}: all of its {below} rows are deleted")
    return below, live


def nothing(queries: int) -> Neighbours:
    """Return the answers where no row may be found."""
    none = np.empty((queries, 0))
    return Neighbours(none.astype(np.float32), none.astype(np.int64), np.empty(0, dtype=np.int64))


def in_order(scores: Floats, rows: Integers) -> Answers:
    """Return answers (Q, k) in the order (score, then row); the arrays are changed where they are not in it."""
    # Most are, but for ties (or, after widening, more): only those are sorted.
    loose = np.flatnonzero((scores[:, 1:] >= scores[:, :-1]).any(axis=1))
    if not loose.size:
        return scores, rows
    order = np.lexsort((rows[loose], -scores[loose]), axis=1)
    scores[loose] = np.take_along_axis(scores[loose], order, axis=1)
    rows[loose] = np.take_along_axis(rows[loose], order, axis=1)
    return scores, rows
