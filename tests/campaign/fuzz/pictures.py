"""Pictures: every format that is read, by the rules of now and by the first."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from campaign.fuzz.mutating import changed
from campaign.fuzz.parser import Input, Parser, Wrong

MOST_PIXELS = 1 << 20
LEAST = (None, 8, 96)
SIZE = (24, 20)


def _pixels(channels: int) -> Any:
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    planes = [(x * 9 + y * step) % 256 for step in (3, 5, 11, 12)[:channels]]
    return np.stack(planes, axis=-1).astype(np.uint8)


def _image(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(_pixels(1)[..., 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(_pixels(1)[..., 0].astype(np.float32) / 255)
    return Image.fromarray(_pixels(4)).convert(mode)


def _saved(mode: str, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    _image(mode).save(file, kind, **options)
    return file.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _jpegs() -> Iterator[bytes]:
    for mode in ("RGB", "L", "CMYK"):
        yield _saved(mode, "JPEG")
    yield _saved("RGB", "JPEG", progressive=True, exif=_exif(6))
    yield _saved("RGB", "JPEG", subsampling=2, restart_marker_rows=1, comment=b"said")


def _pngs() -> Iterator[bytes]:
    for mode in ("L", "RGB", "RGBA", "LA", "P", "1", "I;16"):
        yield _saved(mode, "PNG")
    yield _saved("P", "PNG", transparency=3, exif=_exif(8))
    yield _saved("RGB", "PNG", transparency=(9, 5, 3))
    yield _saved("RGB", "PNG", save_all=True, append_images=[_image("RGB").rotate(90)])


def _webps() -> Iterator[bytes]:
    yield _saved("RGB", "WEBP")
    yield _saved("RGBA", "WEBP", lossless=True, exif=_exif(3))
    yield _saved("RGB", "WEBP", save_all=True, append_images=[_image("RGB").rotate(180)])


def _tiffs() -> Iterator[bytes]:
    for mode in ("L", "RGB", "RGBA", "CMYK", "P", "1", "I;16", "F", "YCbCr", "LAB"):
        yield _saved(mode, "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "tiff_ccitt"):
        yield _saved("1" if compression == "tiff_ccitt" else "RGB", "TIFF", compression=compression)
    import tifffile

    deep = _pixels(3).astype(np.uint16) * 257
    for options in (
        {"tile": (16, 16)}, {"planarconfig": "separate"}, {"byteorder": ">"}, {"bigtiff": True},
        {"compression": "zlib", "predictor": True}, {"rowsperstrip": 3}, {"tile": (16, 16), "compression": "zlib"},
    ):  # fmt: skip
        file = io.BytesIO()
        data = np.moveaxis(deep, -1, 0) if "planarconfig" in options else deep
        tifffile.imwrite(file, data, photometric="rgb", metadata=None, datetime=False, software=False, **options)
        yield file.getvalue()


def _bmps() -> Iterator[bytes]:
    for mode in ("RGB", "L", "P", "1", "RGBA"):
        yield _saved(mode, "BMP")
    yield (
        b"BM"
        + struct.pack("<I2HI", 118 + 60, 0, 0, 118)
        + struct.pack("<IiiHHIIiiII", 40, 8, 4, 1, 4, 2, 60, 0, 0, 16, 0)
        + bytes(range(64))
        + bytes([4, 0x12, 0, 4, 0x12, 0x34, 0, 0, 8, 0x55, 0, 0, 0, 2, 1, 1, 8, 0x77, 0, 1])
        + bytes(40)
    )


def _gifs() -> Iterator[bytes]:
    yield _saved("P", "GIF")
    yield _saved("L", "GIF", transparency=3)
    yield _saved("RGB", "GIF", save_all=True, append_images=[_image("RGB").rotate(90)], comment=b"said")


def _avifs() -> Iterator[bytes]:
    yield _saved("RGB", "AVIF", max_threads=1)
    yield _saved("RGBA", "AVIF", max_threads=1, exif=_exif(6))


def _jp2s() -> Iterator[bytes]:
    yield _saved("RGB", "JPEG2000")
    yield _saved("L", "JPEG2000", no_jp2=True)
    yield _saved("RGBA", "JPEG2000", irreversible=True, num_resolutions=2)
    yield _saved("I;16", "JPEG2000")


def _heics() -> Iterator[bytes]:
    import pillow_heif

    for mode in ("RGB", "RGBA", "L"):
        file = io.BytesIO()
        pillow_heif.from_pillow(_image(mode)).save(file)
        yield file.getvalue()


def _jxls() -> Iterator[bytes]:
    from pillow_jxl import Encoder

    for mode, box in (("RGB", False), ("RGBA", True), ("L", False)):
        encoder = Encoder(mode, lossless=True, quality=100, effort=3, use_container=box)
        yield bytes(encoder(_image(mode).tobytes(), *SIZE, jpeg_encode=False))
    yield bytes(Encoder("RGB", lossless=True, quality=100)(_saved("RGB", "JPEG"), *SIZE, jpeg_encode=True))


def _with_sums(data: bytes) -> bytes:
    """Return a PNG whose checksums are right again, so that what they protect is read."""
    found, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        found.append(data[at : at + 8 + length] + zlib.crc32(body).to_bytes(4, "big"))
        at += 12 + length
    return b"".join(found) + data[at:]


class Pictures:
    """Reads changed pictures of one format; a valid answer is an array of bytes of at most so many pixels."""

    def __init__(self, folder: Path) -> None:
        from simsearch.images.formats import decode
        from simsearch.images.formats.decoding import Decoding

        decode.FIRST = replace(decode.FIRST, max_pixels=MOST_PIXELS)
        self._decode = decode
        self._rules = Decoding(max_pixels=MOST_PIXELS), decode.FIRST
        self._files = [path.read_bytes() for path in sorted(folder.iterdir())]
        self._hidden = folder.name == "PNG"

    def good(self) -> list[bytes]:
        now = self._rules[0]
        return [self._decode.decode(data, None, now).tobytes() for data in self._files]

    def changed(self, chosen: Random) -> Input:
        data = changed(chosen, chosen.choice(self._files), self._files)
        if self._hidden and chosen.random() < 0.7:
            data = _with_sums(data)
        return Input(f"{0 if chosen.random() < 0.8 else 1} {chosen.randrange(len(LEAST))}", data)

    def read(self, given: Input) -> bool:
        rules, least = map(int, given.kind.split())
        decoding = self._rules[rules]
        self._decode.stored_size(given.data)
        found = self._decode.decode_query(given.data, LEAST[least], decoding)
        channels = found.shape[2:]
        if found.dtype != np.uint8 or found.ndim not in (2, 3) or channels not in ((), (3,)) or not found.size:
            raise Wrong(f"{found.dtype} {found.shape}")
        if found.shape[0] * found.shape[1] > MOST_PIXELS:
            raise Wrong(f"{found.shape} are too many pixels")
        return False


def _make(files: Callable[[], Iterator[bytes]], folder: Path) -> None:
    for number, data in enumerate(files()):
        (folder / f"{number:02d}").write_bytes(data)


_FORMATS: tuple[tuple[str, Callable[[], Iterator[bytes]], str], ...] = (
    ("JPEG", _jpegs, "PIL"),
    ("PNG", _pngs, "PIL"),
    ("WebP", _webps, "PIL"),
    ("TIFF", _tiffs, "tifffile"),
    ("BMP", _bmps, "PIL"),
    ("GIF", _gifs, "PIL"),
    ("AVIF", _avifs, "PIL"),
    ("JPEG-2000", _jp2s, "PIL"),
    ("HEIC", _heics, "pillow_heif"),
    ("JPEG-XL", _jxls, "pillow_jxl"),
)
PARSERS = tuple(Parser(name, partial(_make, files), Pictures, needs) for name, files, needs in _FORMATS)
