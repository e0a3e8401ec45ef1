"""An index built from blocks of raw features: trained on a sample, filled block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Floats
from simsearch.errors import VectorsError
from simsearch.vectors.index.index import FaissIndex
from simsearch.vectors.index.native import core_of, sentence
from simsearch.vectors.index.protocol import Name
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import HNSW, IVF, KINDS, REFINE

Blocks = Callable[[], Iterable[Floats]]

SAMPLE_ROWS = 65_536  # what product quantizers use at most: 256 rows for each of 256 centroids


@dataclass(frozen=True)
class Trained:
    """What an index is trained with, drawn once for many of them: `sample` (n, D) unit vectors, `centroids` or None."""

    sample: Floats
    centroids: Floats | None = None

    def fit(self, native: Any, index: FaissIndex) -> None:
        """Train a new FAISS index; lists take the centroids, so that only its codes are left to be learnt."""
        core = core_of(native)
        if self.centroids is not None and isinstance(core, faiss.IndexIVF):
            core.quantizer.add(self.centroids)
        _quieten(native)
        try:
            if not native.is_trained:
                native.train(self.sample)
        except Exception as error:
            seen = f"{len(self.sample)} rows: {sentence(error)}"
            raise VectorsError(f"index {index.factory} cannot be trained on {seen}") from error


def find_centroids(sample: Floats, nlist: int, seed: int = 0) -> Floats:
    """Return the centres (nlist, D) of `nlist` lists of unit vectors: spherical k-means, 8 rounds, 48 rows a list."""
    clustering = faiss.Clustering(sample.shape[1], nlist)
    clustering.niter, clustering.seed, clustering.spherical = 8, seed + 1, True
    clustering.min_points_per_centroid = 1  # FAISS would print a warning to stderr for a small data set
    clustering.max_points_per_centroid = 48
    assigned = faiss.IndexFlatIP(sample.shape[1])
    clustering.train(np.ascontiguousarray(sample), assigned)
    centroids: Floats = faiss.vector_to_array(clustering.centroids).reshape(nlist, -1)
    return centroids


def settings_of(factory: str, dim: int) -> tuple[list[str], int]:
    """Return the search settings that indexes of a factory have, and the number of its lists, 0 for one without.

    Raises VectorsError for a factory that FAISS refuses.
    """
    native = _empty(dim, factory)
    core = core_of(native)
    kinds = {IVF: isinstance(core, faiss.IndexIVF), HNSW: isinstance(core, faiss.IndexHNSW)}
    kinds[REFINE] = isinstance(native, faiss.IndexRefine)
    return [key for key, kind in KINDS.items() if kinds[kind]], int(core.nlist) if kinds[IVF] else 0


def check_factory(factory: str, dim: int, rows: int) -> None:
    """Raise the VectorsError that `build` would raise, as far as it can be told before there are rows.

    That is what FAISS cannot make, what knows no inner product, and more lists than rows; not what fails in training.
    """
    native = _empty(dim, factory)
    FaissIndex(native, factory)
    _count_lists(native, factory, rows)


def build(
    blocks: Blocks,
    dim: int,
    factory: str,
    *,
    rows: int | None = None,
    name: Name | None = None,
    seed: int = 0,
    trained: Trained | None = None,
) -> FaissIndex:
    """Return an index of the raw features that `blocks()` yields in row order, (n, dim) float32.

    `blocks` is called once to add, and before that when the factory needs training: on at most
    max(65,536, 64 nlist) rows drawn with `seed`; `trained` spares that pass. `rows` is checked; None costs training one
    more pass, to count. An index of lists is given one more pass, which finds the list of every row, so that lists are
    made as long as they will be: FAISS doubles a list that is full, half as much memory again as the index.
    Memory: the index, that sample, one block and 4 bytes a row. `name(row)` is the image of a row. Raises
    VectorsError for a factory that FAISS refuses, too few rows for it, or a row without direction.
    """
    native = _empty(dim, factory)
    index = FaissIndex(native, factory)
    if trained is not None:
        trained.fit(native, index)
    elif not native.is_trained:
        _train(native, index, blocks, rows or sum(map(len, blocks())), name, seed)
    lists = _nearest_lists(native, index, blocks, name)
    if lists is not None:
        _reserve(native, lists)
    start = 0
    for block in blocks():
        index.add(block, name=name, lists=None if lists is None else lists[start : start + len(block)])
        start += len(block)
    expected = start if rows is None else rows
    if start != expected or index.ntotal != expected or index.dim != dim:
        seen = f"{start} features, an index of {index.ntotal} x {index.dim}"
        raise VectorsError(f"index {factory}: expected {expected} x {dim}, seen {seen}")
    return index


def _nearest_lists(native: Any, index: FaissIndex, blocks: Blocks, name: Name | None) -> NDArray[np.int32] | None:
    """Return the list (rows,) that each row goes to, or None for an index whose lists cannot be reserved."""
    if not isinstance(native, faiss.IndexIVF) or not isinstance(_lists_of(native), faiss.ArrayInvertedLists):
        return None
    parts: list[NDArray[np.int32]] = []
    start = 0
    for block in blocks():
        embeddings = normalize(block, name=name, start=start)
        parts.append(index.nearest_lists(embeddings, 1)[:, 0].astype(np.int32))
        start += len(block)
    lists = np.concatenate(parts) if parts else None
    return None if lists is None or lists.min(initial=0) < 0 else lists  # a graph may find no list for a row


def _reserve(native: Any, lists: NDArray[np.int32]) -> None:
    """Give every list room for its rows, and no more."""
    inverted = _lists_of(native)
    for number, count in enumerate(np.bincount(lists, minlength=native.nlist).tolist()):
        inverted.resize(number, count)
        inverted.resize(number, 0)  # a vector keeps the room that it had


def _lists_of(native: Any) -> Any:
    return faiss.downcast_InvertedLists(native.invlists)


def _quieten(native: Any) -> None:
    """FAISS would print a warning to stderr for every clustering of a small data set."""
    if isinstance(native, faiss.IndexPreTransform):
        chain: Any = native.chain
        for number in range(chain.size()):
            transform = faiss.downcast_VectorTransform(chain.at(number))
            if isinstance(transform, faiss.OPQMatrix) and transform.M > 0 and transform.d_out % transform.M == 0:
                quantizer: Any = faiss.ProductQuantizer(transform.d_out, transform.M, 8)  # the one it would make itself
                quantizer.cp.min_points_per_centroid = 1
                quantizer.this.disown()  # the matrix holds a bare pointer
                transform.pq = quantizer
        _quieten(faiss.downcast_index(native.index))
    elif isinstance(native, faiss.IndexRefine):
        _quieten(faiss.downcast_index(native.base_index))
        _quieten(faiss.downcast_index(native.refine_index))
    owners: tuple[Any, ...] = (native, getattr(native, "pq", None))
    for owner in owners:
        if hasattr(owner, "cp"):
            owner.cp.min_points_per_centroid = 1


def _empty(dim: int, factory: str) -> Any:
    try:
        return faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except Exception as error:
        raise VectorsError(
            f"FAISS refuses the factory {factory!r} for dim {dim}: {sentence(error)}",
            hint="name an index as FAISS's index_factory does, as Flat, IVF256,Flat or HNSW32",
        ) from error


def _count_lists(native: Any, factory: str, rows: int) -> int:
    """Return the number of lists, 1 for an index without; more of them than rows are refused."""
    core = core_of(native)
    nlist = int(core.nlist) if isinstance(core, faiss.IndexIVF) else 1
    if rows < nlist:
        raise VectorsError(
            f"index {factory} needs at least {nlist} rows for its {nlist} lists, seen {rows}",
            hint=f"set [index] factory to Flat, or to fewer lists than {rows}",
        )
    return nlist


def _train(native: Any, index: FaissIndex, blocks: Blocks, rows: int, name: Name | None, seed: int) -> None:
    size = min(rows, max(SAMPLE_ROWS, 64 * _count_lists(native, index.factory, rows)))
    chosen = np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))
    parts = []
    start = 0
    for block in blocks():
        inside = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(block))] - start
        # The whole block is normalized, so that a broken row is named here and not by k-means.
        parts.append(normalize(block, name=name, start=start)[inside])
        start += len(block)
    Trained(np.concatenate(parts)).fit(native, index)
