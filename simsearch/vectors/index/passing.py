"""Rows that a search may find, few or many of an index: what a filter lets pass.

A filter is applied while FAISS searches (a selector), so that k stays k. Where few rows pass, a list or a graph is a
detour: it looks at rows by the hundred that may not be found. Then the query is compared with every row that passes, as
it is stored, copied side by side once for all queries of the filter; so is a query for which a list or a graph finds
fewer than it should. `exact_is_quicker` is the rule, from `benchmarks/filter.py`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import faiss
import numpy as np

from simsearch.arrays import Flags, Floats, Integers
from simsearch.errors import VectorsError
from simsearch.vectors.exact import Ranking
from simsearch.vectors.index.deleting import Answers, Deleted, every_row, looks_at_every_row
from simsearch.vectors.index.native import core_of
from simsearch.vectors.search import Search

COPIED = 128 << 20  # bytes of passing vectors that are copied side by side at most
_STORED_ROWS = 65_536  # rows decoded at a time where they are not
_MOST_ASKED = 2048  # rows that an index which takes no selector is asked for
_FEW = 0.25  # of the rows: fewer are not asked for so

# What the rule counts in: one row compared with one query side by side in memory.
_BATCH, _OF_BATCH = 20, 0.25  # from so many queries on FAISS multiplies matrices, which takes a quarter a row
_PASSED_BY = 0.15  # a row of a list that the selector leaves out
_IN_LIST = 1.3  # one that it does not
_IN_GRAPH = 60.0  # a step in a graph: its neighbours are looked up all over the memory

_COPYING = threading.Lock()  # one for all: an index that is looked up by row is changed by it, once

Attempt = Callable[[Floats, int, Search, Any], Answers]


class Passing:
    """The rows of an index that a search may find, (ntotal,) flags; several threads may search with it."""

    def __init__(self, flags: Flags) -> None:
        self._rest = Deleted(np.flatnonzero(~flags), len(flags))
        self.flags = flags
        self.rows: Integers = np.flatnonzero(flags)
        self.selector = self._rest.selector(len(flags))
        self._copy: Any = None
        self._of: Any = None

    def __len__(self) -> int:
        return len(self.rows)

    def taken_out(self, scores: Floats, rows: Integers, k: int) -> Answers:
        """Return the first k answers that pass, as `Deleted.taken_out` does."""
        return self._rest.taken_out(scores, rows, k)

    def side_by_side(self, native: Any) -> Any:
        """Return a flat index of the rows as they are stored, copied once; None for too many, or a kind that cannot."""
        if 4 * native.d * len(self) > COPIED:
            return None
        with _COPYING:
            if self._of is not native:
                self._copy, self._of = _copied(native, self.rows), native
            return self._copy

    def exact(self, native: Any, queries: Floats, k: int, stored: Callable[[int, int], Floats]) -> Answers:
        """Return the k best of the rows by looking at each of them, as the index stores it; k is at most their number.

        `stored(start, stop)` gives rows where the index takes no selector either.
        """
        copy = self.side_by_side(native)
        if copy is not None:
            scores, found = copy.search(queries, k)
            return scores, self.rows[found]
        if looks_at_every_row(native):
            scores, rows = native.search(queries, k, params=faiss.SearchParameters(sel=self.selector))  # type: ignore[call-arg]
            return scores, rows
        answers = every_row(native, queries, k, self.selector)
        if answers is not None:
            return answers
        ranking = Ranking(len(queries), k)
        for start in range(0, len(self.flags), _STORED_ROWS):
            here = self.flags[start : start + _STORED_ROWS]
            scores = queries @ stored(start, start + len(here)).T
            scores[:, ~here] = -np.inf
            ranking.update(start, scores)
        return ranking.result()


def search_passing(
    native: Any,
    queries: Floats,
    k: int,
    search: Search,
    passing: Passing,
    attempt: Attempt,
    stored: Callable[[int, int], Floats],
) -> tuple[Floats, Integers, Integers]:
    """Return scores and rows (Q, k) of the best that pass, never -1, and the queries that needed an exact search.

    k is at most the number of rows that pass. `attempt` searches with a selector, and gives -1 where it is refused.
    """
    if len(passing) == int(native.ntotal):
        scores, rows = attempt(queries, k, search, None)
    elif looks_at_every_row(native) or exact_is_quicker(native, search, len(queries), k, len(passing)):
        return (*passing.exact(native, queries, k, stored), np.empty(0, dtype=np.int64))
    else:
        share = len(passing) / int(native.ntotal)
        scores, rows = attempt(queries, k, wider(native, search, share), passing.selector)
        asked = math.ceil(1.5 * k / share) + 16
        if (rows < 0).all() and share >= _FEW and asked <= _MOST_ASKED:
            scores, rows = passing.taken_out(*attempt(queries, asked, search, None), k)
    short = np.flatnonzero((rows < 0).any(axis=1))
    if short.size:
        scores[short], rows[short] = passing.exact(native, queries[short], k, stored)
    return scores, rows, short


def wider(native: Any, search: Search, share: float) -> Search:
    """Return the settings at which an index sees as many rows that pass as it would see without a filter."""
    core = core_of(native)
    if isinstance(core, faiss.IndexIVF):
        return replace(search, nprobe=min(int(core.nlist), math.ceil((search.nprobe or int(core.nprobe)) / share)))
    if isinstance(core, faiss.IndexHNSW):
        now = search.efSearch or int(core.hnsw.efSearch)
        return replace(search, efSearch=min(int(core.ntotal), math.ceil(now / share)))
    return search


def exact_is_quicker(native: Any, search: Search, queries: int, k: int, passing: int) -> bool:
    """Return whether comparing with each row that passes takes less than an index as wide as it has to be."""
    rows, core = int(native.ntotal), core_of(native)
    share = passing / rows
    exact = passing * (_OF_BATCH if queries >= _BATCH else 1.0)
    asked = wider(native, search, share)
    if isinstance(core, faiss.IndexIVF):
        seen = rows * (asked.nprobe or 1) / int(core.nlist)
        return exact <= int(core.nlist) * (_OF_BATCH if queries >= _BATCH else 1.0) + seen * (
            _PASSED_BY + share * _IN_LIST
        )
    if isinstance(core, faiss.IndexHNSW):
        return exact <= _IN_GRAPH * max(asked.efSearch or 1, k)
    return share < _FEW


def _copied(native: Any, rows: Integers) -> Any:
    """Return a flat index of rows as they are stored; one of lists notes first where each row is, in 8 bytes a row."""
    core = core_of(native)
    try:
        if isinstance(core, faiss.IndexIVF) and core.direct_map.no() and not isinstance(native, faiss.IndexRefine):
            core.make_direct_map()
        block: Floats = native.reconstruct_batch(rows)
    except RuntimeError:  # some kinds cannot
        return None
    copy = faiss.IndexFlatIP(native.d)
    copy.add(block)
    return copy


def checked_flags(flags: Flags, factory: str, ntotal: int) -> None:
    """Raise VectorsError for flags that are not those of the rows of an index."""
    if flags.shape != (ntotal,) or flags.dtype != np.bool_:
        raise VectorsError(f"index {factory}: expected flags ({ntotal},), seen {flags.dtype} {flags.shape}")
