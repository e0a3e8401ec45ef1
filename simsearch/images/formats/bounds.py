"""How many pixels may be decoded, asked before anything is."""

from __future__ import annotations

from simsearch.errors import ImageError
from simsearch.images.formats.decoding import Decoding


def check_size(size: tuple[int, int], decoding: Decoding) -> None:
    """Raise ImageError for a picture without pixels, or of more than may be decoded."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"has no pixels: {width} x {height}")
    if width * height > decoding.max_pixels:
        setting = "" if decoding.rules == 1 else " (images.max_pixels)"
        raise ImageError(f"too many pixels: {width:,} x {height:,}, at most {decoding.max_pixels:,}{setting}")
