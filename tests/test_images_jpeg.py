"""simsearch/images/formats/jpeg.py: a JPEG without an end, one that is cut, and one that is large."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from simsearch.errors import ImageError
from simsearch.images.formats.decode import decode, examine
from simsearch.images.formats.decoding import FIRST, Decoding
from simsearch.images.formats.jpeg import with_end

random = np.random.default_rng(2)
NOISY = Image.fromarray(random.integers(0, 256, (40, 56, 3), dtype=np.uint8))
Y, X = np.mgrid[0:40, 0:56]
SMOOTH = Image.fromarray(np.stack([X * 4, Y * 6, X + Y], axis=2).astype(np.uint8))
KINDS = {
    "baseline": {"quality": 90},
    "4:2:0": {"quality": 80, "subsampling": 2},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_blocks": 2},
    "optimized": {"quality": 60, "optimize": True},
}


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("image", [NOISY, SMOOTH, NOISY.convert("L")], ids=["noise", "smooth", "gray"])
def test_without_its_end_marker_it_is_the_same_picture(kind, image):
    whole = jpeg(image, **KINDS[kind])
    for tail in (b"", b"\xff", bytes(4096)):
        found = examine(whole[:-2] + tail)
        assert (found.pixels == decode(whole)).all()
        assert found.notes in ((), ("no end marker",))  # libjpeg itself does without, now and then
    for at_least in (None, 8):
        assert (decode(whole[:-2], at_least) == decode(whole, at_least)).all()
    if kind == "baseline":
        with pytest.raises(ImageError, match=r"^truncated"):
            decode(whole[:-2], decoding=FIRST)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("image", [NOISY, SMOOTH], ids=["noise", "smooth"])
def test_cut_anywhere_it_is_the_whole_picture_or_refused(kind, image):
    whole = jpeg(image, **KINDS[kind])
    truth = decode(whole)
    step = max(1, len(whole) // 120)
    lengths = sorted({*range(2, len(whole), step), *range(len(whole) - 40, len(whole))})
    taken = 0
    for length in lengths:
        for tail in (b"", bytes(300)):
            try:
                found = decode(whole[:length] + tail)
            except ImageError:
                continue
            assert (found == truth).all(), (length, len(whole), tail[:1])
            taken += 1
    assert 0 < taken < 20


def test_scans_that_are_not_there_are_missed():
    whole = jpeg(NOISY, quality=90, progressive=True)
    starts = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    assert len(starts) > 5
    for start in starts[1:]:
        for cut in (whole[:start], whole[:start] + b"\xff"):
            assert with_end(cut, Decoding()) is None


def test_restarts_that_are_not_there_are_missed():
    whole = jpeg(NOISY, quality=90, restart_marker_blocks=2)
    marks = [at for at in range(len(whole) - 1) if whole[at] == 0xFF and 0xD0 <= whole[at + 1] <= 0xD7]
    assert len(marks) == 5
    for mark in marks:
        assert with_end(whole[:mark], Decoding()) is None
        assert with_end(whole[: mark + 2], Decoding()) is None


def test_hostile_headers_are_no_way_in():
    whole = jpeg(NOISY, quality=90, progressive=True)
    said = {""}
    for at in range(2, 700):
        for value in (0, 0xFF):
            try:
                decode(whole[:at] + bytes([value]) + whole[at + 1 : -2])
            except ImageError as error:
                said.add(error.message)
    assert len(said) > 2
    assert "".join(said).isprintable()


BIG = (16320, 12240)


def header(width, height, *, progressive=False, sampling=0x22, whole=None):
    """A small JPEG whose header says another size."""
    data = bytearray(
        whole or jpeg(Image.new("RGB", (64, 64)), progressive=progressive, subsampling=2 if sampling == 0x22 else 0)
    )
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


def test_a_large_jpeg_is_bounded_by_what_is_decoded():
    assert decode(header(*BIG), 224).shape == (1530, 2040, 3)
    with pytest.raises(ImageError, match="16,320 x 12,240, at most 134,217,728"):
        decode(header(*BIG), 224, FIRST)
    with pytest.raises(ImageError, match=r"65,000 x 65,000.*images\.max_pixels"):
        decode(header(65000, 65000), 16384)


def test_the_coefficients_of_a_progressive_jpeg_are_bounded_too():
    with pytest.raises(ImageError, match=r"progressive JPEG: 16,320 x 12,240 take 1,1\d\d MB.*images\.max_pixels"):
        decode(header(*BIG, progressive=True, sampling=0x11), 224)
    with pytest.raises(ImageError, match=r"progressive JPEG: 65,000 x 65,000"):
        decode(header(65000, 65000, progressive=True), 224)


def test_the_bound_is_a_setting():
    whole = jpeg(NOISY, quality=90)
    small = Decoding(max_pixels=1000)
    with pytest.raises(ImageError, match=r"56 x 40, at most 1,000 \(images\.max_pixels\)"):
        decode(whole, 30, small)
    assert decode(whole, 2, small).shape == (5, 7, 3)
    assert decode(whole, decoding=small).shape[0] * decode(whole, decoding=small).shape[1] <= 1000
    file = io.BytesIO()
    NOISY.save(file, "PNG")
    with pytest.raises(ImageError, match=r"images\.max_pixels"):
        decode(file.getvalue(), 2, small)


@pytest.mark.slow
def test_a_whole_large_jpeg_is_read_at_an_eighth():
    assert decode(header(*BIG, progressive=True), 224).shape == (1530, 2040, 3)
    whole = jpeg(Image.linear_gradient("L").resize(BIG), quality=50)
    assert decode(whole, 224).shape == (1530, 2040)
    full = decode(whole)
    assert full.shape[0] * full.shape[1] <= Decoding().max_pixels
