"""simsearch/images/formats/pixels.py, through decode by rules 1: every way in which pixels are stored."""

import io
import struct
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image

from simsearch.errors import ImageError
from simsearch.images.formats.decode import decode as decode_by
from simsearch.images.formats.decoding import FIRST

decode = partial(decode_by, decoding=FIRST)
GRAY = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
RGB = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def save(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_colour_spaces_become_rgb(mode):
    flat = Image.new("RGB", (8, 8), (200, 100, 50))
    if mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        stored = ImageCms.profileToProfile(flat, srgb, lab, outputMode="LAB")
        stored.info.clear()
    else:
        stored = flat.convert(mode)
    seen = decode(save(stored, "TIFF"))
    assert seen.shape == (8, 8, 3)
    assert np.abs(seen[0, 0].astype(int) - (200, 100, 50)).max() <= 4


def test_cmyk_jpeg():
    seen = decode(save(Image.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(seen[8, 8].astype(int) - (200, 100, 50)).max() <= 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bit_is_scaled_not_clipped(kind, dtype):
    values = np.array([[0, 257, 128 * 257, 65535, 300, 128]], dtype=np.uint16)
    if dtype == ">u2":
        image = Image.frombytes("I;16B", (6, 1), values.astype(">u2").tobytes())
        kind = "TIFF"
    else:
        image = Image.fromarray(values)
    assert decode(save(image, kind)).tolist() == [[0, 1, 128, 255, 1, 0]]


def test_32_bit_integers():
    assert decode(save(Image.fromarray(np.array([[0, 65535]], dtype=np.int32)), "TIFF")).tolist() == [[0, 255]]
    for bad in (-1, 65536):
        with pytest.raises(ImageError, match="expected 0 to 65535"):
            decode(save(Image.fromarray(np.array([[0, bad]], dtype=np.int32)), "TIFF"))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([0, 1, 254.6], [0, 1, 255]),
        ([0, 257, 65535], [0, 1, 255]),
        ([0, 1, 255.5], [0, 0, 1]),  # beyond 255, if only just
        ([0, 0.5, 1.001], [0, 1, 1]),
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_float_ranges(values, wanted):
    data = save(Image.fromarray(np.array([values], dtype=np.float32)), "TIFF")
    assert decode(data).tolist() == [wanted]


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1e6])
def test_floats_without_a_meaning_are_refused(value):
    with pytest.raises(ImageError, match="float pixels"):
        decode(save(Image.fromarray(np.array([[0, value]], dtype=np.float32)), "TIFF"))


def test_one_bit_and_palette():
    bits = Image.fromarray(GRAY > 100).convert("1")
    assert decode(save(bits, "PNG")).tolist() == ((GRAY > 100) * 255).tolist()
    palette = Image.fromarray(RGB).quantize(16)
    assert (decode(save(palette, "PNG")) == np.asarray(palette.convert("RGB"))).all()


def test_alpha_is_laid_over_white():
    rgba = Image.new("RGBA", (3, 1), (100, 0, 0, 255))
    rgba.putpixel((1, 0), (100, 0, 0, 0))
    rgba.putpixel((2, 0), (100, 0, 0, 128))
    wanted = [[100, 0, 0], [255, 255, 255], [177, 127, 127]]
    for data in (save(rgba, "PNG"), save(rgba, "TIFF"), save(rgba, "WEBP", lossless=True, exact=True)):
        assert decode(data)[0].tolist() == wanted
    assert decode(save(rgba.convert("LA"), "PNG"))[0].tolist() == [30, 255, 142]


def test_transparent_palette_entries():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    for extra in ({"transparency": 0}, {"transparency": b"\0\xff"}):
        assert decode(save(palette, "PNG", **extra))[0].tolist() == [[255, 255, 255], [40, 50, 60]]
    assert decode(save(palette, "GIF", transparency=0))[0].tolist() == [[255, 255, 255], [40, 50, 60]]


def test_transparent_colour_of_gray_and_rgb():
    assert decode(save(Image.fromarray(GRAY), "PNG", transparency=7))[0].tolist()[:3] == [0, 255, 14]
    flat = Image.new("RGB", (2, 1), (1, 2, 3))
    flat.putpixel((1, 0), (1, 2, 4))
    assert decode(save(flat, "PNG", transparency=(1, 2, 3)))[0].tolist() == [[255, 255, 255], [1, 2, 4]]


def png(bits, width, colour, rows, trns=None):
    """A PNG written by hand: rows are filter byte and packed samples."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0))
    if trns is not None:
        body += chunk(b"tRNS", trns)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")


def test_transparent_colour_in_few_or_many_bits():
    assert decode(png(2, 4, 0, [b"\0\x1b"], struct.pack(">H", 1)))[0].tolist() == [0, 255, 170, 255]
    assert decode(png(1, 2, 0, [b"\0\x40"], struct.pack(">H", 0)))[0].tolist() == [255, 255]
    gray16 = png(16, 2, 0, [b"\0" + struct.pack(">HH", 1000, 2570)], struct.pack(">H", 1000))
    assert decode(gray16)[0].tolist() == [255, 10]
    rgb16 = png(
        16, 2, 2, [b"\0" + struct.pack(">6H", 256, 512, 768, 2560, 2560, 2560)], struct.pack(">3H", 256, 512, 768)
    )
    assert decode(rgb16)[0].tolist() == [[255, 255, 255], [10, 10, 10]]
