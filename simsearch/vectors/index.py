"""The only owner of FAISS: build, save, load and search an index of embeddings under inner product."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.errors import VectorsError
from simsearch.vectors.exact import Ranking
from simsearch.vectors.normalize import normalize

Blocks = Callable[[], Iterable[NDArray[np.float32]]]
Name = Callable[[int], str]

_faiss: Any = faiss  # FAISS's stubs do not know the keyword arguments of its search parameters
_READ_FLOOR = 64 << 20  # bytes; a damaged length in a small file must not allocate more than this
_FALLBACK_ROWS = 65_536  # rows reconstructed at a time by the exact fallback
_FALLBACK_QUERIES = 32
_SAMPLE_ROWS = 65_536  # what product quantizers use at most: 256 rows for each of 256 centroids


class Index:
    """A FAISS index under inner product whose ids are rows; `widened` counts queries that needed a wider search."""

    def __init__(self, native: Any, factory: str) -> None:
        if native.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise VectorsError(f"index {factory}: expected inner product, seen metric {native.metric_type}")
        self._native = native
        self.factory = factory
        self.widened = 0

    @property
    def ntotal(self) -> int:
        """Number of rows."""
        return int(self._native.ntotal)

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return int(self._native.d)

    @property
    def is_flat(self) -> bool:
        """Whether every answer is exact."""
        return isinstance(self._native, faiss.IndexFlat)

    @property
    def stores_vectors(self) -> bool:
        """Whether embeddings are stored as they are, not coded."""
        return isinstance(self._native, faiss.IndexFlat | faiss.IndexIVFFlat | faiss.IndexHNSWFlat)

    @classmethod
    def load(cls, path: Path, *, factory: str | None = None, threads: int | None = None) -> Index:
        """Return the index in `path`; `factory` is its string where the caller knows it, else FAISS's type name.

        Raises VectorsError for a missing, truncated or foreign file, or another metric than inner product.
        """
        if threads is not None:
            set_threads(threads)
        bytes_before = faiss.get_deserialization_vector_byte_limit()
        try:
            faiss.set_deserialization_vector_byte_limit(max(2 * path.stat().st_size, _READ_FLOOR))
            native = faiss.read_index(str(path))
            return cls(native, factory or _kind(native))
        except OSError as error:
            raise VectorsError(f"cannot read index {path}: {error.strerror}") from error
        except VectorsError as error:
            raise VectorsError(f"cannot read index {path}: {error.message}") from error
        except Exception as error:  # FAISS raises whatever C++ did: RuntimeError, MemoryError, AssertionError
            raise VectorsError(f"cannot read index {path}: {_sentence(error)}") from error
        finally:
            faiss.set_deserialization_vector_byte_limit(bytes_before)

    def save(self, path: Path) -> None:
        """Write the index to `path`. Raises VectorsError when it cannot be written."""
        try:
            faiss.write_index(self._native, str(path))
        except Exception as error:
            raise VectorsError(f"cannot write index {path}: {_sentence(error)}") from error

    def add(self, features: NDArray[np.float32], *, name: Name | None = None) -> None:
        """Append raw features (n, D), normalized here, as rows ntotal and on; `name(row)` is the image of a row."""
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise VectorsError(f"index {self.factory}: expected features (N, {self.dim}), seen {features.shape}")
        before = self.ntotal
        embeddings = normalize(features, name=_shifted(name, before))
        try:
            self._native.add(embeddings)
        except RuntimeError as error:
            raise VectorsError(f"index {self.factory} cannot take rows: {_sentence(error)}") from error
        if self.ntotal != before + len(features):
            raise VectorsError(f"index {self.factory}: expected {before + len(features)} rows, seen {self.ntotal}")

    def search(
        self,
        embeddings: NDArray[np.float32],
        k: int,
        *,
        nprobe: int | None = None,
        efSearch: int | None = None,  # FAISS spells it so, and the recipe too
        rows_below: int | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return (scores (Q, k) float32, rows (Q, k) int64) for unit embeddings (Q, D), ordered (score, then row).

        k is capped at the rows that are searched: all, or those below `rows_below`. A query for which the index finds
        fewer is searched again, wider, and at last exactly over what the index stores; -1 never leaves.
        Raises VectorsError for another dim, k < 1, or nprobe or efSearch on an index that has none.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dim:
            raise VectorsError(f"index {self.factory}: expected queries (Q, {self.dim}), seen {embeddings.shape}")
        below = self.ntotal if rows_below is None else min(rows_below, self.ntotal)
        for key, value in (("k", k), ("nprobe", nprobe), ("efSearch", efSearch), ("rows_below", below)):
            if value is not None and value < 1:
                raise VectorsError(f"index {self.factory}: expected {key} >= 1, seen {value}")
        k = min(k, below)
        queries = np.ascontiguousarray(embeddings, dtype=np.float32)
        scores, rows = self._attempt(queries, k, nprobe, efSearch, below)
        short = np.flatnonzero((rows < 0).any(axis=1))
        if short.size:
            self.widened += len(short)
            wide = self._widest(k)
            if wide != (None, None):
                scores[short], rows[short] = self._attempt(queries[short], k, *wide, below)
            short = np.flatnonzero((rows < 0).any(axis=1))
            for i in range(0, len(short), _FALLBACK_QUERIES):
                part = short[i : i + _FALLBACK_QUERIES]
                scores[part], rows[part] = self._exact(queries[part], k, below)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def stored(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return what the index stores of rows [start, stop), (stop - start, D) float32, decoded where it is coded."""
        try:
            block: NDArray[np.float32] = self._native.reconstruct_n(start, stop - start)
        except RuntimeError as error:
            raise VectorsError(f"index {self.factory} cannot give back its rows: {_sentence(error)}") from error
        return block

    def _attempt(
        self, queries: NDArray[np.float32], k: int, nprobe: int | None, ef: int | None, below: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        selector = faiss.IDSelectorRange(0, below) if below < self.ntotal else None
        parameters = _parameters(self._native, self.factory, nprobe, ef, selector)
        try:
            scores, rows = self._native.search(queries, k, params=parameters)
        except RuntimeError as error:
            if selector is None:
                raise VectorsError(f"index {self.factory} cannot search: {_sentence(error)}") from error
            # Some kinds (PQ fast-scan) refuse a selector; the caller's exact fallback answers all of these queries.
            shape = (len(queries), k)
            return np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int64)
        return scores, rows

    def _widest(self, k: int) -> tuple[int | None, int | None]:
        core = _core(self._native)
        if isinstance(core, faiss.IndexIVF):
            return int(core.nlist), None
        if isinstance(core, faiss.IndexHNSW):
            return None, min(self.ntotal, max(16 * int(core.hnsw.efSearch), 4 * k))
        return None, None

    def _exact(self, queries: NDArray[np.float32], k: int, below: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        ranking = Ranking(len(queries), k)
        for start in range(0, below, _FALLBACK_ROWS):
            ranking.update(start, queries @ self.stored(start, min(start + _FALLBACK_ROWS, below)).T)
        return ranking.result()


def set_threads(threads: int) -> None:
    """Set the number of threads that FAISS uses; 1 is fastest for one query at a time."""
    faiss.omp_set_num_threads(threads)


def build(
    blocks: Blocks,
    dim: int,
    factory: str,
    *,
    rows: int | None = None,
    name: Name | None = None,
    seed: int = 0,
) -> Index:
    """Return an index of the raw features that `blocks()` yields in row order, (n, dim) float32.

    `blocks` is called once to add, and before that when the factory needs training: on at most
    max(65,536, 64 nlist) rows drawn with `seed`. `rows` is checked; None costs training one more pass, to count.
    Memory: the index, that sample and one block. `name(row)` is the image of a row. Raises VectorsError for a factory
    that FAISS refuses, too few rows for it, or a row without direction.
    """
    try:
        native = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except Exception as error:
        raise VectorsError(f"FAISS refuses the factory {factory!r} for dim {dim}: {_sentence(error)}") from error
    index = Index(native, factory)
    if not native.is_trained:
        _train(native, index, blocks, rows or sum(map(len, blocks())), name, seed)
    start = 0
    for block in blocks():
        index.add(block, name=name)
        start += len(block)
    expected = start if rows is None else rows
    if start != expected or index.ntotal != expected or index.dim != dim:
        seen = f"{start} features, an index of {index.ntotal} x {index.dim}"
        raise VectorsError(f"index {factory}: expected {expected} x {dim}, seen {seen}")
    return index


def _train(native: Any, index: Index, blocks: Blocks, rows: int, name: Name | None, seed: int) -> None:
    core = _core(native)
    nlist = int(core.nlist) if isinstance(core, faiss.IndexIVF) else 1
    if rows < nlist:
        raise VectorsError(
            f"index {index.factory} needs at least {nlist} rows for its {nlist} lists, seen {rows}",
            hint=f"set [index] factory to Flat, or to fewer lists than {rows}",
        )
    if isinstance(core, faiss.IndexIVF):
        core.cp.min_points_per_centroid = 1  # FAISS would print a warning to stderr for a small data set
    size = min(rows, max(_SAMPLE_ROWS, 64 * nlist))
    chosen = np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))
    parts = []
    start = 0
    for block in blocks():
        inside = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(block))] - start
        # The whole block is normalized, so that a broken row is named here and not by k-means.
        parts.append(normalize(block, name=_shifted(name, start))[inside])
        start += len(block)
    try:
        native.train(np.concatenate(parts))
    except Exception as error:
        raise VectorsError(f"index {index.factory} cannot be trained on {size} rows: {_sentence(error)}") from error


def _shifted(name: Name | None, start: int) -> Name | None:
    return None if name is None else lambda row: name(start + row)


def _kind(native: Any) -> str:
    return "Flat" if isinstance(native, faiss.IndexFlat) else type(native).__name__


def _core(native: Any) -> Any:
    """Return the index under transforms and re-ranking, the one that has nprobe or efSearch."""
    if isinstance(native, faiss.IndexPreTransform):
        return _core(faiss.downcast_index(native.index))
    if isinstance(native, faiss.IndexRefine):
        return _core(faiss.downcast_index(native.base_index))
    return native


def _parameters(native: Any, factory: str, nprobe: int | None, ef: int | None, selector: Any) -> Any:
    """Return FAISS's search parameters for this kind of index, nested as its wrappers are, or None for defaults."""
    if nprobe is None and ef is None and selector is None:
        return None
    if isinstance(native, faiss.IndexPreTransform):
        inner = _parameters(faiss.downcast_index(native.index), factory, nprobe, ef, selector)
        return _faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(native, faiss.IndexRefine):
        inner = _parameters(faiss.downcast_index(native.base_index), factory, nprobe, ef, selector)
        return _faiss.IndexRefineSearchParameters(k_factor=native.k_factor, base_index_params=inner)
    chosen = {} if selector is None else {"sel": selector}
    if nprobe is not None and not isinstance(native, faiss.IndexIVF):
        raise VectorsError(f"index {factory} has no nprobe", hint="nprobe belongs to IVF indexes")
    if ef is not None and not isinstance(native, faiss.IndexHNSW):
        raise VectorsError(f"index {factory} has no efSearch", hint="efSearch belongs to HNSW indexes")
    if isinstance(native, faiss.IndexIVF):
        return _faiss.SearchParametersIVF(nprobe=nprobe or native.nprobe, **chosen)
    if isinstance(native, faiss.IndexHNSW):
        return _faiss.SearchParametersHNSW(efSearch=ef or native.hnsw.efSearch, **chosen)
    return _faiss.SearchParameters(**chosen)


def _sentence(error: BaseException) -> str:
    """Return FAISS's own words: its messages begin with the C++ function, file and line that threw them."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "read error" in text:
        return "the file ends too early"
    text = re.sub(r"^Error in .*? at \S+:\d+: ", "", text)
    return re.sub(r"^Error: '(.*?)' failed(?:: (?=\S)|:?\s*$)", lambda m: "" if m.end() < len(text) else m[1], text)
