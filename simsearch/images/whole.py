"""A picture as a network sees it, its aspect kept: for maps of places, where no square is asked for."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from simsearch.arrays import Floats, Pixels
from simsearch.images.preprocess import Preprocess


def sides_of(height: int, width: int, side: int, multiple: int) -> tuple[int, int]:
    """Return the height and width, multiples of `multiple`, of a picture brought to an area of `side` x `side`.

    It is never enlarged, but by less than half a multiple, as the sides are rounded.
    """
    scale = min(1.0, side / math.sqrt(height * width))
    across, down = (max(multiple, round(length * scale / multiple) * multiple) for length in (width, height))
    return down, across


def whole(picture: Pixels, preprocess: Preprocess, side: int, multiple: int) -> Floats:
    """Return (1, C, H, W) float32 of a whole picture, (H, W) gray or (H, W, 3) RGB uint8, at the sides of `sides_of`.

    Channels, their order, interpolation, mean and deviation are those of `preprocess`; its size and way to a square
    are not used. Raises ValueError for another shape or type.
    """
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3) or picture.dtype != np.uint8:
        raise ValueError(f"expected (H, W) or (H, W, 3) uint8, got {picture.shape} {picture.dtype}")
    image = Image.fromarray(picture)
    if preprocess.channels == 1:
        image = image.convert("L")
    down, across = sides_of(picture.shape[0], picture.shape[1], side, multiple)
    if image.size != (across, down):
        image = image.resize((across, down), Image.Resampling[preprocess.interpolation.upper()])
    values = np.asarray(image).reshape(down, across, -1)
    if preprocess.order == "bgr":
        values = values[:, :, ::-1]
    scale, offset = preprocess.scale_offset()
    out = np.empty((1, preprocess.channels, down, across), dtype=np.float32)
    out[0] = values.transpose(2, 0, 1)  # gray is repeated for three channels
    out *= scale[:, None, None]
    out += offset[:, None, None]
    return out
