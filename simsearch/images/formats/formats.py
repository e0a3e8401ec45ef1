"""The one table of picture formats: the suffixes and first bytes that tell each, and since which rules it is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from simsearch.errors import ImageError
from simsearch.images.formats.decoding import RULES

EXTRA = "pip install 'simsearch[formats]'"
FTYP = re.compile(rb"....ftyp", re.DOTALL)


@dataclass(frozen=True)
class Format:
    """One format: its suffixes, how its files begin, and the module and class that read it.

    `rules`: the first that know it; `later`: suffixes that only rules 2 know. `brands` are those of ISO media files.
    `extra`: whether the module comes with `simsearch[formats]` only.
    """

    name: str
    suffixes: str
    magic: tuple[bytes, ...]
    module: str
    opener: str
    later: str = ""
    brands: str = ""
    rules: int = 1
    extra: bool = False

    @property
    def here(self) -> bool:
        """Whether what reads it is installed."""
        return not self.extra or find_spec(self.module) is not None


FORMATS = (
    Format("JPEG", ".jpg .jpeg .jpe", (b"\xff\xd8\xff",), "PIL.JpegImagePlugin", "JpegImageFile", ".jfif .jif .pjpeg"),
    Format("PNG", ".png", (b"\x89PNG\r\n\x1a\n",), "PIL.PngImagePlugin", "PngImageFile", ".apng"),
    Format("WebP", ".webp", (b"RIFF",), "PIL.WebPImagePlugin", "WebPImageFile"),
    Format(
        "TIFF", ".tif .tiff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "PIL.TiffImagePlugin", "TiffImageFile", ".btf"
    ),
    Format("BMP", ".bmp", (b"BM",), "PIL.BmpImagePlugin", "BmpImageFile", ".dib"),
    Format("GIF", ".gif", (b"GIF87a", b"GIF89a"), "PIL.GifImagePlugin", "GifImageFile"),
    Format("AVIF", "", (), "PIL.AvifImagePlugin", "AvifImageFile", ".avif .avifs", "avif avis", rules=2),
    Format(
        "JPEG 2000",
        "",
        (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
        "PIL.Jpeg2KImagePlugin",
        "Jpeg2KImageFile",
        ".jp2 .j2k .j2c .jpc .jpf .jpx",
        rules=2,
    ),
    Format(
        "HEIC",
        "",
        (),
        "pillow_heif",
        "HeifImageFile",
        ".heic .heif .hif .heics .heifs",
        "heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1",
        rules=2,
        extra=True,
    ),
    Format(
        "JPEG XL",
        "",
        (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
        "pillow_jxl",
        "JXLImageFile",
        ".jxl",
        rules=2,
        extra=True,
    ),
)


_MEDIA = {"JPEG 2000": "image/jp2", "HEIC": "image/heic", "JPEG XL": "image/jxl"}


def media_type(data: bytes) -> str:
    """Return the media type of a picture by its first bytes, as "image/png"; ImageError for no known format."""
    name = sniff(data).name
    return _MEDIA.get(name, f"image/{name.lower()}")


@cache
def suffixes(rules: int = RULES) -> frozenset[str]:
    """Return the suffixes, as ".jpg", of files that a walk under these rules takes for images."""
    named = (f"{one.suffixes} {one.later if rules > 1 else ''}" for one in FORMATS)
    return frozenset(" ".join(named).split())


def wanted(rules: int = RULES) -> str:
    """Return what a file should have been, in words."""
    *names, last = (one.name for one in FORMATS if one.rules <= rules)
    return f"expected {', '.join(names)} or {last}"


def sniff(data: bytes, rules: int = RULES) -> Format:
    """Return the format that the first bytes tell; raises ImageError when it is none that `rules` know."""
    if not data:
        raise ImageError("not an image (the file is empty)")
    brands = _brands(data) if FTYP.match(data) else []
    for one in FORMATS:
        if one.rules > rules:
            continue
        if data.startswith(one.magic) and (one.name != "WebP" or data[8:12] == b"WEBP"):
            return one
        # An AVIF may call itself mif1 first; its other brands tell, and AVIF stands before HEIC in the table.
        if brands and not set(one.brands.split()).isdisjoint(brands):
            return one
    first = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in data[:4])
    raise ImageError(f'not an image (first bytes: "{first}"; {wanted(rules)})')


def missing(names: Iterable[str]) -> list[str]:
    """Return the formats, by name, that some files' suffixes tell and for which nothing is installed here."""
    lacking = {suffix: one.name for one in FORMATS if not one.here for suffix in one.later.split()}
    if not lacking:
        return []
    return sorted({lacking[end] for name in names if (end := name[name.rfind(".") :].lower()) in lacking})


def _brands(data: bytes) -> list[str]:
    """The brands of the first box of an ISO media file, the major one first."""
    size = min(int.from_bytes(data[:4], "big"), 256)
    own = [data[8:12], *(data[at : at + 4] for at in range(16, size, 4))]
    return [brand.decode("latin-1") for brand in own]
