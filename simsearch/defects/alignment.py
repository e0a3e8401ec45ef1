"""Where the places of a map look: what one answers to need not lie in the middle of its square.

A convolution of 3 with a pad of 1 and a stride of 2 sees around each second pixel, so that a place of stride 16 sees
around 7.5 px before its middle (Araujo et al. 2019, Computing receptive fields, section 3). Weights may look further to
a side, as those of a network that was trained with its pads at the end and is run with pads all around. So it is tried.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from simsearch.arrays import Floats

PICTURES, SPOTS = 8, 8  # of noise, and in each: the standard error is a hundredth of a place
PLACES = 6  # a side, of the coarsest stride
HALF = 3  # px of a spot on either side of its middle
FAINT = 0.05  # of the largest answer; what is less is no answer to the spot


class Network(Protocol):
    """What gives maps of inner stages; several threads may use it at once."""

    widths: dict[int, int]

    def maps(self, batch: Floats) -> dict[int, Floats]:
        """Return the maps (N, width, H / stride, W / stride) float32 at each stride of a batch (N, C, H, W)."""


def seen_before(network: Network, channels: int, multiple: int) -> float:
    """Return how far before the middle of a place what it answers to lies, at the finest stride, in shares of a place.

    Spots are laid into noise, and the middle of how far each place moved, squared, is compared with that of the spot;
    spots lie evenly around the middle of the picture, so that what moves everywhere counts on neither side. Always the
    same noise; sides are of `multiple` px. 0 where nothing moves.
    """
    random = np.random.default_rng(0)
    stride, side = min(network.widths), PLACES * multiple
    middles = (np.arange(side // stride) + 0.5) * stride - 0.5
    found = []
    for _ in range(PICTURES):
        noise = random.normal(0, 0.5, (1, channels, side, side)).astype(np.float32)
        usual = network.maps(noise)[stride][0]
        for row, column in random.integers(side // 3, side - side // 3, (SPOTS, 2)).tolist():
            spotted = noise.copy()
            spotted[:, :, row - HALF : row + HALF + 1, column - HALF : column + HALF + 1] -= 2
            moved = np.square(network.maps(spotted)[stride][0] - usual, dtype=np.float64).sum(axis=0)
            moved = np.maximum(moved - FAINT * moved.max(), 0)
            if total := float(moved.sum()):
                found += [moved.sum(axis=1) @ middles / total - row, moved.sum(axis=0) @ middles / total - column]
    return float(np.mean(found)) / stride if found else 0.0
