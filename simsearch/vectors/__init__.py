"""Features to neighbours: the HDF5 file, normalization and the FAISS index."""
