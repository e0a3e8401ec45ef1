"""The only owner of FAISS: build, open and search an index of embeddings under inner product."""

from simsearch.vectors.index.building import Trained, build, check_factory, find_centroids, settings_of
from simsearch.vectors.index.deleting import Deleted
from simsearch.vectors.index.index import FaissIndex
from simsearch.vectors.index.native import set_threads
from simsearch.vectors.index.passing import Passing
from simsearch.vectors.index.protocol import Index, Neighbours

__all__ = [
    "Deleted",
    "FaissIndex",
    "Index",
    "Neighbours",
    "Passing",
    "Trained",
    "build",
    "check_factory",
    "find_centroids",
    "set_threads",
    "settings_of",
]
