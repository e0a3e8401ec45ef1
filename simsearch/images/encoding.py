"""Pixels as the bytes of a PNG file."""

from __future__ import annotations

import io

from PIL import Image

from simsearch.arrays import Pixels


def png_of(pixels: Pixels) -> bytes:
    """Return a picture, (H, W) gray or (H, W, 3) RGB uint8, as a PNG file; the same picture has the same bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
