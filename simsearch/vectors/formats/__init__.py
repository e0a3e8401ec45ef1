"""Vectors that other tools made or read: .npy and folders of it, ann-benchmarks HDF5, .fvecs; read and written."""

from simsearch.vectors.formats.opening import VectorFile, open_vectors

__all__ = ["VectorFile", "open_vectors"]
