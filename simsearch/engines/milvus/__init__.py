"""Milvus as an index: a collection of a server, or of one file (milvus-lite), behind the Protocol `Index`."""
