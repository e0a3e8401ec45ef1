"""What the tags of a TIFF's first page say of its pixels, and why some kinds of TIFF are refused."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

from simsearch.errors import ImageError

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
NAMES = {WHITE_IS_ZERO: "gray", BLACK_IS_ZERO: "gray", RGB: "RGB", PALETTE: "palette", CMYK: "CMYK", LAB: "Lab"}
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3}
OTHER_SPACES = {4: "mask", 9: "ICC Lab", 10: "ITU Lab", 32803: "raw sensor", 32844: "LogL", 32845: "LogLuv"}
OTHER_SPACES[34892] = "linear raw sensor"
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
ASSOCIATED, UNASSOCIATED = 1, 2
RAW, LZW, OLD_JPEG, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 5, 6, 7, 8, 32773, 32946
BYTEWISE = frozenset({RAW, LZW, DEFLATE, PACKBITS, OLD_DEFLATE})
PARTS = (273, 279, 324, 325)  # where strips and tiles are, and their bytes
MOST_PARTS = 250_000


@dataclass(frozen=True)
class Layout:
    """How the samples of a page lie in the file, and what they mean."""

    width: int
    height: int
    samples: int
    bits: int
    form: int  # UNSIGNED, SIGNED or FLOAT
    space: int  # the photometric interpretation
    planar: bool
    compression: int
    predictor: int
    fill_order: int
    extras: tuple[int, ...]
    tile: tuple[int, int] | None  # width and height
    rows: int  # of a strip
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    orientation: int
    big_endian: bool
    stated: int | None  # bits in use, where the tags say a whole range of fewer
    subsampled: bool
    dim_palette: bool  # of values up to 255, where 65535 is white
    pages: bool

    @property
    def plain(self) -> bool:
        """Whether Pillow itself reads it rightly: bytes, chunk by chunk, or fewer bits of gray or of a palette."""
        return self.form == UNSIGNED and not self.planar and (self.bits == 8 or (self.bits < 8 and self.samples == 1))

    @property
    def has_alpha(self) -> bool:
        """Whether the sample after the colours says how opaque a pixel is."""
        return self.extras[:1] in ((ASSOCIATED,), (UNASSOCIATED,))


def check_parts(data: bytes) -> None:
    """Raise ImageError for a TIFF whose first page says to be in more strips or tiles than a picture has.

    Pillow makes an object of each before it tells the size: 3.5 million took 10 s and 1.2 GB.
    """
    order = "<" if data[:2] == b"II" else ">"
    first, count, entry = ("8xQ", "Q", "HHQ8x") if b"+" in data[2:4] else ("4xI", "H", "HHI4x")
    try:
        (at,) = struct.unpack_from(order + first, data)
        (entries,) = struct.unpack_from(order + count, data, at)
        for n in range(min(entries, 65_535)):
            place = at + struct.calcsize(order + count) + n * struct.calcsize(order + entry)
            tag, _, parts = struct.unpack_from(order + entry, data, place)
            if tag in PARTS and parts > MOST_PARTS:
                raise ImageError(f"has too many parts: {parts:,} strips or tiles, at most {MOST_PARTS:,}")
    except struct.error:
        return  # cut off, as reading it tells


def read_layout(data: bytes) -> Layout:
    """Return the layout of a TIFF's first page; raises ImageError for what is not there, or is no picture of ours."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    if data[:4] == b"MM\0+":
        raise ImageError("a BigTIFF whose bytes are in big-endian order: not read; save it as little-endian")
    check_parts(data)
    file = io.BytesIO(data)
    tags: Any = ImageFileDirectory_v2(file.read(16 if data[2:3] == b"+" else 8))
    file.seek(tags.next)
    tags.load(file)

    def many(tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        found = tags.get(tag, default)
        return tuple(map(int, found)) if isinstance(found, tuple | list) else (int(found),)

    def one(tag: int, default: int) -> int:
        found = many(tag, (default,))
        return found[0] if found else default

    width, height, samples, space = one(256, 0), one(257, 0), one(277, 1), one(262, -1)
    bits, forms = set(many(258, (1,))), set(many(339, (1,))) or {1}
    if len(bits) != 1 or len(forms) != 1:
        raise ImageError(f"a TIFF whose samples are of different kinds (bits {sorted(bits)})")
    depth, form = bits.pop(), forms.pop()
    form = UNSIGNED if form == 4 else form  # 4: nothing is said
    tile = (one(322, 0), one(323, 0)) if 322 in tags else None
    top = one(281, 0) or one(341, 0) if form == UNSIGNED else 0
    low = one(280, 0) or (one(340, 0) if form == UNSIGNED else 0)
    # A greatest value may be that of this picture alone, which says nothing; a power of two less one is a range.
    stated = top.bit_length() if low == 0 and top >= 255 and top & (top + 1) == 0 else None
    sub = many(530, (2, 2)) if space == YCBCR else (1, 1)
    layout = Layout(
        width=width,
        height=height,
        samples=samples,
        bits=depth,
        form=form,
        space=space,
        planar=one(284, 1) == 2 and samples > 1,
        compression=one(259, 1),
        predictor=one(317, 1),
        fill_order=one(266, 1),
        extras=many(338),
        tile=tile,
        rows=min(one(278, height) or height, height),
        offsets=many(324 if tile else 273),
        counts=many(325 if tile else 279),
        orientation=one(274, 1),
        big_endian=data[:2] == b"MM",
        stated=stated,
        subsampled=sub != (1, 1),
        dim_palette=space == PALETTE and 0 < max(many(320), default=0) < 256,
        pages=tags.next != 0,
    )
    if reason := _refusal(layout, one(254, 0), one(255, 1)):
        raise ImageError(reason)
    return layout


def _refusal(layout: Layout, subfile: int, old_subfile: int) -> str | None:
    """Why a layout cannot be read for sure; None where it can."""
    space, samples = layout.space, layout.samples
    if space in OTHER_SPACES or space not in COLOURS:
        return f"a TIFF of {OTHER_SPACES.get(space, f'unknown colours ({space})')} values: not read"
    if subfile & 1 or old_subfile == 2:
        return "a TIFF whose first page is a small copy of another: save the whole picture on the first page"
    if layout.compression == OLD_JPEG:
        return "a TIFF with JPEG data of the old style: not read; save it anew"
    more = samples - COLOURS[space]
    name = NAMES.get(space, "YCbCr")
    if more < 0 or layout.form not in (UNSIGNED, SIGNED, FLOAT):
        return f"a TIFF of {name} with {samples} samples of kind {layout.form}: not read"
    if more and not layout.has_alpha and not (space in (RGB, CMYK) and len(layout.extras) == more):
        return f"a TIFF of {samples} bands: expected gray, RGB, or one of these with alpha; choose the bands to be seen"
    if layout.plain:
        if space == YCBCR and layout.subsampled and layout.compression != JPEG:
            return "a TIFF of subsampled YCbCr without JPEG compression: not read; save it as RGB"
        if layout.dim_palette:
            return "a TIFF whose palette ends at 255, where 65535 is white: save it anew"
        if more > 1 or (more and space in (CMYK, YCBCR, LAB)):
            return f"a TIFF of {name} with {more} more bands: not read"
        return None
    if layout.compression not in BYTEWISE:
        return (
            f"a TIFF of {layout.bits} bits with compression {layout.compression}: not read; save it with LZW, "
            "deflate or none"
        )
    if space not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK):
        return f"a TIFF of {name} with {layout.bits} bits in {'planes' if layout.planar else 'chunks'}: not read"
    if layout.form == FLOAT and (layout.bits not in (16, 32, 64) or space == CMYK):
        return f"a TIFF of {name} floats of {layout.bits} bits: not read"
    if layout.form == SIGNED and layout.bits not in (8, 16, 32, 64):
        return f"a TIFF of signed integers of {layout.bits} bits: not read"
    if layout.bits < 1 or (layout.bits > 16 and layout.bits not in (32, 64)):
        return f"a TIFF of {layout.bits} bits a sample: not read"
    if layout.predictor not in (1, 2, 3) or (layout.predictor == 3) > (layout.form == FLOAT):
        return f"a TIFF with predictor {layout.predictor}: not read"
    if layout.predictor == 2 and (layout.bits not in (8, 16, 32, 64) or layout.form == FLOAT):
        return f"a TIFF with predictor 2 of {layout.bits} bits: not read"
    if layout.fill_order != 1 and layout.bits < 8 * (layout.bits // 8 + 1) and layout.bits % 8:
        return f"a TIFF of {layout.bits} bits in reversed order: not read"
    return None
