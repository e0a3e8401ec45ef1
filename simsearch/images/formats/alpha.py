"""A decoded Pillow image of any mode -> uint8 gray or RGB, by rules 2: what lies behind transparency is chosen.

Alpha that is nowhere opaque says nothing (32-bit BMP files leave it at 0), and is not used. `auto` lays white behind,
and black behind what is itself nearly white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from simsearch.arrays import Pixels
from simsearch.images.formats.decoding import Decoding
from simsearch.images.formats.pixels import GRAY_STEPS
from simsearch.images.formats.ranges import Notes, to_bytes
from simsearch.images.formats.sixteen import significant_bits, too_dark

LIGHT = 0.75  # of white: what is lighter on average than this is lost on white
CHECKER = (85, 170)
SQUARES = 16  # along the longer side


def flattened(image: Image.Image, raw: str, data: bytes, decoding: Decoding) -> tuple[Pixels, Notes]:
    """Return uint8 (H, W) for gray and (H, W, 3) for other modes, and what was decided.

    `raw` is Pillow's name of how a PNG stores its samples ("L;2", "RGB;16B"), `data` the file.
    Raises ImageError for values that no range is known for, and whatever Pillow raises.
    """
    mode, key = image.mode, image.info.get("transparency")
    if raw.endswith(";16B") and mode in ("RGB", "LA", "RGBA"):
        too_dark(image, decoding)
    if mode in ("L", "1", "RGB"):
        pixels = np.asarray(image.convert("L") if mode == "1" else image, dtype=np.uint8)
        shown = _shown(pixels, mode, key, raw)
        return (pixels, ()) if shown is None else laid_over(pixels, shown, decoding)
    if mode.startswith("I"):
        stored = np.asarray(image)
        pixels, notes = to_bytes(stored, 16, decoding, stated=significant_bits(data) if raw else None)
        if not isinstance(key, int):
            return pixels, notes
        over, more = laid_over(pixels, np.where(stored == key, 0, 255).astype(np.uint8), decoding)
        return over, (*notes, *more)
    if mode == "F":
        return to_bytes(np.asarray(image), 32, decoding)
    if mode == "P":
        if key is None and image.palette is not None and image.palette.mode != "RGBA":
            return np.asarray(image.convert("RGB")), ()
        return _split(image.convert("RGBA"), decoding)
    if mode in ("LA", "La", "RGBA", "RGBa", "PA"):
        wanted = {"La": "LA", "LA": "LA"}.get(mode, "RGBA")
        return _split(image if mode == wanted else image.convert(wanted), decoding)
    return np.asarray(image.convert("RGB")), ()


def laid_over(pixels: Pixels, alpha: Pixels, decoding: Decoding) -> tuple[Pixels, Notes]:
    """Return pixels, (H, W) or (H, W, 3), laid over the background by alpha (H, W), all uint8, and what was decided."""
    lowest, highest = int(alpha.min()), int(alpha.max())
    if lowest == 255:
        return pixels, ()
    if highest == 0:
        return pixels, ("alpha not used",)
    background = decoding.background
    notes: Notes = ()
    if background == "auto":
        background = "black" if _is_light(pixels, alpha) else "white"
        notes = ("on black",) if background == "black" else ()
    if background == "checker":
        base = Image.fromarray(_checker(pixels.shape[:2]))
    else:
        base = Image.new("RGB", (pixels.shape[1], pixels.shape[0]), background)
    picture = Image.fromarray(pixels)
    red, green, blue = base.getpixel((0, 0))  # type: ignore[misc]
    if pixels.ndim == 2 and (background == "checker" or red == green == blue):
        base = base.getchannel(0)
    base.paste(picture if picture.mode == base.mode else picture.convert(base.mode), mask=Image.fromarray(alpha))
    return np.asarray(base), notes


def _split(image: Image.Image, decoding: Decoding) -> tuple[Pixels, Notes]:
    whole = np.asarray(image)
    colours = whole[..., 0] if whole.shape[2] == 2 else whole[..., :3]
    return laid_over(np.ascontiguousarray(colours), np.ascontiguousarray(whole[..., -1]), decoding)


def _is_light(pixels: Pixels, alpha: Pixels) -> bool:
    """Whether what can be seen is on average nearly white, counted by how opaque it is."""
    light = pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))
    seen = int((light.astype(np.uint32) * alpha).sum(dtype=np.uint64))
    return seen > LIGHT * 255 * int(alpha.sum(dtype=np.uint64))


def _checker(shape: tuple[int, ...]) -> Pixels:
    side = max(1, -(-max(shape) // SQUARES))
    rows, columns = (np.arange(length) // side % 2 for length in shape)
    gray = np.array(CHECKER, dtype=np.uint8)[rows[:, None] ^ columns[None, :]]
    return np.repeat(gray[:, :, None], 3, axis=2)


def _shown(pixels: Pixels, mode: str, key: Any, raw: str) -> Pixels | None:
    """Return 0 where a pixel has the one transparent colour (PNG tRNS) and 255 elsewhere, None without one."""
    if mode == "RGB":
        if not isinstance(key, tuple) or len(key) != 3:
            return None
        # A PNG of 16 bits a channel comes from Pillow as its high bytes; its key does not.
        colour = np.array([value >> 8 for value in key] if raw == "RGB;16B" else key)
        hit = (pixels == colour).all(axis=2)
    else:
        if not isinstance(key, int):
            return None
        hit = pixels == ((255 if key else 0) if mode == "1" else key * GRAY_STEPS.get(raw, 1))
    return np.where(hit, 0, 255).astype(np.uint8)
