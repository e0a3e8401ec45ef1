"""Rows that an index still holds and no search may find, until the index is built anew without them.

FAISS can leave rows out while it searches (a selector), but a graph or an inverted file then loses neighbours without
a word: where a query's nearest 500 rows are deleted, HNSW at efSearch 64 finds a seventh of its live neighbours. So
only kinds that look at every row are given the selector. Of the others more rows are asked for than are wanted, the
deleted ones are taken out, and a query that is left with too few is answered by looking at every row.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from simsearch.arrays import Flags, Floats, Integers
from simsearch.errors import VectorsError

_faiss: Any = faiss  # as in native.py

Answers = tuple[Floats, Integers]


class Deleted:
    """A set of rows of an index with `ntotal` rows. Raises VectorsError for a row that it has not."""

    def __init__(self, rows: Integers, ntotal: int) -> None:
        if rows.ndim != 1 or rows.dtype != np.int64 or (len(rows) and not 0 <= rows.min() <= rows.max() < ntotal):
            raise VectorsError(f"deleted rows: expected int64 from 0 to {ntotal - 1}, seen {rows.dtype} {rows.shape}")
        self.flags: Flags = np.zeros(ntotal, dtype=np.bool_)
        self.flags[rows] = True

    def below(self, stop: int) -> int:
        """Return how many rows before `stop` are deleted."""
        return int(np.count_nonzero(self.flags[:stop]))

    def selector(self, below: int) -> Any:
        """Return FAISS's selector of the rows before `below` that are not deleted."""
        live = ~self.flags
        live[below:] = False
        return _faiss.IDSelectorBitmap(np.packbits(live, bitorder="little"))

    def taken_out(self, scores: Floats, rows: Integers, k: int) -> Answers:
        """Return the first k live answers of (Q, n) scores and rows, in their order; -1 where there are fewer."""
        gone = (rows < 0) | self.flags[rows]
        kept = np.argsort(gone, axis=1, kind="stable")[:, :k]
        gone = np.take_along_axis(gone, kept, axis=1)
        scores, rows = np.take_along_axis(scores, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
        return np.where(gone, np.float32(-np.inf), scores), np.where(gone, np.int64(-1), rows)


def looks_at_every_row(native: Any) -> bool:
    """Return whether a search of this kind compares the query with every row, and takes a selector."""
    return isinstance(native, faiss.IndexFlat | faiss.IndexScalarQuantizer)


def every_row(native: Any, queries: Floats, k: int, selector: Any) -> Answers | None:
    """Return the k best selected rows by FAISS, each row looked at; None for a kind that cannot do so."""
    if isinstance(native, faiss.IndexHNSW):
        native = faiss.downcast_index(native.storage)
        parameters = _faiss.SearchParameters(sel=selector)
        if not looks_at_every_row(native):
            return None
    elif isinstance(native, faiss.IndexIVF):
        parameters = _faiss.SearchParametersIVF(sel=selector, nprobe=native.nlist)
    else:
        return None
    try:
        scores, rows = native.search(queries, k, params=parameters)
    except RuntimeError:  # some coded kinds refuse a selector
        return None
    return None if (rows < 0).any() else (scores, rows)
