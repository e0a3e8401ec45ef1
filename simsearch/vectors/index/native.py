"""FAISS's own objects: kinds of index, search parameters nested as wrappers are, its words made readable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Floats
from simsearch.errors import VectorsError
from simsearch.vectors.search import HNSW, IVF, KINDS, REFINE, Search

_faiss: Any = faiss  # FAISS's stubs do not know the keyword arguments of its search parameters


def set_threads(threads: int) -> None:
    """Set the number of threads that FAISS uses; 1 is fastest for one query at a time."""
    faiss.omp_set_num_threads(threads)


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


def search_parameters(native: Any, factory: str, settings: Mapping[str, int | float], selector: Any) -> Any:
    """Return FAISS's search parameters for this kind of index, nested as its wrappers are, or None for defaults.

    `settings` are those of a Search that are given. Raises VectorsError for one that this kind does not have.
    """
    if selector is None and not settings:
        return None
    if isinstance(native, faiss.IndexPreTransform):
        inner = search_parameters(faiss.downcast_index(native.index), factory, settings, selector)
        return _faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(native, faiss.IndexRefine):
        others = {key: value for key, value in settings.items() if KINDS[key] != REFINE}
        inner = search_parameters(faiss.downcast_index(native.base_index), factory, others, selector)
        return _faiss.IndexRefineSearchParameters(base_index_params=inner, **_own(REFINE, native, settings))
    kind = IVF if isinstance(native, faiss.IndexIVF) else HNSW if isinstance(native, faiss.IndexHNSW) else ""
    for key in settings:
        if KINDS[key] != kind:
            which = KINDS[key].replace("|", " and ")
            raise VectorsError(f"index {factory} has no {key}", hint=f"{key} belongs to {which} indexes")
    chosen = {} if selector is None else {"sel": selector}
    if kind == IVF:
        return _faiss.SearchParametersIVF(**_own(IVF, native, settings), **chosen)
    if kind == HNSW:
        return _faiss.SearchParametersHNSW(**_own(HNSW, native.hnsw, settings), **chosen)
    return _faiss.SearchParameters(**chosen)


def _own(kind: str, native: Any, settings: Mapping[str, int | float]) -> dict[str, int | float]:
    """Return all settings of a kind: FAISS's parameters would not leave the index's own to one that is not named."""
    return {key: settings.get(key, getattr(native, key)) for key in KINDS if KINDS[key] == kind}


def widest(native: Any, k: int, search: Search) -> Search | None:
    """Return the settings at which the index finds most, or None where no setting lets it find more."""
    core = core_of(native)
    if isinstance(core, faiss.IndexIVF):
        return replace(search, nprobe=int(core.nlist))
    if isinstance(core, faiss.IndexHNSW):
        return replace(search, efSearch=min(int(native.ntotal), max(16 * int(core.hnsw.efSearch), 4 * k)))
    return None


def sentence(error: BaseException) -> str:
    """Return FAISS's own words: its messages begin with the C++ function, file and line that threw them."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "read error" in text:
        return "the file ends too early"
    text = re.sub(r"^Error in .*? at \S+:\d+: ", "", text)
    return re.sub(r"^Error: '(.*?)' failed(?:: (?=\S)|:?\s*$)", lambda m: "" if m.end() < len(text) else m[1], text)
