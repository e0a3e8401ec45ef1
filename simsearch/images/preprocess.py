"""RGB or gray pixels -> what the network sees: the ONE definition that training, embedding and querying share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import numpy as np
from PIL import Image

from simsearch.arrays import Floats, Integers, Pixels
from simsearch.errors import RecipeError
from simsearch.images.formats.decoding import FIRST, PRESENT, Decoding
from simsearch.images.formats.pixels import scaled

PREPROCESS_VERSION = 2
MAX_SIZE = 4096

Resize = Literal["squash", "crop", "pad"]
RESIZES: tuple[Resize, ...] = ("squash", "crop", "pad")


@dataclass(frozen=True)
class Preprocess:
    """How a decoded picture becomes (channels, size, size) float32; mean and deviation are those of values / 255.

    squash brings both sides to `size`; crop takes the centre square; pad lays the whole picture on a white square.
    `decoding`: how the picture is decoded before.
    Raises RecipeError for a value that cannot be used.
    """

    size: int
    channels: int
    resize: Resize
    mean: tuple[float, ...]
    std: tuple[float, ...]
    decoding: Decoding = PRESENT

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_SIZE:
            raise RecipeError(f"images.size is {self.size}: expected 1 to {MAX_SIZE} pixels")
        if self.channels not in (1, 3):
            raise RecipeError(f"images have {self.channels} channels: expected 1 or 3")
        if self.resize not in RESIZES:
            raise RecipeError(f"images.resize is {self.resize!r}: expected one of {', '.join(RESIZES)}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not all(math.isfinite(value) for value in values):
                raise RecipeError(f"images.{name} is {list(values)}: expected {self.channels} finite numbers")
        if min(self.std) <= 0:
            raise RecipeError(f"images.std is {list(self.std)}: expected numbers above 0")

    def fit(self, image: Pixels) -> Pixels:
        """Return (size, size, channels) uint8 from (H, W) gray or (H, W, 3) RGB: bilinear with antialias.

        The result may share memory with a picture that fits already. Raises ValueError for any other shape.
        """
        shape = image.shape
        gray = len(shape) == 2
        if not gray and (len(shape) != 3 or shape[2] != 3):
            raise ValueError(f"expected (H, W) or (H, W, 3), got {shape}")
        if not gray and self.channels == 1:
            image, gray = np.asarray(Image.fromarray(image).convert("L")), True
        if shape[0] != self.size or shape[1] != self.size:
            image = self._resized(image)
        if not gray:
            return image
        if self.channels == 1:
            return image[:, :, None]
        return np.repeat(image[:, :, None], 3, axis=2)

    def _resized(self, image: Pixels) -> Pixels:
        picture = Image.fromarray(image)
        square = (self.size, self.size)
        bilinear = Image.Resampling.BILINEAR
        if self.resize == "squash":
            return np.asarray(picture.resize(square, bilinear))
        if self.resize == "crop":
            # Cutting before scaling keeps a picture of 1 x 5000 from growing to 28 x 140000 on the way.
            side = min(picture.size)
            left, top = (picture.width - side) / 2, (picture.height - side) / 2
            return np.asarray(picture.resize(square, bilinear, box=(left, top, left + side, top + side)))
        inner = scaled(picture, self.size)
        canvas = Image.new(picture.mode, square, "white")
        canvas.paste(picture.resize(inner, bilinear), ((self.size - inner[0]) // 2, (self.size - inner[1]) // 2))
        return np.asarray(canvas)

    def scale_offset(self) -> tuple[Floats, Floats]:
        """Return scale and offset, (channels,) float32 each: what the network sees is uint8 * scale + offset."""
        mean, std = np.array(self.mean, dtype=np.float64), np.array(self.std, dtype=np.float64)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def normalize(self, batch: Pixels) -> Floats:
        """Return (N, channels, size, size) float32, contiguous, from (N, size, size, channels) uint8.

        Raises ValueError for another shape or type.
        """
        expected = (self.size, self.size, self.channels)
        if batch.ndim != 4 or batch.shape[1:] != expected or batch.dtype != np.uint8:
            raise ValueError(f"expected (N, {', '.join(map(str, expected))}) uint8, got {batch.shape} {batch.dtype}")
        scale, offset = self.scale_offset()
        out = np.empty((len(batch), self.channels, self.size, self.size), dtype=np.float32)
        out[...] = batch.transpose(0, 3, 1, 2)
        out *= scale[:, None, None]
        out += offset[:, None, None]
        return out

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of plain JSON values, with the version of this definition: 1 knows no decoding."""
        whole = {**asdict(self), "mean": list(self.mean), "std": list(self.std), "decoding": self.decoding.to_json()}
        if self.decoding == FIRST:
            del whole["decoding"]
            return {"version": 1, **whole}
        return {"version": PREPROCESS_VERSION, **whole}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preprocess:
        """Return the Preprocess that `to_json` wrote; raises RecipeError for another version or a missing key."""
        if not known(values):
            raise RecipeError(
                f"preprocessing version {values.get('version')!r}: this program knows 1 to {PREPROCESS_VERSION}"
            )
        try:
            mean, std = (tuple(float(value) for value in values[name]) for name in ("mean", "std"))
            resize = cast(Resize, str(values["resize"]))
            decoding = FIRST if values["version"] == 1 else Decoding.from_json(values["decoding"])
            return cls(int(values["size"]), int(values["channels"]), resize, mean, std, decoding)
        except (KeyError, TypeError, ValueError) as error:
            raise RecipeError(f"preprocessing cannot be read: {type(error).__name__} {error}") from None


def known(values: Mapping[str, Any]) -> bool:
    """Return whether the preprocessing that `to_json` wrote is of a version that this program goes on with."""
    return values.get("version") in range(1, PREPROCESS_VERSION + 1)


def data_mean_std(batches: Iterable[Pixels]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of values / 255 for each channel, from (n, size, size, C) uint8 batches.

    The sums are exact, so the order and the size of the batches do not matter. A deviation of 0 (all pixels alike)
    comes back as 1. Raises ValueError when there is no batch.
    """
    counts: Integers | None = None
    for batch in batches:
        channels = batch.shape[3]
        seen = np.stack([np.bincount(batch[..., channel].ravel(), minlength=256) for channel in range(channels)])
        counts = seen if counts is None else counts + seen
    if counts is None or not counts.sum():
        raise ValueError("no pixels to take the mean of")
    values = np.arange(256) / 255
    total = counts.sum(axis=1)
    mean = counts @ values / total
    variance = (counts * (values - mean[:, None]) ** 2).sum(axis=1) / total
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return tuple(map(float, mean)), tuple(map(float, std))
