"""Opens a picture by the plugin of its format, called directly: Pillow's registry of openers is not asked."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable

from PIL import Image, ImageFile

from simsearch.errors import ImageError
from simsearch.images.formats.formats import EXTRA, Format

MOST_READS, BYTES_A_READ = 100_000, 1024  # 30 MB of nothing but empty headers took 14 s
Check = Callable[[tuple[int, int]], None]


def opened(kind: Format, data: bytes, check: Check) -> Image.Image | bytes:
    """Return a picture whose header is read, or the JPEG that a JPEG XL holds whole; `check` sees its size before.

    Raises ImageError when the plugin is not installed, and whatever a plugin raises.
    """
    try:
        if kind.name == "JPEG XL":
            return _jxl(data, check)
        if kind.name == "HEIC":
            from pillow_heif import HeifImageFile

            image: ImageFile.ImageFile = HeifImageFile(_File(data))
        else:
            if kind.name == "TIFF":
                from simsearch.images.formats.tiff_tags import check_parts

                check_parts(data)
            image = getattr(importlib.import_module(kind.module), kind.opener)(_File(data))
    except ImportError:
        raise ImageError(f"{kind.name} needs what is not installed: {EXTRA}", hint=EXTRA) from None
    check(image.size)
    return image


class _File(io.BytesIO):
    """The bytes of a picture, which a plugin reads in a bounded number of pieces."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = self._most = MOST_READS + len(data) // BYTES_A_READ

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ImageError(f"has too many parts: its plugin reads more than {self._most:,}")
        return super().read(size)


def _jxl(data: bytes, check: Check) -> Image.Image | bytes:
    # The plugin's own class decodes in its constructor, whatever the size, and asks Pillow's registry.
    from pillow_jxl import Decoder

    from simsearch.images.formats.jxl import jxl_size

    check(jxl_size(data))
    whole_jpeg, info, pixels, _, _ = Decoder(num_threads=0)(data)
    if whole_jpeg:
        return bytes(pixels)
    return Image.frombytes(info.mode, (info.width, info.height), bytes(pixels))
