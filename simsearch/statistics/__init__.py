"""Intervals and tests on arrays of values; knows nothing of images, vectors or figures."""
