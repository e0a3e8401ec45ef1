"""Pictures that Python holds already, Pillow images and arrays -> pixels, by the same rules as those of files."""

from __future__ import annotations

import numpy as np
from PIL import ImageFile
from PIL.Image import Image as Image  # for those who are given one

from simsearch.arrays import Pixels
from simsearch.errors import ImageError
from simsearch.images.formats.decode import MAX_FILE_BYTES, reason, turned
from simsearch.images.formats.decoding import PRESENT, Decoding
from simsearch.images.formats.formats import sniff
from simsearch.images.formats.pixels import flatten

EXPECTED = "expected an array of uint8 (H, W) or (H, W, 3)"
_HEIC = {"HEIF": "HEIC"}  # Pillow's name of a format, and ours


def file_behind(image: Image) -> bytes | None:
    """Return the bytes of the file that a Pillow image was opened from, as long as the image is just that file.

    It is from `PIL.Image.open` to the first look at its pixels; None after that, when another than the first frame was
    chosen, and for a format that no file may have here.
    """
    if not isinstance(image, ImageFile.ImageFile) or not image.tile or image.tell():
        return None
    try:
        assert image.fp is not None
        at = image.fp.tell()
        image.fp.seek(0)
        data = image.fp.read(MAX_FILE_BYTES)
        image.fp.seek(at)
        sniff(data, PRESENT.rules)
    except (ImageError, OSError, ValueError, AssertionError, AttributeError):
        return None
    return data


def pixels_of(image: Image, decoding: Decoding) -> Pixels:
    """Return the pixels of a Pillow image, (H, W) or (H, W, 3) uint8, as `decode` gives those of a file.

    Alpha is laid over the background, more than 8 bits are scaled. An image that was opened from a file is turned by
    its EXIF data; a copy or a part of one is not: it keeps those data, whatever was turned since, and is saved without.
    Raises ImageError for values that have no known range, for an image without pixels, and for one whose file cannot be
    decoded.
    """
    if 0 in image.size:
        raise ImageError(f"has no pixels: {image.width} x {image.height}")
    name = _HEIC.get(image.format or "", image.format or "picture")
    try:
        image.load()
        whole = turned(image, name) if isinstance(image, ImageFile.ImageFile) else image
        if decoding.rules == 1:
            return np.ascontiguousarray(flatten(whole))
        from simsearch.images.formats.alpha import flattened

        return np.ascontiguousarray(flattened(whole, "", b"", decoding)[0])
    except ImageError:
        raise
    except Exception as error:  # a file behind the image may be hostile, and the image closed
        raise ImageError(reason(name, error, decoding)) from None


def checked_array(array: object) -> Pixels:
    """Return an array that is a picture as it is, (H, W) or (H, W, 3) uint8; ImageError for anything else."""
    if not isinstance(array, np.ndarray):
        raise ImageError(f"{EXPECTED}, seen {'None' if array is None else type(array).__name__}")
    shape = array.shape
    colours = len(shape) == 3 and shape[2] == 3
    if array.dtype != np.uint8 or not (len(shape) == 2 or colours) or 0 in shape:
        raise ImageError(f"{EXPECTED}, seen {array.dtype} {shape}")
    return array
