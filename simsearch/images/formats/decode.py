"""Bytes -> one array of pixels that can be trusted, or an ImageError that says in a few words why not.

Pillow's plugins are called directly instead of through Image.open: the first bytes decide the format, our own
pixel bound is read from the header before anything is decoded, and no process-wide setting of Pillow is touched.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from simsearch.arrays import Pixels
from simsearch.errors import ImageError
from simsearch.images.formats.bounds import check_size
from simsearch.images.formats.decoding import FIRST, PRESENT, Decoding
from simsearch.images.formats.formats import Format, sniff
from simsearch.images.formats.pixels import flatten
from simsearch.images.formats.plugins import opened
from simsearch.images.formats.ranges import Notes

MAX_FILE_BYTES = 512 * 1024 * 1024

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
# The plugins turn TIFF and HEIC themselves while they load them, and so does the decoder of JPEG XL.
TURNED = ("TIFF", "HEIC", "JPEG XL")
QUIET = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The pixels of a picture, (H, W) or (H, W, 3) uint8, and what had to be decided about it, as `notes` names it."""

    pixels: Pixels
    notes: tuple[str, ...] = ()


def decode(data: bytes, at_least: int | None = None, decoding: Decoding = PRESENT) -> Pixels:
    """Return the pixels of a picture as uint8: (H, W) when it is stored as gray, else (H, W, 3) RGB.

    EXIF orientation is applied, alpha is laid over the background, an animation gives its first frame. With
    `at_least`, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as both sides stay at least twice
    `at_least` pixels. Raises ImageError with a short reason for everything that is no whole picture of a known format.
    """
    return examine(data, at_least, decoding).pixels


def examine(data: bytes, at_least: int | None = None, decoding: Decoding = PRESENT) -> Decoded:
    """Return what `decode` gives with what had to be decided; raises ImageError as it does."""
    kind = sniff(data, decoding.rules)
    _silence_pillow()
    try:
        if decoding.rules == 1:
            return Decoded(_by_first_rules(kind, data, at_least))
        # What only some formats need is imported with the first of them: a query decodes one picture.
        from simsearch.images.formats.jpeg import ends_in_nothing, with_end

        try:
            if kind.name == "JPEG" and ends_in_nothing(data):
                raise OSError("truncated")
            return _by_rules(kind, data, at_least, decoding)
        except OSError as error:
            # All rows may be there, and only the two bytes missing that end a JPEG.
            if kind.name != "JPEG" or "truncated" not in str(error) or (mended := with_end(data, decoding)) is None:
                raise
            found = _by_rules(kind, mended, at_least, decoding)
            return Decoded(found.pixels, (*found.notes, "no end marker"))
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise nearly every built-in exception on hostile bytes
        raise ImageError(reason(kind.name, error, decoding)) from None


class _Seen(Exception):
    """A size was read; nothing more is."""


def stored_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height that a picture is stored with, nothing decoded; None where its header cannot be read.

    Raises ImageError for bytes that are of no known format.
    """
    kind, found = sniff(data, PRESENT.rules), []
    _silence_pillow()

    def see(size: tuple[int, int]) -> None:
        found.append(size)
        raise _Seen

    # Plugins raise nearly every built-in exception on hostile bytes: what is wrong with them, decoding tells.
    with suppress(Exception):
        opened(kind, data, see)
    return found[0] if found else None


def decode_query(data: bytes, at_least: int | None, decoding: Decoding) -> Pixels:
    """Return what `decode` gives; a format that the rules of an old build do not know is read by the present ones."""
    try:
        sniff(data, decoding.rules)
    except ImageError:
        decoding = PRESENT
    return decode(data, at_least, decoding)


def _by_first_rules(kind: Format, data: bytes, at_least: int | None) -> Pixels:
    image = opened(kind, data, partial(check_size, decoding=FIRST))
    assert isinstance(image, ImageFile.ImageFile)
    if at_least is not None and kind.name == "JPEG":
        # Twice the wanted size, so that the antialiased resize that follows still decides how it looks.
        image.draft(None, (2 * at_least, 2 * at_least))
    raw = str(image.tile[0].args) if kind.name == "PNG" and image.tile else ""
    image.load()
    check_size(image.size, FIRST)
    return np.ascontiguousarray(flatten(turned(image, kind.name), raw))


def _by_rules(kind: Format, data: bytes, at_least: int | None, decoding: Decoding) -> Decoded:
    from simsearch.images.formats.alpha import flattened

    check = partial(check_size, decoding=decoding)
    said: Notes = ()
    if kind.name == "TIFF":
        from simsearch.images.formats.tiff import read_tiff

        found, said = read_tiff(data, decoding)
        if found is not None:
            return Decoded(found, said)
    # Of a JPEG not the size that is stored is bounded, but the one that is decoded.
    image = opened(kind, data, (lambda size: None) if kind.name == "JPEG" else check)
    if isinstance(image, bytes):
        return examine(image, at_least, decoding)
    if kind.name == "JPEG":
        from simsearch.images.formats.jpeg import shrink

        assert isinstance(image, ImageFile.ImageFile)
        shrink(image, data, at_least, decoding)
    raw = str(image.tile[0].args) if kind.name == "PNG" and image.tile else ""  # type: ignore[attr-defined]
    image.load()
    check(image.size)
    pixels, notes = flattened(turned(image, kind.name), raw, data, decoding)
    return Decoded(np.ascontiguousarray(pixels), (*said, *notes))


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


def read_image(path: str | os.PathLike[str], at_least: int | None = None, decoding: Decoding = PRESENT) -> Pixels:
    """Return the pixels of an image file as `decode` gives them; raises ImageError."""
    return decode(read_bytes(path), at_least, decoding)


def _silence_pillow() -> None:
    # warnings.catch_warnings is not safe in threads; one filter for Pillow's own modules, put back when somebody
    # has taken it out, is. Nothing is lost: what Pillow warns of either fails below or does not touch the pixels.
    if QUIET not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")


def turned(image: Image.Image, name: str) -> Image.Image:
    """Return an image as its EXIF data say that it is to be seen; of a format in `TURNED`, as it is."""
    if name in TURNED:
        return image
    try:
        orientation: Any = image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged EXIF block is no reason to refuse sound pixels
        return image
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    if turn is None:
        return image
    found = image.transpose(turn)
    found.info = image.info
    return found


def reason(name: str, error: Exception, decoding: Decoding) -> str:
    """Return in a few words why a picture of format `name` cannot be decoded, by what Pillow raised."""
    if isinstance(error, MemoryError):
        return f"cannot decode this {name}: it needs more memory than there is"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too many pixels: at most {decoding.max_pixels:,}"
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
