"""Pictures scored by their patches, and how well the heat of their places tells where defects are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from simsearch.arrays import Doubles, Flags, Floats, Integers, Pixels
from simsearch.defects.bank import PatchBank
from simsearch.defects.maps import enlarged
from simsearch.defects.pixels import PixelFigures, pixel_figures
from simsearch.stages.masks import Masks
from simsearch.stages.patches import PatchMaps


def look(bank: PatchBank, maps: PatchMaps, leave_out: Mapping[int, int], row: int) -> tuple[Pixels, Floats]:
    """Return a row's picture and its heat, as large.

    `leave_out`: the group of each row that is not asked about itself.
    """
    (one,) = maps.of(np.array([row]), "heat maps")
    picture = maps.picture(row)
    height, width = picture.shape[:2]
    return picture, enlarged(bank.look(one, leave_out.get(row))[0], height, width, bank.before)


def look_at(
    bank: PatchBank, maps: PatchMaps, normal: Integers, defects: Integers, masks: Masks
) -> tuple[Doubles, Doubles, PixelFigures | None]:
    """Return the defect scores of normal rows and of defective ones, and the figures of their pixels.

    These are of normal pictures and of defective ones whose mask can be used, the heat enlarged to the picture; None
    without such a mask. Every map is made once.
    """
    rows = np.concatenate((normal, defects))
    title = "what tries it"
    if not masks.files:
        scores = bank.scores(maps.of(rows, title))
        return scores[: len(normal)], scores[len(normal) :], None
    found: list[float] = []

    def places() -> Iterator[tuple[Floats, Flags | None]]:
        for number, (row, one) in enumerate(zip(rows.tolist(), maps.of(rows, title), strict=True)):
            heat, score = bank.look(one)
            found.append(score)
            height, width = maps.picture(row).shape[:2]
            mask = masks.of(row, height, width)
            if number < len(normal) or mask is not None:
                yield enlarged(heat, height, width, bank.before), mask

    figures = pixel_figures(places())
    scores = np.array(found, dtype=np.float64)
    return scores[: len(normal)], scores[len(normal) :], figures
