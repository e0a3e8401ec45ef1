"""FAISS's own objects: kinds of index, search parameters nested as wrappers are, its words made readable."""

from __future__ import annotations

import re
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Floats
from simsearch.errors import VectorsError

_faiss: Any = faiss  # FAISS's stubs do not know the keyword arguments of its search parameters


def set_threads(threads: int) -> None:
    """Set the number of threads that FAISS uses; 1 is fastest for one query at a time."""
    faiss.omp_set_num_threads(threads)


def kind_of(native: Any) -> str:
    return "Flat" if isinstance(native, faiss.IndexFlat) else type(native).__name__


def core_of(native: Any) -> Any:
    """Return the index under transforms and re-ranking, the one that has nprobe or efSearch."""
    if isinstance(native, faiss.IndexPreTransform):
        return core_of(faiss.downcast_index(native.index))
    if isinstance(native, faiss.IndexRefine):
        return core_of(faiss.downcast_index(native.base_index))
    return native


def add_to_lists(native: Any, embeddings: Floats, lists: NDArray[np.int32]) -> None:
    """Append embeddings (n, D) to the lists (n,) of an IVF index that they are nearest to."""
    rows, numbers = np.ascontiguousarray(embeddings), np.ascontiguousarray(lists, dtype=np.int64)
    native.add_core(len(rows), faiss.swig_ptr(rows), None, faiss.swig_ptr(numbers))


def search_parameters(
    native: Any, factory: str, nprobe: int | None, ef: int | None, selector: Any, k_factor: float | None = None
) -> Any:
    """Return FAISS's search parameters for this kind of index, nested as its wrappers are, or None for defaults."""
    if nprobe is None and ef is None and selector is None and k_factor is None:
        return None
    if isinstance(native, faiss.IndexPreTransform):
        inner = search_parameters(faiss.downcast_index(native.index), factory, nprobe, ef, selector, k_factor)
        return _faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(native, faiss.IndexRefine):
        inner = search_parameters(faiss.downcast_index(native.base_index), factory, nprobe, ef, selector)
        factor = native.k_factor if k_factor is None else k_factor
        return _faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=inner)
    chosen = {} if selector is None else {"sel": selector}
    if k_factor is not None:
        raise VectorsError(f"index {factory} has no k_factor", hint="k_factor belongs to indexes that end in RFlat")
    if nprobe is not None and not isinstance(native, faiss.IndexIVF):
        raise VectorsError(f"index {factory} has no nprobe", hint="nprobe belongs to IVF indexes")
    if ef is not None and not isinstance(native, faiss.IndexHNSW):
        raise VectorsError(f"index {factory} has no efSearch", hint="efSearch belongs to HNSW indexes")
    if isinstance(native, faiss.IndexIVF):
        return _faiss.SearchParametersIVF(nprobe=nprobe or native.nprobe, **chosen)
    if isinstance(native, faiss.IndexHNSW):
        return _faiss.SearchParametersHNSW(efSearch=ef or native.hnsw.efSearch, **chosen)
    return _faiss.SearchParameters(**chosen)


def sentence(error: BaseException) -> str:
    """Return FAISS's own words: its messages begin with the C++ function, file and line that threw them."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "read error" in text:
        return "the file ends too early"
    text = re.sub(r"^Error in .*? at \S+:\d+: ", "", text)
    return re.sub(r"^Error: '(.*?)' failed(?:: (?=\S)|:?\s*$)", lambda m: "" if m.end() < len(text) else m[1], text)
