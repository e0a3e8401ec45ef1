"""Pictures by rules 2: the cases that came out wrong in silence by rules 1, and their siblings."""

from __future__ import annotations

import io
import struct
import zlib
from importlib.util import find_spec

import numpy as np
import pytest
from conftest import TURNED
from PIL import Image
from test_images_pixels import png

from simsearch.errors import ImageError
from simsearch.images.formats.decode import decode, decode_query, examine
from simsearch.images.formats.decoding import FIRST, Decoding
from simsearch.images.formats.formats import EXTRA
from simsearch.images.formats.ranges import CUT
from simsearch.images.tally import FLAT, in_words


def save(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(width=96, height=64):
    y, x = np.mgrid[0:height, 0:width]
    whole = np.stack([x * 255 // width, y * 255 // height, (x * y) % 256], axis=2).astype(np.uint8)
    random = np.random.default_rng(3)
    whole[10:30, 20:50] = random.integers(0, 256, whole[10:30, 20:50].shape)
    return Image.fromarray(whole)


def logo(colour, ground=(0, 0, 0)):
    image = Image.new("RGBA", (32, 32), (*ground, 0))
    image.paste((*colour, 255), (8, 8, 24, 24))
    return image


def bmp(alpha):
    """A 32-bit BMP with masks whose alpha is `alpha` everywhere."""
    pixels = np.asarray(photo(8, 6))
    body = np.dstack([pixels[:, :, ::-1], np.full((6, 8), alpha, np.uint8)])[::-1].tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, 8, 6, 1, 32, 3, len(body), 2835, 2835, 0, 0)
    head += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(64)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body


def test_alpha_that_is_nowhere_opaque_is_no_alpha():
    truth = np.asarray(photo(8, 6))
    for alpha, notes in ((0, ("alpha not used",)), (255, ())):
        found = examine(bmp(alpha))
        assert (found.pixels == truth).all()
        assert found.notes == notes
    assert (decode(bmp(0), decoding=FIRST) == 255).all()
    clear = Image.fromarray(np.dstack([truth, np.zeros((6, 8), np.uint8)]))
    for kind, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})):
        assert (decode(save(clear, kind, **options)) == truth).all()
    gray = Image.merge("LA", (photo(8, 6).convert("L"), Image.new("L", (8, 6), 0)))
    assert (decode(save(gray, "PNG")) == np.asarray(photo(8, 6).convert("L"))).all()


def test_auto_lays_black_behind_what_is_light_and_white_behind_the_rest():
    for colour, ground, notes in (
        ((255, 255, 255), 0, ("on black",)),
        ((240, 240, 230), 0, ("on black",)),
        ((90, 60, 50), 255, ()),
        ((0, 0, 0), 255, ()),
    ):
        found = examine(save(logo(colour), "PNG"))
        assert (found.pixels[0, 0] == ground).all()
        assert (found.pixels[16, 16] == colour).all()
        assert found.notes == notes
        assert (decode(save(logo(colour), "PNG"), decoding=FIRST)[0, 0] == 255).all()


@pytest.mark.parametrize("store", ["gray", "palette", "key", "gray key", "webp", "tiff", "avif"])
def test_every_kind_of_transparency_is_laid_on_black_where_what_is_seen_is_white(store):
    white = logo((255, 255, 255))
    if store == "gray":
        data = save(white.convert("LA"), "PNG")
    elif store in ("palette", "key", "gray key"):
        mode = {"palette": "P", "key": "RGB", "gray key": "L"}[store]
        flat = Image.new("L", (32, 32), 0)
        flat.paste(255 if mode != "P" else 1, (8, 8, 24, 24))
        image = flat if mode == "L" else flat.convert("RGB")
        if mode == "P":
            image = flat
            image = Image.frombytes("P", (32, 32), flat.tobytes())
            image.putpalette([9, 9, 9, 255, 255, 255])
        data = save(image, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    else:
        data = save(white, store.upper(), **({"lossless": True} if store == "webp" else {}))
    seen = decode(data)
    assert (seen[0, 0] == 0).all()
    assert (seen[16, 16] >= 254).all()


@pytest.mark.parametrize(
    ("background", "corner"),
    [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#0a141e", (10, 20, 30)), ("checker", (85, 85, 85))],
)
def test_a_background_that_is_set_is_laid_behind_all(background, corner):
    for colour in ((255, 255, 255), (90, 60, 50)):
        found = examine(save(logo(colour), "PNG"), decoding=Decoding(background=background))
        assert tuple(found.pixels[0, 0]) == corner
        assert found.notes == ()
    gray = decode(save(logo((90, 90, 90)).convert("LA"), "PNG"), decoding=Decoding(background=background))
    assert (gray.ndim == 3) == (background == "#0a141e")


def test_a_checker_holds_both_its_grays():
    seen = decode(save(logo((255, 255, 255)), "PNG"), decoding=Decoding(background="checker"))
    assert {85, 170, 255} == set(np.unique(seen).tolist())


@pytest.mark.parametrize(("size", "side"), [((32, 32), 2), ((160, 48), 10), ((20, 34), 3), ((5, 3), 1)])
def test_sixteen_squares_lie_along_the_longer_side(size, side):
    clear = np.zeros((size[1], size[0], 4), np.uint8)
    clear[0, 0, 3] = 1  # else its alpha counts as not used
    seen = decode(save(Image.fromarray(clear), "PNG"), decoding=Decoding(background="checker"))
    rows, columns = np.indices(seen.shape[:2]) // side % 2
    expected = np.where(rows ^ columns, 170, 85)
    assert (np.atleast_3d(seen)[..., 0] == expected)[np.indices(seen.shape[:2]).any(axis=0)].all()


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({FLAT: 1}, "1 picture decodes to one flat colour"),
        ({FLAT: 1200}, "1,200 pictures decode to one flat colour"),
        ({"on black": 2}, "2 pictures light on a transparent ground"),
        ({"scaled from 12 bits": 1}, "1 picture scaled from 12 bits (images.range)"),
    ],
)
def test_decisions_are_counted_in_words(counts, said):
    (sentence,) = in_words(counts)
    assert sentence.startswith(said)
    *_, last = in_words({**counts, "scaled from 10 bits": 3, "scaled from 14 bits": 3})
    assert last.startswith("some depths of bits were told by the pictures alone")


def test_photos_with_soft_edges_stay_as_they_were():
    image = photo().convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))))
    data = save(image, "PNG")
    assert (decode(data) == decode(data, decoding=FIRST)).all()


GRAY = np.asarray(photo().convert("L")).astype(np.uint16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_gray_of_fewer_bits_in_16_is_scaled_and_said(kind, bits):
    top = (1 << bits) - 1
    stored = ((GRAY.astype(np.int64) * top + 127) // 255).astype(np.uint16)
    stored[0, 0] = top
    found = examine(save(Image.fromarray(stored), kind))
    assert found.notes == (f"scaled from {bits} bits",)
    truth = np.floor(stored / top * 255 + 0.5)
    assert (found.pixels == truth).all()
    full = examine(save(Image.fromarray(stored), kind), decoding=Decoding(range="full"))
    assert full.notes == ()
    assert (full.pixels == decode(save(Image.fromarray(stored), kind), decoding=FIRST)).all()
    fixed = decode(save(Image.fromarray(stored), kind), decoding=Decoding(range=(0.0, float(top))))
    assert (fixed == truth).all()


def test_gray_that_uses_its_16_bits_is_as_it_was():
    for stored in (GRAY * 257, (GRAY // 8) * 257, (GRAY // 8) << 8, np.zeros((4, 4), np.uint16)):
        for kind in ("PNG", "TIFF"):
            data = save(Image.fromarray(stored), kind)
            assert examine(data).notes == ()
            assert (decode(data) == decode(data, decoding=FIRST)).all()


def with_significant_bits(data, bits):
    """The same gray PNG with a chunk that says how many bits are in use."""
    chunk = b"sBIT" + bytes([bits])
    return data[:33] + struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_a_value_above_the_bits_is_of_more_bits(bits):
    """The first value that does not fit tells, also where the file says otherwise."""
    stored = GRAY.copy()
    stored[0, 0] = 1 << bits
    assert examine(save(Image.fromarray(stored), "TIFF")).notes == (f"scaled from {bits + 2} bits",)
    said = with_significant_bits(save(Image.fromarray(stored), "PNG"), bits)
    assert examine(said).notes == (f"scaled from {bits + 2} bits",)


def test_a_transparent_value_of_16_bits_is_compared_in_16_bits():
    row = b"\0" + struct.pack(">HHH", 1000, 1001, 65535)
    assert decode(png(16, 3, 0, [row])).tolist() == [[4, 4, 255]]
    clear = png(16, 3, 0, [row], struct.pack(">H", 1000))
    assert decode(clear).tolist() == [[255, 4, 255]]
    assert decode(clear, decoding=Decoding(background="#000000")).tolist() == [[0, 4, 255]]


@pytest.mark.parametrize(("colour", "samples"), [(2, [0, 1, 1]), (6, [0, 1, 1, None]), (4, [1, None])])
def test_dark_colours_of_16_bits_are_refused_where_only_their_high_bytes_can_be_had(colour, samples):
    """Below 2^14 in every colour, whatever the alpha; gray alone and TIFF give all bits."""

    def file(value):
        row = [65535 if sample is None else sample * value for sample in samples]
        return png(16, 1, colour, [b"\0" + struct.pack(f">{len(row)}H", *row)])

    dark, bright = file((1 << 14) - 1), file(1 << 14)
    with pytest.raises(ImageError, match="below 14 bits: save it as TIFF"):
        decode(dark)
    assert decode(dark, decoding=Decoding(range="full")).max() == 63
    assert decode(bright).max() == 64
    assert not decode(file(0)).any()
    with pytest.raises(ImageError, match="is for gray and for TIFF"):
        decode(bright, decoding=Decoding(range=(0.0, 4095.0)))


def test_32_bits_in_full_are_rounded_to_the_nearest():
    top = (1 << 31) - 1
    stored = np.array([[0, top // 510 - 10, top // 510 + 10, top // 2 + 10, top]], dtype=np.int32)
    data = save(Image.fromarray(stored), "TIFF")
    assert decode(data, decoding=Decoding(range="full")).tolist() == [[0, 0, 1, 128, 255]]


def test_a_png_that_says_how_many_bits_are_in_use():
    plain = save(Image.fromarray((GRAY * 129).astype(np.uint16)), "PNG")  # to 15 bits
    assert examine(plain).notes == ()
    said = bytearray(with_significant_bits(plain, 15))
    said[33 + 9] ^= 1
    with pytest.raises(ImageError):  # its checksum is wrong, which Pillow looks at
        decode(bytes(said))
    found = examine(with_significant_bits(plain, 15))
    assert found.notes == ("scaled from 15 bits",)
    assert (found.pixels == np.floor(GRAY * 129 / 32767 * 255 + 0.5)).all()


def test_rules_1_know_no_settings_and_a_query_in_a_new_format_is_read_all_the_same():
    data = save(photo(), "AVIF")
    with pytest.raises(ImageError, match="expected JPEG, PNG"):
        decode(data, decoding=FIRST)
    assert (decode_query(data, None, FIRST) == decode(data)).all()
    white = save(logo((255, 255, 255)), "PNG")
    assert (decode_query(white, None, FIRST) == decode(white, decoding=FIRST)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_avif_and_heic_are_turned_exactly_once(kind, orientation):
    if kind == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "HEIF":
        heif = pillow_heif.from_pillow(photo())
        heif.info["exif"] = exif.tobytes()
        file = io.BytesIO()
        heif.save(file, quality=90)
        data = file.getvalue()
    else:
        data = save(photo(), kind, quality=90, exif=exif)
    seen = decode(data).astype(int)
    wanted = TURNED[orientation](np.asarray(photo()).astype(int))
    assert seen.shape == wanted.shape
    light = np.array([0.299, 0.587, 0.114])  # colours are kept at half the size
    assert np.abs((seen - wanted) @ light).mean() < 10
    assert np.abs(seen[..., :2] - wanted[..., :2]).mean() < 20


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_jpeg_xl_and_jpeg_2000_are_read(mode):
    jxl = pytest.importorskip("pillow_jxl")
    image = photo().convert(mode)
    data = jxl.Encoder(mode, lossless=True, quality=100)(image.tobytes(), *image.size, jpeg_encode=False)
    truth = np.asarray(photo().convert("L" if mode in ("L", "LA") else "RGB"))
    assert (decode(data) == truth).all()
    assert (decode(save(image, "JPEG2000")) == truth).all()


def test_a_jpeg_inside_a_jpeg_xl_is_turned_as_it_says():
    jxl = pytest.importorskip("pillow_jxl")
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = save(photo(), "JPEG", quality=90, exif=exif)
    whole = jxl.Encoder("RGB", lossless=True, quality=100)(plain, 96, 64, jpeg_encode=True)
    assert (decode(whole) == decode(plain)).all()


def test_a_format_without_its_plugin_names_the_extra(monkeypatch):
    import sys

    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    if find_spec("pillow_heif"):
        with pytest.raises(ImageError, match=r"^cannot decode this HEIC"):
            decode(heic)
    for name, data in (("pillow_heif", heic), ("pillow_jxl", b"\xff\x0a" + bytes(40))):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImageError) as caught:
            decode(data)
        assert EXTRA in caught.value.message


@pytest.mark.parametrize("size", [(8, 8), (256, 256), (300, 7), (4032, 3024), (16320, 12240), (70000, 70000)])
def test_the_size_of_a_jpeg_xl_is_read_before_it_is_decoded(size):
    jxl = pytest.importorskip("pillow_jxl")
    from simsearch.images.formats.jxl import jxl_size

    if size[0] < 5000:
        pixels = bytes(size[0] * size[1])
        for box in (False, True):
            encoded = jxl.Encoder("L", lossless=True, quality=100, effort=1, use_container=box)
            assert jxl_size(encoded(pixels, *size, jpeg_encode=False)) == size
    bits = (0b0 | (3 << 1) | ((size[1] - 1) << 3)) | ((3 << 36) | ((size[0] - 1) << 38))
    bomb = b"\xff\x0a" + bits.to_bytes(9, "little") + bytes(20)
    assert jxl_size(bomb) == size
    if size[0] > 5000:
        with pytest.raises(ImageError, match="too many pixels"):
            decode(bomb)


def as_tiff(values):
    return save(Image.fromarray(values.astype(np.float32)), "TIFF")


@pytest.mark.parametrize(
    ("low", "high", "notes"),
    [
        (0.0, 1.0, ()),
        (0.0, 0.6, ()),
        (0.0, 1.002, (CUT,)),  # resampled
        (-0.03, 1.4, (CUT,)),  # sharpened
        (0.0, 255.4, (CUT,)),
        (-3.0, 200.5, (CUT,)),
        (0.25, 65534.5, ()),
        (0.25, 4001.5, ("scaled from 12 bits",)),
    ],
)
def test_floats_a_little_beyond_a_range_are_of_that_range(low, high, notes):
    top = next(top for top in (1, 255, 4095, 65535) if high <= top * (1.5 if top == 1 else 1.05))
    values = np.linspace(low, high, 97 * 61).reshape(61, 97)
    found = examine(as_tiff(values))
    assert found.notes == notes
    assert np.abs(found.pixels - (values / top).clip(0, 1) * 255).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(("bits", "notes"), [(8, ()), (10, 1), (12, 1), (14, 1), (16, ())])
def test_integers_that_are_stored_as_floats_have_their_depth(bits, notes):
    top = (1 << bits) - 1
    values = np.rint(np.linspace(0, top, 97 * 61)).reshape(61, 97)
    found = examine(as_tiff(values))
    assert found.notes == ((f"scaled from {bits} bits",) if notes else ())
    assert np.abs(found.pixels - values / top * 255).max() <= 0.5 + 1e-6
    with pytest.raises(ImageError, match="float pixels from"):
        examine(as_tiff(values - 0.06 * top))


def test_floats_by_rules_1_are_read_as_they_were():
    dark = decode(as_tiff(np.linspace(0, 1.002, 100).reshape(10, 10)), None, FIRST)
    assert dark.max() == 1, "nearly black: what a build of rules 1 was trained on"
