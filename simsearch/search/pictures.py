"""What a search may be asked with: one picture or several, in each form that Python has them -> their pixels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from simsearch.arrays import Floats, Pixels
from simsearch.console import shorten
from simsearch.errors import ImageError, VectorsError, near_path, near_words
from simsearch.images.formats.decode import decode_query, read_bytes
from simsearch.images.formats.decoding import Decoding
from simsearch.images.formats.given import Image, checked_array, file_behind, pixels_of

Picture: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Pixels | Image

TAKES = "a path, the bytes of a file, a PIL image, or an array of uint8 (H, W) or (H, W, 3)"
MISSING = "check the path"  # of what to do about one that is not there
HINT = f"a picture is {TAKES}; search takes one or a list of them"
EMBEDS = "embed takes a list of decoded pictures; search takes paths and files too"
BYTES = bytes | bytearray | memoryview


def several(images: Picture | Iterable[Picture]) -> Iterator[tuple[Any, str]]:
    """Yield each picture of one or of a list (or another sequence or iterator), and where it stands: "images[2]: ".

    Of one alone, the place is "". Raises ImageError for what is neither.
    """
    if is_picture(images):
        yield images, ""
        return
    # A file would give its lines, a set no order, a dictionary its keys.
    if not isinstance(images, Sequence | Iterator) or hasattr(images, "read"):
        raise _no_picture(images, "a picture or a list of them", "")
    for number, image in enumerate(images):
        yield image, f"images[{number}]: "


def is_picture(value: object) -> bool:
    """Whether a value has the type of one picture."""
    return isinstance(value, str | os.PathLike | BYTES | np.ndarray | Image)


def load(picture: object, size: int, decoding: Decoding, place: str = "") -> tuple[Pixels, str]:
    """Return the pixels of a picture, (H, W) or (H, W, 3) uint8, and the digest of its file, "" where it has none.

    `size` is what the pixels are brought to later. Raises ImageError for what is no picture and what cannot be decoded;
    it begins with `place`, or names the file.
    """
    if isinstance(picture, str | os.PathLike):
        return _from_path(_path_of(picture, place), size, decoding)
    if not is_picture(picture):
        raise _no_picture(picture, "a picture", place)
    try:
        if isinstance(picture, np.ndarray):
            return checked_array(picture), ""
        if isinstance(picture, BYTES):
            return _decoded(_bytes_of(picture), size, decoding)
        assert isinstance(picture, Image)
        data = file_behind(picture)
        return (pixels_of(picture, decoding), "") if data is None else _decoded(data, size, decoding)
    except ImageError as error:
        array = isinstance(picture, np.ndarray)
        raise ImageError(f"{place}{error.message}", hint=HINT if array else error.hint) from None


def part_of(pixels: Pixels, box: tuple[float, float, float, float]) -> Pixels:
    """Return a part of a picture, at least one pixel: left, top, width and height are shares of the whole."""
    x, y, w, h = box
    height, width = pixels.shape[:2]
    top, left = min(int(y * height), height - 1), min(int(x * width), width - 1)
    return pixels[top : max(top + 1, round((y + h) * height)), left : max(left + 1, round((x + w) * width))]


def decoded_arrays(images: object) -> Iterator[Pixels]:
    """Yield each of several decoded pictures, uint8 (H, W) or (H, W, 3); ImageError for what is none."""
    if isinstance(images, str | BYTES) or not isinstance(images, Sequence | Iterator | np.ndarray):
        raise ImageError(f"expected a list of arrays, seen {_type_name(images)}", hint=EMBEDS)
    for number, image in enumerate(images):
        try:
            yield checked_array(image)
        except ImageError as error:
            raise ImageError(f"images[{number}]: {error.message}", hint=EMBEDS) from None


def checked_vectors(vectors: object) -> Floats:
    """Return vectors as they are; VectorsError for what is no array of numbers (N, D)."""
    if isinstance(vectors, np.ndarray) and vectors.ndim == 2 and vectors.dtype.kind in "fiu":
        # Nothing here is narrowed to float32 from more than 64 bits.
        return vectors if vectors.dtype.itemsize <= 8 else vectors.astype(np.float64)
    seen = f"{vectors.dtype} {vectors.shape}" if isinstance(vectors, np.ndarray) else _type_name(vectors)
    raise VectorsError(f"expected an array of float32 (N, D), seen {seen}", hint="one vector is vectors[None, :]")


def _path_of(picture: str | os.PathLike[str], place: str) -> str:
    try:
        return os.fsdecode(picture)
    except TypeError:  # its __fspath__ gives something else
        raise ImageError(f"{place}expected a path, seen {_type_name(picture)}, which gives none", hint=HINT) from None


def _bytes_of(picture: bytes | bytearray | memoryview) -> bytes:
    try:
        return bytes(picture)
    except ValueError:
        raise ImageError("a memoryview that was released: its bytes are gone", hint=HINT) from None


def _from_path(path: str, size: int, decoding: Decoding) -> tuple[Pixels, str]:
    if not path:
        raise ImageError("cannot read '': an empty path", hint=MISSING)
    try:
        return _decoded(read_bytes(Path(path)), size, decoding)
    except ImageError as error:
        why, hint, near = error.message, error.hint, None
    if os.path.isdir(path):
        hint = "give the files in it: search takes a list of pictures, and simsearch query the folder itself"
    elif "://" in path:
        why, hint = "a web address, and only files are read", "download it, and give the path or the bytes of the file"
    elif not os.path.exists(path):
        said, near = near_words(path, near_path(path))
        why += said
        hint = MISSING
    raise ImageError(f"cannot read {path}: {why}", hint=hint, near=near)


def _decoded(data: bytes, size: int, decoding: Decoding) -> tuple[Pixels, str]:
    return decode_query(data, size, decoding), hashlib.sha256(data).hexdigest()


def _no_picture(value: object, expected: str, place: str) -> ImageError:
    seen = f" {shorten(repr(value), 40)}" if isinstance(value, int | float) else ""
    return ImageError(f"{place}expected {expected}, seen {_type_name(value)}{seen}", hint=HINT)


def _type_name(value: object) -> str:
    return "None" if value is None else type(value).__name__
