"""Array types, so that a signature says what its numbers are; shapes stand in the docstrings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]  # features, embeddings, scores
Doubles = NDArray[np.float64]  # values of single queries, distances, intervals
Numbers = NDArray[np.floating]  # of either
Integers = NDArray[np.int64]  # rows, indices, counts
Labels = NDArray[np.integer]  # a label a row, negative where there is none
Flags = NDArray[np.bool_]
Pixels = NDArray[np.uint8]  # (H, W) gray or (H, W, 3)
