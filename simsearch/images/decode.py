"""Bytes -> one array of pixels that can be trusted, or an ImageError that says in a few words why not.

Pillow's plugins are called directly instead of through Image.open: the first bytes decide the format, our own
pixel bound is read from the header before anything is decoded, and no process-wide setting of Pillow is touched.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import stat
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from simsearch.arrays import Pixels
from simsearch.errors import ImageError
from simsearch.images.pixels import flatten

MAX_PIXELS = 134_217_728
MAX_FILE_BYTES = 512 * 1024 * 1024

WANTED = "expected JPEG, PNG, WebP, TIFF, BMP or GIF"
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
FORMATS: tuple[tuple[bytes, str, str, str], ...] = (
    (b"\xff\xd8\xff", "JPEG", "JpegImagePlugin", "JpegImageFile"),
    (b"\x89PNG\r\n\x1a\n", "PNG", "PngImagePlugin", "PngImageFile"),
    (b"RIFF", "WebP", "WebPImagePlugin", "WebPImageFile"),
    (b"II*\0", "TIFF", "TiffImagePlugin", "TiffImageFile"),
    (b"MM\0*", "TIFF", "TiffImagePlugin", "TiffImageFile"),
    (b"II+\0", "TIFF", "TiffImagePlugin", "TiffImageFile"),
    (b"MM\0+", "TIFF", "TiffImagePlugin", "TiffImageFile"),
    (b"BM", "BMP", "BmpImagePlugin", "BmpImageFile"),
    (b"GIF87a", "GIF", "GifImagePlugin", "GifImageFile"),
    (b"GIF89a", "GIF", "GifImagePlugin", "GifImageFile"),
)
QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


def decode(data: bytes, at_least: int | None = None) -> Pixels:
    """Return the pixels of a picture as uint8: (H, W) when it is stored as gray, else (H, W, 3) RGB.

    EXIF orientation is applied, alpha is laid over white, an animation gives its first frame. With `at_least`, a
    JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as both sides stay at least twice `at_least` pixels.
    Raises ImageError with a short reason for everything that is no whole picture of a known format.
    """
    name, plugin, opener = _sniff(data)
    _silence_pillow()
    try:
        image: ImageFile.ImageFile = getattr(importlib.import_module(f"PIL.{plugin}"), opener)(io.BytesIO(data))
        _check_size(image.size)
        if at_least is not None and name == "JPEG":
            # Twice the wanted size, so that the antialiased resize that follows still decides how it looks.
            image.draft(None, (2 * at_least, 2 * at_least))
        raw = str(image.tile[0].args) if name == "PNG" and image.tile else ""
        image.load()
        _check_size(image.size)
        return np.ascontiguousarray(flatten(_turn(image, name), raw))
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly every built-in exception on hostile bytes
        raise ImageError(_reason(name, error)) from None


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a regular file of at most 512 MB.

    Raises ImageError when it is missing, unreadable, too large, or not a regular file (a FIFO does not block).
    """
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageError("not a regular file")
            if status.st_size > MAX_FILE_BYTES:
                raise ImageError(f"too large: {status.st_size:,} bytes, at most {MAX_FILE_BYTES:,}")
            data = file.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError:
        raise ImageError("is a folder, not a file") from None
    except (OSError, ValueError) as error:
        raise ImageError(_os_reason(error)) from None
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"too large: more than {MAX_FILE_BYTES:,} bytes")
    return data


def read_image(path: str | os.PathLike[str], at_least: int | None = None) -> Pixels:
    """Return the pixels of an image file as `decode` gives them; raises ImageError."""
    return decode(read_bytes(path), at_least)


def _sniff(data: bytes) -> tuple[str, str, str]:
    if not data:
        raise ImageError("not an image (the file is empty)")
    for magic, name, plugin, opener in FORMATS:
        if data.startswith(magic) and (name != "WebP" or data[8:12] == b"WEBP"):
            return name, plugin, opener
    first = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in data[:4])
    raise ImageError(f'not an image (first bytes: "{first}"; {WANTED})')


def _silence_pillow() -> None:
    # warnings.catch_warnings is not safe in threads; one filter for Pillow's own modules, put back when somebody
    # has taken it out, is. Nothing is lost: what Pillow warns of either fails below or does not touch the pixels.
    if QUIET not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"has no pixels: {width} x {height}")
    if width * height > MAX_PIXELS:
        raise ImageError(f"too many pixels: {width:,} x {height:,}, at most {MAX_PIXELS:,}")


def _turn(image: Image.Image, name: str) -> Image.Image:
    if name == "TIFF":  # the plugin turns TIFF files itself while it loads them
        return image
    try:
        orientation: Any = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged EXIF block is no reason to refuse sound pixels
        return image
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = image.info
    return turned


def _reason(name: str, error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"cannot decode this {name}: it needs more memory than there is"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too many pixels: at most {MAX_PIXELS:,}"
    # Pillow's messages may hold object addresses and bytes of the file.
    text = re.sub(r"<[^<>]*>|\b0x[0-9a-fA-F]+", "", str(error))
    text = "".join(char if char.isprintable() and ord(char) < 127 else " " for char in text)
    text = " ".join(text.split())[:120]
    if isinstance(error, EOFError) or "truncat" in text.lower() or "unexpected end" in text.lower():
        return f"truncated: the {name} ends inside the picture"
    return f"cannot decode this {name}: {text or type(error).__name__}"


def _os_reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    text = error.strerror if isinstance(error, OSError) else "not a usable path"
    return f"cannot be read: {text or type(error).__name__}"
