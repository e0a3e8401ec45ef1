"""A decoded Pillow image of any mode -> uint8 gray or RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from simsearch.arrays import Pixels
from simsearch.errors import ImageError
from simsearch.images.formats.ranges import floats_to_bytes

WHITE = 255
BITS_PER_SAMPLE = 258
GRAY_STEPS = {"L;2": 85, "L;4": 17, "L;2I": 85, "L;4I": 17}


def scaled(image: Image.Image, longest: int) -> tuple[int, int]:
    """Return width and height of a picture whose longer side becomes `longest` pixels."""
    scale = longest / max(image.size)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def flatten(image: Image.Image, raw: str = "") -> Pixels:
    """Return uint8 (H, W) for gray and (H, W, 3) for other modes, with anything transparent laid over white.

    `raw` is Pillow's name of how a PNG stores its samples ("L;2", "RGB;16B"). 16-bit values are divided by 257,
    floats are taken as 0..1, 0..255 or 0..65535 by their range.
    Raises ImageError for values outside of these ranges, and whatever Pillow raises.
    """
    mode = image.mode
    if mode in ("L", "1"):
        return _white_where(_array(image.convert("L")), _gray_key(image, raw))
    if mode == "RGB":
        return _white_where(_array(image), _colour_key(image, raw))
    if mode.startswith("I"):
        return _from_integers(image)
    if mode == "F":
        return floats_to_bytes(np.asarray(image))
    if mode == "P":
        if "transparency" not in image.info and image.palette is not None and image.palette.mode != "RGBA":
            return _array(image.convert("RGB"))
        return _over_white(image.convert("RGBA"), "RGB")
    if mode in ("LA", "La"):
        return _over_white(image if mode == "LA" else image.convert("LA"), "L")
    if mode in ("RGBA", "RGBa", "PA"):
        return _over_white(image if mode == "RGBA" else image.convert("RGBA"), "RGB")
    return _array(image.convert("RGB"))


def _array(image: Image.Image) -> Pixels:
    return np.asarray(image, dtype=np.uint8)


def _over_white(image: Image.Image, mode: str) -> Pixels:
    base = Image.new(mode, image.size, "white")
    base.paste(image.convert(mode), mask=image.getchannel("A"))
    return _array(base)


def _white_where(pixels: Pixels, key: int | tuple[int, ...] | None) -> Pixels:
    """Return the pixels with those of the one transparent colour (PNG tRNS) made white."""
    if key is None:
        return pixels
    hit = pixels == np.array(key)
    if pixels.ndim == 3:
        hit = hit.all(axis=2)
    out = pixels.copy()
    out[hit] = WHITE
    return out


def _gray_key(image: Image.Image, raw: str) -> int | None:
    key: Any = image.info.get("transparency")
    if not isinstance(key, int):
        return None
    if image.mode == "1":
        return WHITE if key else 0
    return key * GRAY_STEPS.get(raw, 1)


def _colour_key(image: Image.Image, raw: str) -> tuple[int, ...] | None:
    key: Any = image.info.get("transparency")
    if not isinstance(key, tuple) or len(key) != 3:
        return None
    # A PNG of 16 bits a channel comes from Pillow as its high bytes; its key does not.
    return tuple(value >> 8 for value in key) if raw == "RGB;16B" else key


def _from_integers(image: Image.Image) -> Pixels:
    stored = np.asarray(image)
    low, high = int(stored.min()), int(stored.max())
    if low < 0 or high > 65535:
        raise ImageError(f"integer pixels from {low} to {high}: expected 0 to 65535")
    values = stored.astype(np.uint32)
    bits: Any = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE)
    if bits in (12, (12,)):
        values *= 16
    out = ((values + 128) // 257).astype(np.uint8)
    key: Any = image.info.get("transparency")
    if isinstance(key, int):
        out[values == key] = WHITE
    return out
