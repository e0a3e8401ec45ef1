"""RGB or gray pixels -> what the network sees: the ONE definition that training, embedding and querying share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast, get_args

import numpy as np
from PIL import Image

from simsearch.arrays import Floats, Integers, Pixels
from simsearch.errors import RecipeError
from simsearch.images.formats.decoding import FIRST, PRESENT, Decoding
from simsearch.images.formats.pixels import scaled

PREPROCESS_VERSION = 3
MAX_SIZE = 4096

Resize = Literal["squash", "crop", "pad", "center_crop", "floor_crop"]
RESIZES: tuple[Resize, ...] = get_args(Resize)
CENTRED = ("center_crop", "floor_crop")
Interpolation = Literal["bilinear", "bicubic", "lanczos"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
Order = Literal["rgb", "bgr"]
ORDERS: tuple[Order, ...] = get_args(Order)
LEAST_SHARE = 0.1
ROUNDING = 1e-6  # 224 / (224 / 235) is a little less than 235
LONGEST = 8  # times as long as wide: a longer picture is cut before it is scaled, not to need room for all of it
EDGE = 4  # pixels that interpolation may reach beyond an edge

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Preprocess:
    """How a decoded picture becomes (channels, size, size) float32; mean and deviation are those of values / 255.

    squash brings both sides to `size`; crop takes the centre square; pad lays the whole picture on a white square;
    center_crop brings the shorter side to `size / crop_share` and cuts the centre, in whole pixels as torchvision's
    Resize and CenterCrop do; floor_crop does so as transformers' image processors do, which round half a pixel of a
    corner down (torchvision: to the even pixel). `decoding`: how the picture is decoded before. `antialias`: whether
    all pixels count when a picture shrinks, `order`: of the channels, `draft`: whether a large JPEG may be decoded at
    a reduced size.
    Raises RecipeError for a value that cannot be used.
    """

    size: int
    channels: int
    resize: Resize
    mean: tuple[float, ...]
    std: tuple[float, ...]
    decoding: Decoding = PRESENT
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    crop_share: float = 1.0
    order: Order = "rgb"
    draft: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_SIZE:
            raise RecipeError(f"images.size is {self.size}: expected 1 to {MAX_SIZE} pixels")
        if self.channels not in (1, 3):
            raise RecipeError(f"images have {self.channels} channels: expected 1 or 3")
        for key, value, legal in (
            ("resize", self.resize, RESIZES),
            ("interpolation", self.interpolation, INTERPOLATIONS),
            ("order", self.order, ORDERS),
        ):
            if value not in legal:
                raise RecipeError(f"images.{key} is {value!r}: expected one of {', '.join(legal)}")
        self._check_what_goes_together()
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not all(math.isfinite(value) for value in values):
                raise RecipeError(f"images.{name} is {list(values)}: expected {self.channels} finite numbers")
        if min(self.std) <= 0:
            raise RecipeError(f"images.std is {list(self.std)}: expected numbers above 0")

    def _check_what_goes_together(self) -> None:
        if not LEAST_SHARE <= self.crop_share <= 1:
            raise RecipeError(f"images.crop_share is {self.crop_share}: expected {LEAST_SHARE} to 1")
        if self.crop_share != 1 and self.resize not in CENTRED:
            raise RecipeError(
                f"images.crop_share is {self.crop_share}: expected images.resize = 'center_crop', seen {self.resize!r}",
                hint="--set images.resize=center_crop",
            )
        if self.interpolation == "lanczos" and not self.antialias:
            raise RecipeError(
                "images.interpolation is 'lanczos' and antialias false: expected bilinear or bicubic there",
                hint="--set images.antialias=true, or images.interpolation=bicubic",
            )
        if self.order == "bgr" and self.channels == 1:
            raise RecipeError(
                "images.order is 'bgr' and the backbone takes gray images: expected a backbone of three channels",
                hint="leave images.order out",
            )

    @property
    def at_least(self) -> int | None:
        """The side that a picture has to keep when it is decoded; None: it is decoded as it is."""
        return self.size if self.draft else None

    def fit(self, image: Pixels) -> Pixels:
        """Return (size, size, channels) uint8 from (H, W) gray or (H, W, 3) RGB, channels in `order`.

        The result may share memory with a picture that fits already. Raises ValueError for any other shape.
        """
        shape = image.shape
        gray = len(shape) == 2
        if not gray and (len(shape) != 3 or shape[2] != 3):
            raise ValueError(f"expected (H, W) or (H, W, 3), got {shape}")
        if not gray and self.channels == 1:
            image, gray = np.asarray(Image.fromarray(image).convert("L")), True
        if shape[0] != self.size or shape[1] != self.size or self.crop_share != 1:
            image = self._resized(image)
        if not gray:
            return image if self.order == "rgb" else image[:, :, ::-1]
        if self.channels == 1:
            return image[:, :, None]
        return np.repeat(image[:, :, None], 3, axis=2)

    def _resized(self, image: Pixels) -> Pixels:
        picture = Image.fromarray(image)
        square, whole = (self.size, self.size), _whole(picture)
        if self.resize == "squash":
            return self._scaled(picture, square, whole)
        if self.resize == "crop":
            # Cutting before scaling keeps a picture of 1 x 5000 from growing to 28 x 140000 on the way.
            side = min(picture.size)
            left, top = (picture.width - side) / 2, (picture.height - side) / 2
            return self._scaled(picture, square, (left, top, left + side, top + side))
        if self.resize in CENTRED:
            return self._centre(picture)
        inner = scaled(picture, self.size)
        canvas = Image.new(picture.mode, square, "white")
        fitted = Image.fromarray(self._scaled(picture, inner, whole))
        canvas.paste(fitted, ((self.size - inner[0]) // 2, (self.size - inner[1]) // 2))
        return np.asarray(canvas)

    def _centre(self, picture: Image.Image) -> Pixels:
        """Return the centre square of a picture whose shorter side becomes `size / crop_share` pixels.

        Sizes and corners are whole pixels, and scaling comes first, as in torchvision's Resize and CenterCrop: Pillow
        rounds after either direction, so that another order of cutting and scaling gives other pixels (up to 4 of 255).
        """
        shorter = math.floor(self.size / self.crop_share + ROUNDING)
        width, height = picture.size
        small = min(width, height)
        resized = int(shorter * width / small), int(shorter * height / small)
        corner = math.floor if self.resize == "floor_crop" else round  # of halves: to the even number, as there
        left, top = (corner((side - self.size) / 2) for side in resized)
        if max(resized) <= LONGEST * shorter:
            whole = self._scaled(picture, resized, _whole(picture))
            return whole[top : top + self.size, left : left + self.size]
        across, down = width / resized[0], height / resized[1]
        right, bottom = min((left + self.size) * across, width), min((top + self.size) * down, height)
        return self._scaled(picture, (self.size, self.size), (left * across, top * down, right, bottom))

    def _scaled(self, picture: Image.Image, size: tuple[int, int], box: Box) -> Pixels:
        """Return the part of a picture inside `box` (left, top, right, bottom) at another size."""
        kind = Image.Resampling[self.interpolation.upper()]
        if self.antialias:
            return np.asarray(picture.resize(size, kind, box=box))
        across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
        picture = _with_edges(picture)  # what lies beyond a picture would be black
        moved = (across, 0, box[0] + EDGE, 0, down, box[1] + EDGE)
        return np.asarray(picture.transform(size, Image.Transform.AFFINE, moved, kind))

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
        """Return a dictionary of plain JSON values, with the version it needs: 1 knows no decoding, 2 none of LATER.

        So what could be said before is written as it was, and an embedder keeps its fingerprint.
        """
        whole = {**asdict(self), "mean": list(self.mean), "std": list(self.std), "decoding": self.decoding.to_json()}
        if any(whole[key] != value for key, value in LATER.items()):
            return {"version": PREPROCESS_VERSION, **whole}
        for key in LATER:
            del whole[key]
        if self.decoding == FIRST:
            del whole["decoding"]
            return {"version": 1, **whole}
        return {"version": 2, **whole}

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
            later = {key: type(value)(values[key]) for key, value in LATER.items()} if values["version"] > 2 else {}
            return cls(int(values["size"]), int(values["channels"]), resize, mean, std, decoding, **later)
        except (KeyError, TypeError, ValueError) as error:
            raise RecipeError(f"preprocessing cannot be read: {type(error).__name__} {error}") from None


# What version 3 came with, as it was before.
LATER: dict[str, Any] = {
    field.name: field.default
    for field in fields(Preprocess)
    if field.name in ("interpolation", "antialias", "crop_share", "order", "draft")
}


def _whole(picture: Image.Image) -> Box:
    return 0.0, 0.0, float(picture.width), float(picture.height)


def _with_edges(picture: Image.Image) -> Image.Image:
    """Return a picture with its outermost pixels repeated `EDGE` times."""
    pixels = np.asarray(picture)
    around = [(EDGE, EDGE), (EDGE, EDGE), (0, 0)][: pixels.ndim]
    return Image.fromarray(np.pad(pixels, around, mode="edge"))


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
