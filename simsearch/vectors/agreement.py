"""Does an index belong to these features? Row count, unit length and agreement, without searching."""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Floats
from simsearch.errors import InvariantError
from simsearch.vectors.index import Index
from simsearch.vectors.normalize import normalize, norms


def verify(index: Index, rows: int, sample: Floats, start: int = 0) -> None:
    """Check that `index` holds `rows` rows and that rows from `start` on are the raw features `sample` (n, D).

    Unit length and agreement are checked where the index stores vectors as they are (Flat, IVF with Flat, HNSW).
    Raises InvariantError with expected and seen.
    """
    if index.ntotal != rows:
        raise InvariantError(f"index {index.factory}: expected {rows} rows, seen {index.ntotal}")
    if sample.ndim != 2 or sample.shape[1] != index.dim:
        raise InvariantError(f"index {index.factory}: expected features (N, {index.dim}), seen {sample.shape}")
    if not index.stores_vectors or not len(sample):
        return
    stored = index.stored(start, start + len(sample))
    worst = float(np.abs(norms(stored) - 1).max())
    if not worst < 1e-3:
        raise InvariantError(f"index {index.factory}: expected unit vectors, seen a length that is off by {worst:.3g}")
    agreement = float(np.einsum("nd,nd->n", stored, normalize(sample)).min())
    if not agreement > 0.999:
        raise InvariantError(
            f"index {index.factory} belongs to other features: a row agrees with its feature only to {agreement:.3f}",
            hint="build again: the index and the features come from different runs",
        )
