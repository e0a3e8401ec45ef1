"""An index by Milvus: it says which rows are near, and what they score is computed from the features of the build.

What Milvus finds is never taken as it stands. With a filter its indexes give short answers without a word (45 of 50 by
HNSW on a server), and a list of rows that may be found takes it seconds. So it is asked without a filter, for as many
more rows as the filter leaves out; what may not be found is taken out here, and a query that is left with too few is
compared with every row that may be found. Where those are few that is done at once: it is quicker than to ask.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from simsearch.arrays import Flags, Floats, Integers
from simsearch.engines.milvus.client import Client
from simsearch.engines.milvus.collection import ROW, Collection
from simsearch.engines.milvus.kinds import FLAT, MOST_ASKED
from simsearch.engines.milvus.place import Place
from simsearch.errors import EngineError, VectorsError
from simsearch.vectors.exact import Ranking
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.index import Deleted, Passing
from simsearch.vectors.index.answers import check_asked, in_order, nothing
from simsearch.vectors.index.deleting import Answers
from simsearch.vectors.index.passing import COPIED
from simsearch.vectors.index.protocol import Name, Neighbours
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import DEFAULT, Search

_BLOCK = 65_536  # rows compared at a time
_MORE = 1.5  # times as many rows are asked for as a filter should need
_MOST_FILTERED = 2048  # rows that are asked for with a filter: each takes 20 us to come back, to be compared 20 ns


class MilvusIndex:
    """An Index by Milvus, which says what each member is; rows are those of `features`, the first `ntotal` of them."""

    stores_vectors = scores_are_exact = True  # those of the features

    def __init__(self, collection: Collection, features: FeatureFile, ntotal: int, gone: Integers, again: str) -> None:
        """Take a collection that holds every row below `ntotal` that is not `gone`; EngineError where it lacks some.

        It may hold others: a sync removes rows when it has been named, and adds rows before that.
        """
        self._collection, self.features, self.ntotal = collection, features, ntotal
        self.factory = f"Milvus {collection.place.kind}"
        self._copies: WeakKeyDictionary[Passing, Floats] = WeakKeyDictionary()
        self._copying = threading.Lock()
        collection.load()
        held, live = collection.count(f"{ROW} < {ntotal}"), ntotal - len(gone)
        if held < live:
            raise EngineError(
                f"{collection.place} holds {held:,} rows, the build has {live:,}",
                hint=f"{again} loads them anew",
            )
        self._held = collection.count()  # with rows that no search of this state may find

    @classmethod
    def open(cls, place: Place, features: Path, ntotal: int, gone: Integers, again: str) -> MilvusIndex:
        """Return the index at a place, once that was checked; `again` is the command that loads it anew.

        Raises EngineError for a place that cannot be reached or holds anything else, MissingError without pymilvus.
        """
        client = Client(place.uri)
        try:
            file = FeatureFile(features)
            collection = Collection(client, place)
            collection.check(file.shape[1], again)
            return cls(collection, file, ntotal, gone, again)
        except BaseException:
            client.close()
            raise

    @property
    def dim(self) -> int:
        return self.features.shape[1]

    @property
    def is_flat(self) -> bool:
        return self._collection.place.kind == FLAT

    def search(
        self,
        embeddings: Floats,
        k: int,
        search: Search = DEFAULT,
        *,
        rows_below: int | None = None,
        deleted: Deleted | None = None,
        passing: Passing | None = None,
    ) -> Neighbours:
        """Return the neighbours of unit embeddings (Q, D) as `Index.search` does; settings of FAISS mean nothing here.

        Raises EngineError, too, when the server does not answer.
        """
        below, live = check_asked(self, embeddings, k, search, rows_below, deleted, passing)
        wanted = min(k, live)
        if not wanted or not len(embeddings):
            return nothing(len(embeddings))
        queries = np.ascontiguousarray(embeddings, dtype=np.float32)
        asked = self._asked(wanted, live, below, passing)
        if asked is None:
            rows = np.full((len(queries), wanted), -1, dtype=np.int64)
        else:
            rows = _first(self._may_be_found(self._collection.search(queries, asked), below, deleted, passing), wanted)
        scores = self._scores(queries, rows)
        short = np.flatnonzero((rows < 0).any(axis=1))
        if short.size:
            scores[short], rows[short] = self._exact(queries[short], wanted, below, deleted, passing)
        scores, rows = in_order(scores, rows)
        return Neighbours(scores, rows, np.empty(0, dtype=np.int64) if asked is None else short)

    def add(self, features: Floats, *, name: Name | None = None) -> None:
        """Refuse: rows are added to the build, and by a sync to the collection."""
        raise VectorsError(f"index {self.factory} takes no rows", hint="simsearch sync adds those of new images")

    def save(self, path: Path) -> None:
        """Refuse: it lies with its server."""
        raise VectorsError(f"index {self.factory} is no file", hint="simsearch export NAME --format npy writes vectors")

    def stored(self, start: int, stop: int) -> Floats:
        return normalize(self.features.read(start, stop))

    def close(self) -> None:
        """Close the connection and the file."""
        self._collection.close()
        self.features.close()

    def _asked(self, wanted: int, live: int, below: int, passing: Passing | None) -> int | None:
        """Return for how many rows Milvus is asked; None where every row that may be found is looked at instead."""
        if passing is not None and 4 * self.dim * live <= COPIED:
            return None
        if passing is None and below == self.ntotal:
            asked = wanted + min(self._held - live, wanted + 16)
        else:
            asked = math.ceil(_MORE * wanted * self._held / live) + 16
        most = MOST_ASKED if passing is None else _MOST_FILTERED
        asked = min(asked, self._held)
        return asked if asked <= most else None

    def _may_be_found(self, rows: Integers, below: int, deleted: Deleted | None, passing: Passing | None) -> Integers:
        """Return the answers with -1 in the place of those that may not be found."""
        known = (rows >= 0) & (rows < below)
        there = np.where(known, rows, 0)
        if passing is not None:
            known &= passing.flags[there]
        elif deleted is not None:
            known &= ~deleted.flags[there]
        return np.where(known, rows, -1)

    def _scores(self, queries: Floats, rows: Integers) -> Floats:
        """Return what rows (Q, k) score by their features, -inf for -1."""
        scores = np.full(rows.shape, -np.inf, dtype=np.float32)
        found = np.unique(rows[rows >= 0])
        if found.size:
            stored = normalize(self.features.at(found))
            places = np.searchsorted(found, rows.clip(found[0]))
            scores = np.where(rows >= 0, np.einsum("qd,qkd->qk", queries, stored[places]), scores)
        return scores

    def _exact(self, queries: Floats, k: int, below: int, deleted: Deleted | None, passing: Passing | None) -> Answers:
        """Return the best of all rows that may be found, each compared with each query."""
        if passing is None:
            flags: Flags = np.zeros(self.ntotal, dtype=np.bool_)
            flags[:below] = True if deleted is None else ~deleted.flags[:below]
            rows = np.flatnonzero(flags)
        else:
            rows = passing.rows
        copy = self._side_by_side(passing)
        ranking = Ranking(len(queries), k)
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            block = normalize(self.features.at(rows[part])) if copy is None else copy[part]
            ranking.update(start, queries @ block.T)
        scores, places = ranking.result()
        return scores, rows[places]

    def _side_by_side(self, passing: Passing | None) -> Floats | None:
        """Return the embeddings of the rows that pass, copied once a filter; None where they are many."""
        if passing is None or 4 * self.dim * len(passing) > COPIED:
            return None
        with self._copying:
            if passing not in self._copies:
                self._copies[passing] = normalize(self.features.at(passing.rows))
            return self._copies[passing]


def _first(rows: Integers, k: int) -> Integers:
    """Return the first k of each (Q, n) answers that are no -1, in their order; -1 where there are fewer."""
    kept = np.argsort(rows < 0, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(rows, kept, axis=1)
    missing = k - found.shape[1]
    return np.pad(found, ((0, 0), (0, missing)), constant_values=-1) if missing > 0 else found
