"""simsearch/images/formats/tiff.py: each combination of tags is read as meant, or refused with a reason."""

from __future__ import annotations

import io
import struct
from itertools import product

import numpy as np
import pytest
from PIL import Image

from simsearch.errors import ImageError
from simsearch.images.formats.decode import decode, examine
from simsearch.images.formats.decoding import Decoding
from simsearch.images.formats.tiff import FIRST_PAGE

tifffile = pytest.importorskip("tifffile")
HEIGHT, WIDTH = 37, 50
random = np.random.default_rng(5)
TRUTH = random.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
TRUTH[0, 0], TRUTH[0, 1] = 255, 0
STEPS = {"u1": 1, "u2": 257, "f2": 1 / 255, "f4": 1 / 255, "f8": 1 / 255, "i2": 128.49803, "u4": 257}


def written(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def stored(kind, gray):
    """The picture as numbers of a type, by its whole range (floats: 0 to 1)."""
    truth = TRUTH[..., 0] if gray else TRUTH
    return np.rint(truth.astype(float) * STEPS[kind]).astype(kind) if kind[0] != "f" else (truth / 255).astype(kind)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", sorted(STEPS))
def test_every_combination_of_type_order_planes_tiles_and_compression(kind, order):
    seen = refused = 0
    for gray, planar, tile, packed, predictor, big in product(
        (True, False), ("contig", "separate"), (None, (16, 32)), (None, "zlib"), (False, True), (False, True)
    ):
        if (gray and planar == "separate") or (predictor and (packed is None or kind[0] == "f")):
            continue
        options = {"photometric": "minisblack" if gray else "rgb", "tile": tile, "compression": packed, "bigtiff": big}
        options |= {"byteorder": order, "predictor": predictor, "metadata": None, "rowsperstrip": None if tile else 11}
        pixels = stored(kind, gray)
        if not gray:
            options["planarconfig"] = planar
            pixels = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
        data = written(pixels, **options)
        truth = TRUTH[..., 0] if gray else TRUTH
        if big and order == ">":
            refused += 1
            with pytest.raises(ImageError, match="big-endian order"):
                decode(data)
            continue
        found = decode(data).astype(int)
        assert found.shape == truth.shape, options
        assert np.abs(found - truth).max() <= (kind in ("f2", "i2")), (kind, options)
        seen += 1
    assert seen == (2 * refused or seen) / (1 + bool(refused))
    assert seen >= 12


def tags(pixels, *, bits=8, samples=1, space=1, order="<", extra=(), form=None, planar=1, compression=1, raw=None):
    """A TIFF of one strip (a plane), written tag by tag."""
    strips = (
        [raw] if raw is not None else [np.ascontiguousarray(pixels).astype(f"{order}u{max(1, bits // 8)}").tobytes()]
    )
    height, width = pixels.shape[:2]
    entries = {
        256: (3, [width]),
        257: (3, [height]),
        258: (3, [bits] * samples),
        259: (3, [compression]),
        262: (3, [space]),
        273: (4, [0]),
        277: (3, [samples]),
        278: (4, [height]),
        279: (4, [len(strips[0])]),
        284: (3, [planar]),
        **({339: (3, [form] * samples)} if form else {}),
        **dict(extra),
    }
    at, body, tail = 8 + 2 + 12 * len(entries) + 4, b"", b""
    sizes = sum(
        len(values) * (2 if kind == 3 else 4)
        for kind, values in entries.values()
        if len(values) * (2 if kind == 3 else 4) > 4
    )
    entries[273] = (4, [at + sizes])
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(order + ("H" if kind == 3 else "I") * len(values), *values)
        if len(packed) > 4:
            body += struct.pack(order + "HHII", tag, kind, len(values), at + len(tail))
            tail += packed
        else:
            body += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return head + struct.pack(order + "H", len(entries)) + body + bytes(4) + tail + b"".join(strips)


GRAY = TRUTH[..., 0]


@pytest.mark.parametrize("order", "<>")
def test_white_may_be_zero_at_every_depth(order):
    assert (decode(tags(255 - GRAY, space=0, order=order)) == GRAY).all()
    assert (decode(tags((255 - GRAY.astype(int)) * 257, bits=16, space=0, order=order)) == GRAY).all()
    bits = GRAY > 127
    packed = np.packbits(~bits, axis=1).tobytes()
    assert (decode(tags(GRAY, bits=1, space=0, order=order, raw=packed)) == bits * 255).all()
    assert (decode(tags(GRAY, bits=1, space=1, order=order, raw=packed)) == ~bits * 255).all()


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("samples", [1, 3])
def test_samples_that_are_packed_bit_by_bit(bits, samples):
    top = (1 << bits) - 1
    values = (TRUTH[..., :samples].astype(np.int64) * top + 127) // 255
    planes = (values.reshape(HEIGHT, -1, 1) >> np.arange(bits)[::-1]) & 1
    raw = np.packbits(planes.reshape(HEIGHT, -1).astype(np.uint8), axis=1).tobytes()
    found = decode(tags(TRUTH, bits=bits, samples=samples, space=2 if samples == 3 else 1, raw=raw))
    assert (found == (TRUTH if samples == 3 else GRAY)).all()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_what_is_compressed_by_bytes_is_unpacked_at_16_bits_too(compression, predictor):
    file = io.BytesIO()
    Image.fromarray(GRAY.astype(np.uint16) * 257).save(
        file, "TIFF", compression=compression, tiffinfo={317: predictor} if compression != "packbits" else {}
    )
    assert (decode(file.getvalue()) == GRAY).all()


def test_floats_behind_the_predictor_of_floats():
    file = io.BytesIO()
    Image.fromarray((GRAY / 255).astype(np.float32)).save(
        file, "TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 3}
    )
    assert (decode(file.getvalue()) == GRAY).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_we_read_is_turned_as_pillow_turns_what_it_reads(orientation):
    eight, sixteen = (
        tags(TRUTH * np.uint16(step), bits=bits, samples=3, space=2, extra={274: (3, [orientation])})
        for bits, step in ((8, 1), (16, 257))
    )
    assert (decode(sixteen) == decode(eight)).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", [1, 2])
def test_alpha_in_either_way_at_either_depth(bits, kind):
    step = 257 if bits == 16 else 1
    alpha = np.where(np.arange(WIDTH) < 25, 255, 51)[None, :].repeat(HEIGHT, 0)
    colours = TRUTH.astype(int) if kind == 2 else np.rint(TRUTH * (alpha[..., None] / 255)).astype(int)
    whole = np.dstack([colours, alpha]) * step
    data = tags(whole, bits=bits, samples=4, space=2, extra={338: (3, [kind])})
    truth = np.rint(TRUTH * (alpha[..., None] / 255) + 255 - alpha[..., None])
    found = decode(data, decoding=Decoding(background="white"))
    assert np.abs(found - truth).max() <= (1 if kind == 2 else 2)
    clear = np.dstack([TRUTH.astype(int), 0 * alpha]) * step
    unused = examine(tags(clear, bits=bits, samples=4, space=2, extra={338: (3, [2])}))
    assert (unused.pixels == TRUTH).all()
    assert unused.notes == ("alpha not used",)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_alpha_of_few_bits_is_scaled_as_its_colours_are(bits):
    """Opaque is 1 of 255 by the whole range of 16 bits, where 8 are in use."""
    top = (1 << bits) - 1
    colours = (TRUTH.astype(int) * top + 127) // 255
    whole = np.dstack([colours, np.full((HEIGHT, WIDTH), top)])
    found = examine(tags(whole, bits=16, samples=4, space=2, extra={338: (3, [2])}))
    assert (found.pixels == TRUTH).all()
    assert found.notes == (f"scaled from {bits} bits",)


def test_cmyk_of_16_bits_is_that_of_8():
    ink = np.dstack([TRUTH, GRAY // 3]).astype(int)
    assert (decode(tags(ink * 257, bits=16, samples=4, space=5)) == decode(tags(ink, samples=4, space=5))).all()


def test_a_stated_range_is_taken_where_it_is_a_range():
    values = (GRAY.astype(int) * 1023 + 127) // 255
    for tag in (281, 341):
        found = examine(tags(values * 16, bits=16, extra={tag: (3, [16383])}))
        assert found.notes == ("scaled from 14 bits",)
    stretched = GRAY.astype(int) * 128 + 1  # to 15 bits
    assert examine(tags(stretched, bits=16, extra={281: (3, [32767])})).notes == ("scaled from 15 bits",)
    # The greatest value of this very picture says nothing about its range.
    assert examine(tags(stretched, bits=16, extra={281: (3, [32641])})).notes == ()


def test_signed_integers():
    values = np.rint(GRAY * (32767 / 255)).astype("<i2")
    assert np.abs(decode(tags(GRAY, bits=16, form=2, raw=values.tobytes())).astype(int) - GRAY).max() <= 1
    with pytest.raises(ImageError, match=r"from -1,?000.*images\.range"):
        decode(tags(GRAY, bits=16, form=2, raw=(values.astype(int) - 1000).astype("<i2").tobytes()))
    shifted = (GRAY.astype(int) * 4 - 500).astype("<i2").tobytes()
    found = decode(tags(GRAY, bits=16, form=2, raw=shifted), decoding=Decoding(range=(-500.0, 520.0)))
    assert (found == GRAY).all()


def test_the_first_of_several_pages_is_used_and_said():
    other = written(np.stack([TRUTH, 255 - TRUTH]), photometric="rgb")
    found = examine(other)
    assert (found.pixels == TRUTH).all()
    assert found.notes == (FIRST_PAGE,)
    deep = examine(written(np.stack([GRAY, 255 - GRAY]).astype(np.uint16) * 257, photometric="minisblack"))
    assert (deep.pixels == GRAY).all()
    assert deep.notes == (FIRST_PAGE,)


FIVE = np.dstack([TRUTH, GRAY, GRAY])
REFUSED = {
    "four bands of gray": (tags(FIVE[..., :4], samples=4, space=1, extra={338: (3, [0, 0, 0])}), "4 bands"),
    "seven bands": (tags(np.dstack([FIVE, TRUTH[..., :2]]).astype(int) * 257, bits=16, samples=7, space=1), "7 bands"),
    "a fourth band without a name": (tags(FIVE[..., :4], samples=4, space=2), "4 bands"),
    "raw of a sensor": (tags(GRAY, space=32803), "raw sensor"),
    "a small copy": (tags(GRAY, extra={254: (4, [1])}), "small copy"),
    "JPEG of the old style": (tags(GRAY, space=6, samples=3, compression=6), "old style"),
    "Lab of 16 bits": (tags(TRUTH.astype(int) * 257, bits=16, samples=3, space=8), "Lab"),
    "ICC Lab": (tags(TRUTH, samples=3, space=9), "ICC Lab"),
    "an unknown space": (tags(GRAY, space=77), "77"),
    "a palette of 255": (tags(GRAY, space=3, extra={320: (3, list(range(256)) * 3)}), "palette"),
    "subsampled YCbCr": (tags(TRUTH, samples=3, space=6), "subsampled"),
    "32 bits beyond 65535": (tags(GRAY.astype(np.int64) * 2**20, bits=32), "expected 0 to 65535"),
    "a strange compression": (tags(GRAY * np.uint16(257), bits=16, compression=34712), "compression 34712"),
    "complex numbers": (tags(GRAY, bits=32, form=6), "kind 6"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_not_read_is_refused_by_name(name):
    data, reason = REFUSED[name]
    with pytest.raises(ImageError, match=reason):
        decode(data)


def test_colours_beside_a_band_that_is_no_alpha_are_read():
    assert (decode(tags(FIVE[..., :4], samples=4, space=2, extra={338: (3, [0])})) == TRUTH).all()
    deep = tags(FIVE.astype(int) * 257, bits=16, samples=5, space=2, extra={338: (3, [0, 0])})
    assert (decode(deep) == TRUTH).all()


def test_a_piece_never_becomes_larger_than_its_tags_say():
    import zlib

    bomb = zlib.compress(bytes(200_000_000), 9)
    values = np.zeros((4, 4), np.uint16)
    assert (decode(tags(values, bits=16, compression=8, raw=bomb)) == 0).all()


@pytest.mark.parametrize("bits", [17, 48])
def test_a_depth_that_no_sample_has_is_refused(bits):
    whole = written(TRUTH[..., 0], metadata=None)
    at = whole.index(struct.pack("<HHI", 258, 3, 1)) + 8
    with pytest.raises(ImageError, match=f"{bits} bits"):
        examine(whole[:at] + struct.pack("<H", bits) + whole[at + 2 :])


@pytest.mark.parametrize("tag", [256, 257])
def test_a_page_that_does_not_say_its_size_has_no_pixels(tag):
    whole = written(TRUTH, metadata=None)
    at = max(whole.find(struct.pack("<HHI", tag, kind, 1)) for kind in (3, 4))
    assert examine(whole).pixels.shape == TRUTH.shape
    with pytest.raises(ImageError, match="has no pixels"):
        examine(whole[:at] + struct.pack("<H", 65_000) + whole[at + 2 :])


def test_a_picture_that_is_cut_is_truncated():
    whole = tags(TRUTH.astype(int) * 257, bits=16, samples=3, space=2)
    for missing in (1, 7, 1000):
        with pytest.raises(ImageError, match=r"^truncated"):
            decode(whole[:-missing])
