"""The only owner of FAISS: build, save, load and search an index of embeddings under inner product."""

from simsearch.vectors.index.building import Blocks, Trained, build, check_factory, find_centroids
from simsearch.vectors.index.deleting import Deleted
from simsearch.vectors.index.index import Index, Name
from simsearch.vectors.index.native import set_threads

__all__ = ["Blocks", "Deleted", "Index", "Name", "Trained", "build", "check_factory", "find_centroids", "set_threads"]
