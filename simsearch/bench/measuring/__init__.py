"""Cells of the matrix built and timed."""
