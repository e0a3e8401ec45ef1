"""Neighbours to numbers: retrieval metrics, boundary queries, statistics and the report."""
