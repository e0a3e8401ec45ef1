"""Pictures as the bytes of a file."""

from __future__ import annotations

import io

from PIL import Image

from simsearch.arrays import Pixels


def encoded(picture: Image.Image, kind: str) -> bytes:
    """Return a picture as a file of a kind that Pillow writes, as "PNG"."""
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def png_of(pixels: Pixels) -> bytes:
    """Return a picture, (H, W) gray or (H, W, 3) RGB uint8, as a PNG file; the same picture has the same bytes."""
    return encoded(Image.fromarray(pixels), "PNG")
