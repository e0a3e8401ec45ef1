"""Clustered embeddings and an index of each kind over them, as searches among some of the rows are tried on."""

from __future__ import annotations

import numpy as np

from simsearch.vectors.index import build
from simsearch.vectors.normalize import normalize

N, D = 3000, 16  # rows that are searched, and their width
STORED = ("Flat", "IVF16,Flat", "HNSW16")
# What the factory stores decides what exact means: for these it is the search over what they give back.
CODED = ("SQ8", "IVF16,SQ8", "PCA8,IVF16,Flat", "IVF16,PQ4x4fs,RFlat", "IVF16,PQ16x4fsr,RFlat", "PQ4x4fs", "RaBitQ",
         "HNSW16_SQ8")  # fmt: skip


def drawn(seed, queries):
    """N rows and the queries behind them, around twelve centres: (N + queries, D) unit vectors."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((12, D))
    return normalize(centres[random.integers(0, 12, N + queries)] + 0.5 * random.standard_normal((N + queries, D)))


def built(embeddings, factories):
    """An index of each factory over the first N rows."""
    return {factory: build(lambda: [embeddings[:N]], D, factory) for factory in factories}
