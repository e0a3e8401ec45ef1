"""Values of more than 8 bits -> uint8: which value is black and which is white.

A file may state it; else 16-bit integers that all stay below 2^8, 2^10, 2^12 or 2^14 were taken with so many bits, as
cameras and microscopes do, and would be nearly black as they are. That is decided file by file and counted:
`images.range` = [low, high] fixes it for all, "full" takes every type by its own range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simsearch.arrays import Pixels
from simsearch.errors import ImageError
from simsearch.images.formats.decoding import Decoding

Notes = tuple[str, ...]
DEPTHS = (8, 10, 12, 14)
TOPS = tuple((1 << depth) - 1 for depth in (*DEPTHS, 16))
BEYOND = 0.05  # of a range of floats: so far a picture may go beyond it
CUT = "of floats a little beyond their range, which is cut off"
SAY = "images.range = [low, high] says which values are black and white"


def to_bytes(
    values: npt.NDArray[Any], bits: int, decoding: Decoding, *, stated: int | None = None
) -> tuple[Pixels, Notes]:
    """Return values of any shape as uint8, and what was decided.

    `bits` of an integer type that are in use; `stated`: how many the file says that its values have.
    Raises ImageError for values that have no known range.
    """
    kind = values.dtype.kind
    if kind == "f":
        _check_finite(values)
    if not isinstance(decoding.range, str):
        return _linear(values, *decoding.range), ()
    if kind == "f":
        return _floats(values)
    low, high = int(values.min()), int(values.max())
    if low < 0:
        raise ImageError(f"integer pixels from {low} to {high}: expected 0 or more; {SAY}")
    bits -= kind == "i"
    if decoding.range == "full" or bits <= 8:
        return _integers(values, (1 << bits) - 1), ()
    if bits > 16:
        if high > 65535:
            raise ImageError(f"integer pixels from {low} to {high}: expected 0 to 65535; {SAY}")
        bits = 16
    if stated is not None and stated < bits and high < 1 << stated:
        return _integers(values, (1 << stated) - 1), (f"scaled from {stated} bits",)
    if bits > 14 and 0 < high < 1 << 14 and not _is_stretched(values):
        depth = next(depth for depth in DEPTHS if high < 1 << depth)
        return _integers(values, (1 << depth) - 1), (f"scaled from {depth} bits",)
    return _integers(values, (1 << bits) - 1), ()


def _is_stretched(values: npt.NDArray[Any]) -> bool:
    """Whether all are 8-bit values brought to 16 bits: the whole range is in use, and the picture is dark."""
    whole = values.astype(np.uint16)
    return bool(((whole >> 8) == (whole & 255)).all() or not (whole & 255).any())


def _integers(values: npt.NDArray[Any], top: int) -> Pixels:
    """Integers 0 .. top to 0 .. 255, rounded to the nearest."""
    if top == 255:
        return np.asarray(np.minimum(values, 255), dtype=np.uint8)
    if top <= 65535:
        steps = np.arange(top + 1, dtype=np.uint64)
        table: Pixels = ((steps * 510 + top) // (2 * top)).astype(np.uint8)
        return np.asarray(table[np.minimum(values, top)], dtype=np.uint8)
    return np.asarray(np.floor(values * (255 / top) + 0.5), dtype=np.uint8)


def _check_finite(values: npt.NDArray[Any]) -> None:
    if not np.isfinite(values).all():
        raise ImageError("float pixels that are not finite")


def _floats(values: npt.NDArray[Any]) -> tuple[Pixels, Notes]:
    """Floats by the least range that holds them: 0 to 1, to 255, or to 10, 12, 14 or 16 bits; and what was decided.

    Resampling and sharpening go a little beyond: what does is cut off, as is all between 1 and 2, where nothing is but
    0 to 1.
    """
    low, high = float(values.min()), float(values.max())
    whole = high >= 2 and bool((values == np.rint(values)).all())  # integers that were stored as floats
    reach = 1.0 if whole else 1.0 + BEYOND
    top = 1.0 if high < 2 else next((float(t) for t in TOPS if high <= t * reach), 0.0)
    if not top or low < -BEYOND * top:
        raise ImageError(f"float pixels from {low:g} to {high:g}: expected 0 to 1, 0 to 255 or 0 to 65535; {SAY}")
    notes: Notes = (f"scaled from {int(top).bit_length()} bits",) if 255 < top < 65535 else ()
    if low < 0 or high > top:
        notes += (CUT,)
    return _linear(values, 0.0, top), notes


def _linear(values: npt.NDArray[Any], low: float, high: float) -> Pixels:
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.floor(scaled.clip(0, 255) + 0.5).astype(np.uint8)


def floats_to_bytes(values: npt.NDArray[Any]) -> Pixels:
    """Return floats as rules 1 take them: 0..1, 0..255 or 0..65535 by their range; else raises ImageError."""
    _check_finite(values)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535:
        raise ImageError(f"float pixels from {low:g} to {high:g}: expected 0 to 1, 0 to 255 or 0 to 65535")
    scale = 255.0 if high <= 1 else 1.0 if high <= 255 else 1 / 257
    return np.floor(values.astype(np.float64) * scale + 0.5).astype(np.uint8)
