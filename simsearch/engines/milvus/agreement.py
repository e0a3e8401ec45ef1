"""A sample of what Milvus answers against exact search over the features."""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Integers
from simsearch.engines.milvus.index import MilvusIndex
from simsearch.errors import EngineError
from simsearch.vectors.exact import exact_neighbours
from simsearch.vectors.normalize import normalize

SAMPLE, K = 100, 10
_BLOCK = 65_536
_ROUNDING = 1e-5  # scores of one pair, summed in another order
_LEAST_EXACT = 0.999  # of an index that promises exact answers


def sampled_recall(index: MilvusIndex, live: Integers) -> float:
    """Return the share of the exact first K that the index finds for a sample of the rows that may be found.

    Raises EngineError for one that looks at every row and finds other ones.
    """
    sample = np.sort(np.random.default_rng(0).permutation(live)[:SAMPLE])
    queries = normalize(index.features.at(sample))
    base = (normalize(index.features.at(live[start : start + _BLOCK])) for start in range(0, len(live), _BLOCK))
    exact, _ = exact_neighbours(queries, base, min(K, len(live)))
    found = index.search(queries, exact.shape[1])
    recall = float((found.scores >= exact[:, -1:] - _ROUNDING).mean())
    if index.is_flat and recall < _LEAST_EXACT:
        raise EngineError(f"{index.factory} gives {recall:.4f} of the exact first {K}, where all were expected")
    return recall
