"""Defects made from normal pictures, where there are none to choose a method by: a piece cut out and pasted elsewhere.

CutPaste (Li et al. 2021, arXiv 2104.04015, section 2.2): a rectangle of 2 to 15 % of the picture, or a thin, turned
scar, its brightness changed a little. What is pasted is of the same material, so that nothing but its edge and its
place is wrong: real defects are easier in one way and harder in another, and a figure on such pictures ranks methods
only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simsearch.arrays import Doubles, Flags, Pixels
from simsearch.errors import VectorsError

LEAST_SIDE = 16

_AREA = (0.02, 0.15)  # of a pasted rectangle, as a share of the picture
_ASPECT = 3.3  # at most, either way
_SCAR_WIDTH, _SCAR_LENGTH, _SCAR_TURN = (2, 16), (10, 25), 45.0  # pixels of a picture of 256, degrees
_PAPER_SIDE = 256
_JITTER = 0.1  # of the brightness
_TRIES = 10


def cut_and_paste(picture: Pixels, seed: int | Sequence[int]) -> tuple[Pixels, Flags]:
    """Return a defective copy of a normal picture, (H, W) or (H, W, 3) uint8, and where the defect is, (H, W).

    The same seed gives the same defect. One that changes nothing, as on a flat ground, is drawn again, at most 10
    times. Raises VectorsError for a picture below 16 pixels a side.
    """
    if min(picture.shape[:2]) < LEAST_SIDE:
        raise VectorsError(
            f"expected a picture of {LEAST_SIDE} pixels a side or more, to paste a defect into, "
            f"seen {picture.shape[0]} x {picture.shape[1]}",
            hint="name the method, or give pictures of defects to choose it by",
        )
    random = np.random.default_rng(seed)
    for _ in range(_TRIES):
        made, mask = _pasted(picture, random)
        if (made != picture).any():
            break
    return made, mask


def _pasted(picture: Pixels, random: np.random.Generator) -> tuple[Pixels, Flags]:
    sides = np.array(picture.shape[:2], dtype=np.float64)
    size, turn = _scar(sides, random) if random.random() < 0.5 else _rectangle(sides, random)
    # Both places keep a margin of half the piece, so that what is cut lies within the picture.
    source, target = (random.uniform(size / 2, sides - size / 2) for _ in range(2))
    y, x = np.indices(picture.shape[:2]) + 0.5
    down, right = y - target[0], x - target[1]
    # From the picture back into the piece: turned by the angle, then moved to where it was cut.
    along = np.cos(turn) * down + np.sin(turn) * right
    across = np.cos(turn) * right - np.sin(turn) * down
    mask = (np.abs(along) <= size[0] / 2) & (np.abs(across) <= size[1] / 2)
    rows = np.clip(source[0] + along[mask], 0, sides[0] - 1).astype(np.int64)
    columns = np.clip(source[1] + across[mask], 0, sides[1] - 1).astype(np.int64)
    made = picture.copy()
    lit = picture[rows, columns] * random.uniform(1 - _JITTER, 1 + _JITTER)
    made[mask] = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    return made, mask


def _rectangle(sides: Doubles, random: np.random.Generator) -> tuple[Doubles, float]:
    """Return height and width of a piece that fits into the picture, and how it is turned: not."""
    area = random.uniform(*_AREA) * sides.prod()
    aspect = np.exp(random.uniform(-np.log(_ASPECT), np.log(_ASPECT)))
    size = np.sqrt(area * np.array((aspect, 1 / aspect)))
    return np.clip(size, 2, sides * 0.9), 0.0


def _scar(sides: Doubles, random: np.random.Generator) -> tuple[Doubles, float]:
    """Return length and width of a scar, as large as the paper's are in its pictures, and its turn in radians."""
    scale = np.sqrt(sides.prod()) / _PAPER_SIDE
    size = np.array((random.uniform(*_SCAR_LENGTH), random.uniform(*_SCAR_WIDTH))) * scale
    upright = random.random() < 0.5
    turn = np.radians(random.uniform(-_SCAR_TURN, _SCAR_TURN))
    return np.clip(size if upright else size[::-1], 2, sides * 0.9), float(turn)
