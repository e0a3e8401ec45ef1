"""Rows that a search may find, few or many of an index: what a filter lets pass.

A filter is applied while FAISS searches (a selector), so that k stays k. Where few rows pass, a list or a graph is a
detour: it looks at rows by the hundred that may not be found. Then the query is compared with every row that passes, as
it is stored, copied side by side once for all queries of the filter (where many pass, plain vectors of lists are copied
in lists, which spares asking the selector of every row); so is a query for which a list or a graph finds
fewer than it should. `exact_is_quicker` is the rule, from `benchmarks/filter.py`.

So it is, too, where rows pass that are near each other, as those of one label: the lists and the places in a graph that
are near to a query from elsewhere hold none of them, and looking twice as wide finds too little (recall .93 instead of
.998 with half of the rows). Whether they are is asked of the index: the neighbours of some of them.
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

COPIED = 64 << 20  # bytes of passing vectors that are copied side by side at most
_STORED_ROWS = 65_536  # rows decoded at a time where they are not
_PLACE_BITS = 32  # of FAISS's map of rows: above them stands the list of a row
_MOST_ASKED = 2048  # rows that an index which takes no selector is asked for
_FEW = 0.25  # of the rows: fewer are not asked for so

# What the rule counts in: one row compared with one query side by side in memory, 10 to 20 ns of 64 dimensions.
_PASSED_BY, _IN_LIST = 1.0, 4.0  # a row of a list that the selector leaves out, and what one that it takes costs more
_COPIED_IN_LIST, _OF_LIST = 2.0, 5.0  # a row where lists hold such rows alone, and a list that is looked into
_IN_GRAPH = 400.0  # a step in a graph: its neighbours are looked up all over the memory
_ASKED, _NEIGHBOURS = 32, 11  # rows whose neighbours are looked at, and how many of each, itself among them
_TOGETHER = 0.4  # of the way from the share that passes to all, which their neighbours go

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
        self._together: bool | None = None
        self._lists: Any = None

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

    def in_lists(self, native: Any) -> Any:
        """Return an IVF index of the rows alone, in the lists of an IVF index of plain vectors; None for another."""
        if not copies_lists(native, len(self)):
            return None
        with _COPYING:
            if self._lists is None:
                vectors = _stored(native, self.rows)
                lists = faiss.vector_to_array(native.direct_map.array)[self.rows] >> _PLACE_BITS
                copy = faiss.IndexIVFFlat(native.quantizer, native.d, native.nlist, faiss.METRIC_INNER_PRODUCT)
                pointers = [faiss.swig_ptr(one) for one in (vectors, self.rows, lists)]
                copy.add_core(len(self), *pointers)
                self._lists = copy
            return self._lists

    def near_each_other(self, native: Any) -> bool:
        """Return whether neighbours of rows that pass do so far oftener than others; also where none can be told."""
        with _COPYING:
            if self._together is None:
                self._together = self._look_around(native)
            return self._together

    def _look_around(self, native: Any) -> bool:
        some = self.rows[:: max(1, len(self) // _ASKED)][:_ASKED]
        try:
            _, near = native.search(_stored(native, some), _NEIGHBOURS)
        except RuntimeError:
            return True
        others = (near >= 0) & (near != some[:, None])
        share, seen = len(self) / len(self.flags), self.flags[near][others].mean() if others.any() else 1.0
        return bool(seen > share + _TOGETHER * (1 - share))

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
    elif (
        looks_at_every_row(native)
        or exact_is_quicker(native, search, k, len(passing))
        or passing.near_each_other(native)
    ):
        return (*passing.exact(native, queries, k, stored), np.empty(0, dtype=np.int64))
    else:
        share = len(passing) / int(native.ntotal)
        wide, copy = wider(native, search, share), passing.in_lists(native)
        if copy is not None:
            parameters = faiss.SearchParametersIVF(nprobe=wide.nprobe)  # type: ignore[call-arg]
            scores, rows = copy.search(queries, k, params=parameters)
        else:
            scores, rows = attempt(queries, k, wide, passing.selector)
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


def exact_is_quicker(native: Any, search: Search, k: int, passing: int) -> bool:
    """Return whether comparing with each row that passes takes less than an index as wide as it has to be."""
    rows, core = int(native.ntotal), core_of(native)
    share = passing / rows
    asked = wider(native, search, share)
    if isinstance(core, faiss.IndexIVF):
        seen = rows * (asked.nprobe or 1) / int(core.nlist)
        if copies_lists(native, passing):
            each = share * seen * _COPIED_IN_LIST + _OF_LIST * (asked.nprobe or 1)
        else:
            each = seen * (_PASSED_BY + share * _IN_LIST)
        return passing <= int(core.nlist) + each
    if isinstance(core, faiss.IndexHNSW):
        return passing <= _IN_GRAPH * max(asked.efSearch or 1, k)
    return share < _FEW


def copies_lists(native: Any, passing: int) -> bool:
    """Return whether so many rows of an index are copied in its lists: those of plain vectors, while they are few."""
    return type(native) is faiss.IndexIVFFlat and 4 * native.d * passing <= COPIED


def _copied(native: Any, rows: Integers) -> Any:
    """Return a flat index of rows as they are stored, None where that cannot be told."""
    try:
        block = _stored(native, rows)
    except RuntimeError:  # some kinds cannot
        return None
    copy = faiss.IndexFlatIP(native.d)
    copy.add(block)
    return copy


def _stored(native: Any, rows: Integers) -> Floats:
    """Return rows (n, D) as they are stored; an index of lists notes first where each row is, in 8 bytes a row."""
    core = core_of(native)
    if isinstance(core, faiss.IndexIVF) and core.direct_map.no() and not isinstance(native, faiss.IndexRefine):
        core.make_direct_map()
    block: Floats = native.reconstruct_batch(rows)
    return block


def checked_flags(flags: Flags, factory: str, ntotal: int) -> None:
    """Raise VectorsError for flags that are not those of the rows of an index."""
    if flags.shape != (ntotal,) or flags.dtype != np.bool_:
        raise VectorsError(f"index {factory}: expected flags ({ntotal},), seen {flags.dtype} {flags.shape}")
