"""Small pictures for the report of defects: each as it is, with its mask's outline, and under the heat of its places.

They are drawn when the detector is fitted, from maps that are still there: a report asks no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from simsearch.arrays import Floats, Pixels
from simsearch.defects.heatmap import heated, outlined
from simsearch.images.thumbnails import encode_thumbnail, shrunken, write_thumbnails
from simsearch.stages.masks import Masks

SIDE = 160  # px of the longer one: some 4 kB a picture

Look = Callable[[int], tuple[Pixels, Floats]]  # a row's picture and its heat


def draw(folder: Path, rows: Iterable[int], look: Look, masks: Masks, threshold: float) -> None:
    """Write into `folder`, as thumbnails are, two pictures of each row in order: as it is, and under its heat."""
    with write_thumbnails(folder) as append:
        for row in rows:
            picture, heat = look(row)
            mask = masks.of(row, *picture.shape[:2])
            small = shrunken(picture, SIDE)
            plain = small if mask is None else outlined(small, shrunken(mask.astype(np.uint8) * 255, SIDE) > 0)
            append(encode_thumbnail(plain, SIDE))
            append(encode_thumbnail(heated(small, heat, threshold), SIDE))
