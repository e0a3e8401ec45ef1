"""The only normalization of arrays in the project: features in, embeddings out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simsearch.arrays import Doubles, Floats, Numbers
from simsearch.errors import VectorsError

NEARLY_EQUAL = 0.999  # two images that score above it may be copies; a trained space brings whole labels there

_HINT = "features are made by the embed stage; a row without a direction comes from a broken image or weights"


def norms(features: Numbers) -> Doubles:
    """Return the length of each row, (N, D) -> (N,) float64, summed in float64 so that no float32 overflows.

    Raises VectorsError when `features` is not two-dimensional.
    """
    if features.ndim != 2:
        raise VectorsError(f"features must have the shape (N, D), seen {features.shape}")
    squares: Doubles = np.einsum("nd,nd->n", features, features, dtype=np.float64, casting="safe")
    return np.sqrt(squares)


def normalize(features: Numbers, *, name: Callable[[int], str] | None = None, start: int = 0) -> Floats:
    """Return the embeddings, (N, D) float32 rows of length 1 (Ranjan et al. 2017, arXiv 1703.09507, without alpha).

    `name(start + i)` is the image of row i of `features`, for the error. Raises VectorsError for the first row that is
    zero, NaN or infinite: such a row has no direction, and FAISS would rank it without a word.
    """
    lengths = norms(features)
    usable = np.isfinite(lengths) & (lengths > 0)
    if not usable.all():
        row = int(np.argmin(usable))
        seen = "zero" if lengths[row] == 0 else "NaN or infinite"
        who = f"row {row}" if name is None else f"image {name(start + row)}"
        raise VectorsError(f"the feature of {who} is {seen}: it cannot be normalized", hint=_HINT)
    embeddings = np.empty(features.shape, dtype=np.float32)
    # Divided in float64 and rounded once: a float32 quotient loses rows whose length float32 cannot hold.
    np.divide(features, lengths[:, None], out=embeddings, casting="same_kind")
    return embeddings
