"""What normal pictures are at first sight, size and colour, and whether another picture is of that kind at all.

A picture of another camera setting has a defect score like any other; the score then tells of the setting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from simsearch.arrays import Pixels

COLOUR = 4.0  # of 255: the mean distance between the channels of a picture, from which on it is in colour
OTHER = 2.0  # times as large, or as small, as any normal picture is another size


@dataclass(frozen=True)
class Looks:
    """The least and largest `height` and `width` of pictures, in pixels, and whether `some` or `all` are in colour."""

    height: tuple[int, int]
    width: tuple[int, int]
    some_in_colour: bool
    all_in_colour: bool

    @classmethod
    def of(cls, pictures: Iterable[Pixels]) -> Self:
        """Return what pictures, (H, W) or (H, W, 3) uint8, at least one, look like."""
        seen = [(*one.shape[:2], in_colour(one)) for one in pictures]
        heights, widths, colours = zip(*seen, strict=True)
        return cls((min(heights), max(heights)), (min(widths), max(widths)), any(colours), all(colours))

    def why_unlike(self, picture: Pixels, *, sizes: bool = True) -> str | None:
        """Return why a picture is of another kind, None where it is not; `sizes`: whether its size counts."""
        if in_colour(picture) and not self.some_in_colour:
            return "it is in colour, and the normal pictures are gray"
        if self.all_in_colour and not in_colour(picture):
            return "it is gray, and the normal pictures are in colour"
        height, width = picture.shape[:2]
        for seen, (least, most) in ((height, self.height), (width, self.width)) if sizes else ():
            if not least / OTHER <= seen <= most * OTHER:
                return f"it is {width} x {height} px, and the normal pictures are {self.spoken()}"
        return None

    def spoken(self) -> str:
        """Return the sizes in words."""
        sides = (f"{low}" if low == high else f"{low} to {high}" for low, high in (self.width, self.height))
        return " x ".join(sides) + " px"

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """Return what `to_json` gave."""
        (low, high), (left, right) = found["height"], found["width"]
        return cls((low, high), (left, right), found["some_in_colour"], found["all_in_colour"])


def in_colour(picture: Pixels) -> bool:
    """Whether the channels of a picture, (H, W) or (H, W, 3) uint8, differ."""
    if picture.ndim == 2:
        return False
    return bool(np.ptp(picture[::4, ::4].astype(np.int16), axis=2).mean() > COLOUR)
