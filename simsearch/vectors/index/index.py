"""An index by FAISS: open, save, add, search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Floats, Integers
from simsearch.durable import writing
from simsearch.errors import DiskError, VectorsError
from simsearch.vectors.exact import Ranking
from simsearch.vectors.index.answers import check_asked, in_order, nothing
from simsearch.vectors.index.deleting import Answers, Deleted, every_row, looks_at_every_row
from simsearch.vectors.index.native import (
    add_to_lists,
    core_of,
    search_parameters,
    sentence,
    widest,
)
from simsearch.vectors.index.passing import Passing, search_passing
from simsearch.vectors.index.protocol import Name, Neighbours
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import DEFAULT, Search

_READ_FLOOR = 64 << 20  # bytes; a damaged length in a small file must not allocate more than this
_FALLBACK_ROWS = 65_536  # rows reconstructed at a time by the exact fallback
_FALLBACK_QUERIES = 32
_RANKED = 10  # answers that a re-ranking index is asked for at least: its settings are tuned for so many


class FaissIndex:
    """An Index by FAISS, which says what each member is."""

    def __init__(self, native: Any, factory: str) -> None:
        if native.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise VectorsError(f"index {factory}: expected inner product, seen metric {native.metric_type}")
        self._native = native
        self.factory = factory

    @property
    def ntotal(self) -> int:
        return int(self._native.ntotal)

    @property
    def dim(self) -> int:
        return int(self._native.d)

    @property
    def is_flat(self) -> bool:
        return isinstance(self._native, faiss.IndexFlat)

    @property
    def stores_vectors(self) -> bool:
        return isinstance(self._native, faiss.IndexFlat | faiss.IndexIVFFlat | faiss.IndexHNSWFlat)

    @property
    def scores_are_exact(self) -> bool:
        return self.stores_vectors or isinstance(self._native, faiss.IndexRefineFlat)

    def nearest_lists(self, embeddings: Floats, nprobe: int) -> Integers:
        """Return the numbers (Q, nprobe) of the lists that an IVF index looks into first."""
        lists: Integers = core_of(self._native).quantizer.search(embeddings, nprobe)[1]
        return lists

    def measured_bytes(self) -> int:
        """Return the bytes of the index as a file; it is written to memory for that, so this is for small ones."""
        return len(faiss.serialize_index(self._native))

    @classmethod
    def load(cls, path: Path, *, factory: str | None = None, mapped: bool = False) -> FaissIndex:
        """Return the index in `path`; `factory` is its string where the caller knows it, else FAISS's type name.

        `mapped`: a file above 64 MB is mapped, not read: only the pages that searches touch are, and processes share
        them. Such an index takes no rows. PQ fast-scan codes are read in any case.
        Raises VectorsError for a missing, truncated or foreign file, or another metric than inner product.
        """
        bytes_before = faiss.get_deserialization_vector_byte_limit()
        try:
            faiss.set_deserialization_vector_byte_limit(max(2 * path.stat().st_size, _READ_FLOOR))
            mapped = mapped and path.stat().st_size > _READ_FLOOR
            native = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
            kind = "Flat" if isinstance(native, faiss.IndexFlat) else type(native).__name__
            return cls(native, factory or kind)
        except OSError as error:
            raise VectorsError(f"cannot read index {path}: {error.strerror}") from error
        except VectorsError as error:
            raise VectorsError(f"cannot read index {path}: {error.message}") from error
        except Exception as error:  # FAISS raises whatever C++ did: RuntimeError, MemoryError, AssertionError
            raise VectorsError(f"cannot read index {path}: {sentence(error)}") from error
        finally:
            faiss.set_deserialization_vector_byte_limit(bytes_before)

    def save(self, path: Path) -> None:
        try:
            with writing(path):
                faiss.write_index(self._native, str(path))
        except DiskError:
            raise
        except Exception as error:
            raise VectorsError(f"cannot write index {path}: {sentence(error)}") from error

    def add(self, features: Floats, *, name: Name | None = None, lists: NDArray[np.int32] | None = None) -> None:
        """Append raw features (n, D), normalized here, as rows ntotal and on; `name(row)` is the image of a row.

        `lists` (n,) spares an IVF index from looking for the list of each row.
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise VectorsError(f"index {self.factory}: expected features (N, {self.dim}), seen {features.shape}")
        if lists is not None and len(lists) != len(features):
            raise VectorsError(f"index {self.factory}: expected lists of {len(features)} rows, seen {len(lists)}")
        before = self.ntotal
        embeddings = normalize(features, name=name, start=before)
        try:
            if lists is None:
                self._native.add(embeddings)
            else:
                add_to_lists(self._native, embeddings, lists)
        except RuntimeError as error:
            raise VectorsError(f"index {self.factory} cannot take rows: {sentence(error)}") from error
        if self.ntotal != before + len(features):
            raise VectorsError(f"index {self.factory}: expected {before + len(features)} rows, seen {self.ntotal}")

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
        """Return the neighbours of unit embeddings (Q, D) as `Index.search` does.

        A query for which the index finds fewer than k is searched again, wider, and at last exactly over what the index
        stores.
        """
        below, live = check_asked(self, embeddings, k, search, rows_below, deleted, passing)
        if passing is not None:
            return self._search_passing(embeddings, k, search, passing)
        wanted = min(k, live)
        # A re-ranking index scores k_factor times k candidates again: for a small k too few to find what 10 finds.
        k = min(max(k, _RANKED), live) if isinstance(self._native, faiss.IndexRefine) else wanted
        queries = np.ascontiguousarray(embeddings, dtype=np.float32)
        selector = faiss.IDSelectorRange(0, below) if below < self.ntotal else None
        if deleted is None or looks_at_every_row(self._native):
            chosen = selector if deleted is None else deleted.selector(below)
            scores, rows = self._attempt(queries, k, search, chosen)
        else:  # more than k, as the deleted ones are taken out afterwards
            scores, rows = deleted.taken_out(*self._attempt(queries, min(2 * k + 16, below), search, selector), k)
        widened = short = np.flatnonzero((rows < 0).any(axis=1))
        if short.size:
            wide = widest(self._native, k, search)
            if wide is not None and deleted is None:
                scores[short], rows[short] = self._attempt(queries[short], k, wide, selector)
            short = np.flatnonzero((rows < 0).any(axis=1))
            for i in range(0, len(short), _FALLBACK_QUERIES):
                part = short[i : i + _FALLBACK_QUERIES]
                scores[part], rows[part] = self._exact(queries[part], k, below, deleted)
        scores, rows = in_order(scores, rows)
        return Neighbours(scores[:, :wanted], rows[:, :wanted], widened)

    def _search_passing(self, embeddings: Floats, k: int, search: Search, passing: Passing) -> Neighbours:
        """Return the neighbours among the rows that pass, min(k, their number) of them."""
        wanted = min(k, len(passing))
        if not wanted:
            return nothing(len(embeddings))
        k = min(max(k, _RANKED), len(passing)) if isinstance(self._native, faiss.IndexRefine) else wanted
        queries = np.ascontiguousarray(embeddings, dtype=np.float32)
        found = search_passing(self._native, queries, k, search, passing, self._attempt, self.stored)
        scores, rows = in_order(*found[:2])
        return Neighbours(scores[:, :wanted], rows[:, :wanted], found[2])

    def stored(self, start: int, stop: int) -> Floats:
        try:
            block: Floats = self._native.reconstruct_n(start, stop - start)
        except RuntimeError as error:
            raise VectorsError(f"index {self.factory} cannot give back its rows: {sentence(error)}") from error
        return block

    def close(self) -> None:
        """Nothing: FAISS lets go of its memory and its map with the last reference."""

    def _attempt(self, queries: Floats, k: int, search: Search, selector: Any) -> Answers:
        parameters = search_parameters(self._native, self.factory, search.given(), selector)
        try:
            scores, rows = self._native.search(queries, k, params=parameters)
        except RuntimeError as error:
            if selector is None:
                raise VectorsError(f"index {self.factory} cannot search: {sentence(error)}") from error
            # Some kinds (PQ fast-scan) refuse a selector; the caller's exact fallback answers all of these queries.
            shape = (len(queries), k)
            return np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int64)
        return scores, rows

    def _exact(self, queries: Floats, k: int, below: int, deleted: Deleted | None) -> Answers:
        found = None if deleted is None else every_row(self._native, queries, k, deleted.selector(below))
        if found is not None:
            return found
        ranking = Ranking(len(queries), k)
        for start in range(0, below, _FALLBACK_ROWS):
            stop = min(start + _FALLBACK_ROWS, below)
            scores = queries @ self.stored(start, stop).T
            if deleted is not None:
                scores[:, deleted.flags[start:stop]] = -np.inf
            ranking.update(start, scores)
        return ranking.result()
