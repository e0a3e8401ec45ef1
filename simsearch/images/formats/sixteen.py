"""PNG files of 16 bits a sample: how many of them the file says are in use, and what Pillow cannot give of them."""

from __future__ import annotations

from PIL import Image

from simsearch.errors import ImageError
from simsearch.images.formats.decoding import Decoding

DARK = 1 << 6  # of the high byte: the values stay below 2^14


def significant_bits(data: bytes) -> int | None:
    """Return the most bits that a PNG's sBIT chunk names, None where it has none."""
    at = 8
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"sBIT" and size and at + 8 + size <= len(data):
            return max(data[at + 8 : at + 8 + min(size, 3)])
        if kind in (b"IDAT", b"PLTE", b"IEND"):
            break
        at += 12 + size
    return None


def too_dark(image: Image.Image, decoding: Decoding) -> None:
    """Raise ImageError for colours of 16 bits of which only the high bytes can be had, and those hold next to nothing.

    Values that were taken with 8 to 14 bits would come back nearly black; `images.range` = "full" takes them as such.
    """
    if not isinstance(decoding.range, str):
        raise ImageError("a PNG with colours of 16 bits: images.range = [low, high] is for gray and for TIFF")
    bands = image.getbands()
    highest = max(int(image.getchannel(band).getextrema()[1]) for band in bands if band != "A")  # type: ignore[arg-type]
    if decoding.range == "auto" and 0 < highest < DARK:
        raise ImageError(
            "a PNG whose 16-bit colours stay below 14 bits: save it as TIFF, or take it as dark: images.range = full"
        )
