"""TIFF files that Pillow reads wrongly or not at all: planes apart, more than 8 bits, signed, floats.

Samples are gathered strip by strip or tile by tile. What is compressed byte by byte is unpacked by libtiff, through a
small TIFF of bytes made for each piece, so that a piece never becomes larger than its tags say.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from simsearch.arrays import Pixels
from simsearch.errors import ImageError
from simsearch.images.formats.alpha import laid_over
from simsearch.images.formats.bounds import check_size
from simsearch.images.formats.decoding import Decoding
from simsearch.images.formats.ranges import Notes, to_bytes
from simsearch.images.formats.tiff_tags import (
    ASSOCIATED,
    CMYK,
    COLOURS,
    FLOAT,
    RAW,
    SIGNED,
    WHITE_IS_ZERO,
    Layout,
    read_layout,
)

MOST_BYTES = 8  # a pixel that is allowed
FIRST_PAGE = "first of several pages"
TRUNCATED = "truncated: the TIFF ends inside the picture"

Samples = npt.NDArray[Any]


def read_tiff(data: bytes, decoding: Decoding) -> tuple[Pixels | None, Notes]:
    """Return the pixels of a TIFF's first page, (H, W) or (H, W, 3) uint8 (None: Pillow can), and what was decided.

    Raises ImageError for a kind that is not read, one that is damaged, or one of too many pixels.
    """
    layout = read_layout(data)
    check_size((layout.width, layout.height), decoding)
    pages = (FIRST_PAGE,) if layout.pages else ()
    if layout.plain:
        return None, pages
    row = layout.width * layout.samples * layout.bits
    if row * layout.height // 8 > MOST_BYTES * decoding.max_pixels:
        raise ImageError(f"too many pixels: {layout.width:,} x {layout.height:,} of {layout.bits} bits")
    values = _turned(_gathered(layout, data), layout.orientation)
    pixels, notes = _as_seen(values, layout, decoding)
    return np.ascontiguousarray(pixels), (*notes, *pages)


def _as_seen(values: Samples, layout: Layout, decoding: Decoding) -> tuple[Pixels, Notes]:
    """Raw samples (H, W, S) to uint8 gray or RGB."""
    count = COLOURS[layout.space]
    colours = values[..., :count] if count > 1 else values[..., 0]
    pixels, notes = to_bytes(colours, layout.bits, decoding, stated=layout.stated)
    if layout.space == WHITE_IS_ZERO:
        pixels = 255 - pixels
    if layout.space == CMYK:
        from PIL import Image

        pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels), "CMYK").convert("RGB"))
    if not layout.has_alpha:
        return pixels, notes
    whole = Decoding(range="full")
    alpha = values[..., count]
    if layout.form == FLOAT:
        alpha = np.clip(np.nan_to_num(alpha), 0, 1)
    opaque, _ = to_bytes(alpha, layout.bits, whole)
    if opaque.size and 0 < int(opaque.max()) < 255 and notes:  # scaled as its colours were
        opaque, _ = to_bytes(alpha, layout.bits, decoding, stated=layout.stated)
    if layout.extras[0] == ASSOCIATED:
        shape = opaque if pixels.ndim == 2 else opaque[..., None]
        divisor = np.where(shape == 0, 255, shape).astype(np.uint32)
        pixels = np.minimum(255, (pixels.astype(np.uint32) * 255 + divisor // 2) // divisor).astype(np.uint8)
    over, more = laid_over(np.ascontiguousarray(pixels), opaque, decoding)
    return over, (*notes, *more)


def _gathered(layout: Layout, data: bytes) -> Samples:
    """The samples of a page as (H, W, S) in a type that holds them."""
    planes = layout.samples if layout.planar else 1
    within = 1 if layout.planar else layout.samples
    across, down = layout.tile or (layout.width, layout.rows)
    if across < 1 or down < 1 or across * down * within * layout.bits // 8 > 1 << 31:
        raise ImageError(f"cannot decode this TIFF: pieces of {across} x {down}")
    columns, rows = -(-layout.width // across), -(-layout.height // down)
    if len(layout.offsets) < columns * rows * planes or len(layout.counts) < columns * rows * planes:
        raise ImageError("cannot decode this TIFF: pieces are missing")
    out = np.empty((layout.height, layout.width, layout.samples), dtype=_type(layout).newbyteorder("="))
    number = 0
    for plane in range(planes):
        for top in range(0, layout.height, down):
            for left in range(0, layout.width, across):
                high = down if layout.tile else min(down, layout.height - top)
                start, size = layout.offsets[number], layout.counts[number]
                number += 1
                piece = _piece(layout, data[start : start + size], high, across, within)
                bottom, right = min(top + high, layout.height), min(left + across, layout.width)
                part = piece[: bottom - top, : right - left]
                if layout.planar:
                    out[top:bottom, left:right, plane] = part[..., 0]
                else:
                    out[top:bottom, left:right] = part
    return out


def _type(layout: Layout) -> np.dtype[Any]:
    """The type of a stored sample, in the byte order of the file; packed ones come unpacked."""
    size = 1 if layout.bits <= 8 else 2 if layout.bits <= 16 else layout.bits // 8
    kind = {FLOAT: "f", SIGNED: "i"}.get(layout.form, "u")
    return np.dtype(f"{'>' if layout.big_endian else '<'}{kind}{size}")


def _piece(layout: Layout, stored: bytes, high: int, across: int, within: int) -> Samples:
    """One strip or tile as (high, across, within)."""
    line = -(-across * within * layout.bits // 8)
    if layout.compression == RAW:
        if len(stored) < high * line:
            raise ImageError(TRUNCATED)
        rows = np.frombuffer(stored, np.uint8, high * line).reshape(high, line)
    else:
        rows = _unpacked(layout, stored, high, line)
    if layout.predictor == 3 and layout.compression != RAW:
        size = layout.bits // 8
        bytes_ = rows.reshape(high, -1, within)
        summed = np.add.accumulate(bytes_, axis=1, dtype=np.uint8).reshape(high, size, across * within)
        # The bytes of all values lie apart, the highest first, whatever the byte order of the file.
        whole = np.ascontiguousarray(summed.transpose(0, 2, 1)).view(f">f{size}")
        return whole.reshape(high, across, within)
    if layout.bits not in (8, 16, 32, 64):
        bits = np.unpackbits(rows, axis=1)[:, : across * within * layout.bits]
        weights = (1 << np.arange(layout.bits)[::-1]).astype(np.uint16)
        return (bits.reshape(high, across, within, layout.bits) @ weights).astype(_type(layout))
    samples = np.ascontiguousarray(rows).view(_type(layout)).reshape(high, across, within)
    if layout.predictor == 2 and layout.compression != RAW:
        native = samples.astype(samples.dtype.newbyteorder("="))
        return np.add.accumulate(native, axis=1, dtype=native.dtype)
    return samples


def _unpacked(layout: Layout, stored: bytes, high: int, line: int) -> Pixels:
    """What a compressed piece holds, (high, line) bytes, by libtiff: as a gray picture of bytes."""
    from PIL.TiffImagePlugin import TiffImageFile

    tags = [
        (256, line),
        (257, high),
        (258, 8),
        (259, layout.compression),
        (262, 1),
        (266, layout.fill_order),
        (273, 8),
        (277, 1),
        (278, high),
        (279, len(stored)),
    ]
    head = b"II*\0" + struct.pack("<I", 8 + len(stored))
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    image = TiffImageFile(io.BytesIO(head + stored + body + bytes(4)))
    if image.size != (line, high) or image.mode != "L":
        raise ImageError("cannot decode this TIFF: a piece of it makes no sense")
    image.load()
    return np.asarray(image)


def _turned(values: Samples, orientation: int) -> Samples:
    """The samples as the orientation tag says they are seen."""
    if orientation in (5, 6, 7, 8):
        values = values.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values
