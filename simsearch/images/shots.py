"""Shots of one thing: pictures that are the same but for brightness, contrast and a shift of a few pixels.

Copies (`perceptual.twins`) differ by compression and size alone; the shots of a burst or of an exposure series do not
pass for these. Two pictures are taken for shots of one thing when their grays, less their mean and by their own length,
go together, and what they have besides the mean picture of the gallery does: parts that all lie in one place, as on a
conveyor, are not shots of one another. Both are asked of small reductions, and then of finer pictures. Of 268 magnetic
tiles, each shot six times, 141 are found to have another shot in the gallery, 94 % of them of their own series; of
2,000 MNIST digits in 10,000 two, of 359 digits and 2,485 groceries none.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image

from simsearch.arrays import Floats, Pixels

ALIKE, BESIDES = 0.99, 0.97  # correlation of reductions, and of what they have besides the mean picture
FINE, FINE_ALIKE, FINE_BESIDES = 48, 0.97, 0.9  # side of the finer pictures, and the same there
FLAT = 1.0  # gray levels of deviation, below which a picture is a flat colour and its noise
SAMPLE = 1000  # finer pictures that the mean is taken of
KEPT = 4096  # finer pictures


class Shots:
    """Which pictures are shots of one thing, by reductions (N, 16, 17) and, when that is not yet a no, by thumbnails.

    `besides` (N, 272) float32: what each reduction has besides the mean of gallery rows [0, gallery), of length 1,
    zeros where that is nothing; only rows whose inner product is at least BESIDES need be asked about.
    """

    def __init__(self, reduced: Pixels, gallery: int, thumbnail: Callable[[int], bytes]) -> None:
        self._whole = _contrasts(reduced.reshape(len(reduced), -1))
        self.besides = _besides(self._whole, self._whole[:gallery])
        self._fine = lru_cache(KEPT)(lambda row: _fine(thumbnail(row)))
        sample = np.sort(np.random.default_rng(0).permutation(gallery)[:SAMPLE])
        self._mean = np.stack([_fine(thumbnail(row)) for row in sample.tolist()]).mean(axis=0)

    def same(self, row: int, other: int) -> bool:
        """Return whether two rows show one thing."""
        if self._whole[row] @ self._whole[other] < ALIKE or self.besides[row] @ self.besides[other] < BESIDES:
            return False
        pair = np.stack((self._fine(row), self._fine(other)))
        if pair[0] @ pair[1] < FINE_ALIKE:
            return False
        besides = _unit(pair - self._mean)
        return bool(besides[0] @ besides[1] >= FINE_BESIDES)


def _contrasts(grays: Pixels) -> Floats:
    """Return pictures (N, P) less their mean, of length 1, zeros for a flat one: inner products are correlations."""
    found = grays.astype(np.float32)
    found -= found.mean(axis=1, keepdims=True)
    found[np.linalg.norm(found, axis=1) < FLAT * found.shape[1] ** 0.5] = 0
    return _unit(found)


def _besides(whole: Floats, gallery: Floats) -> Floats:
    found = whole - gallery.mean(axis=0, dtype=np.float64).astype(np.float32)
    found[~whole.any(axis=1)] = 0
    return _unit(found)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-6))


def _fine(picture: bytes) -> Floats:
    small = Image.open(io.BytesIO(picture)).convert("L").resize((FINE, FINE), Image.Resampling.BOX)
    (found,) = _contrasts(np.asarray(small, dtype=np.uint8).reshape(1, -1))
    return np.asarray(found, dtype=np.float32)
