"""simsearch/images/formats/decode.py: formats, orientation, bounds, and hostile bytes."""

import contextlib
import io
import os
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from conftest import TURNED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from simsearch.errors import ImageError
from simsearch.images.formats.decode import decode, read_bytes, read_image
from simsearch.images.formats.decoding import MAX_PIXELS
from simsearch.images.preprocess import Preprocess

WANTED = "expected JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000, HEIC or JPEG XL)"
GRAY = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
RGB = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


def save(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def smooth(width=64, height=48):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_gray_comes_back_as_it_was(kind):
    seen = decode(save(Image.fromarray(GRAY), kind))
    if seen.ndim == 3:
        seen = seen[..., 0]
    assert seen.dtype == np.uint8
    assert (seen == GRAY).all()


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("TIFF", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_rgb_comes_back_as_it_was(kind, options):
    assert (decode(save(Image.fromarray(RGB), kind, **options)) == RGB).all()


def test_jpeg_gray_and_colour_have_their_shapes():
    assert decode(save(Image.fromarray(GRAY), "JPEG")).shape == (5, 7)
    assert decode(save(Image.fromarray(RGB), "JPEG")).shape == (16, 24, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind, orientation):
    flat = smooth()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    plain = decode(save(Image.fromarray(flat), kind, **options)).astype(int)
    wanted = TURNED[orientation](plain)
    seen = decode(save(Image.fromarray(flat), kind, exif=exif, **options)).astype(int)
    assert seen.shape == wanted.shape
    assert np.abs(seen - wanted).max() <= 1


def test_damaged_exif_leaves_the_picture():
    assert decode(save(Image.fromarray(RGB), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")).shape == RGB.shape


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = save(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode(data)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
def test_gray_stored_as_rgb_is_the_same_picture(resize, channels):
    gray = np.random.default_rng(1).integers(0, 256, (31, 47), dtype=np.uint8)
    preprocess = Preprocess(12, channels, resize, (0.5,) * channels, (0.5,) * channels)
    one = preprocess.fit(decode(save(Image.fromarray(gray), "PNG")))
    other = preprocess.fit(decode(save(Image.fromarray(gray).convert("RGB"), "PNG")))
    assert (one == other).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image (the file is empty)"),
        (
            b"%PDF-1.7 ...",
            'not an image (first bytes: "%PDF"; ' + WANTED,
        ),
        (
            b"\0\x1b[2J\n",
            'not an image (first bytes: "\\x00\\x1b[2"; ' + WANTED,
        ),
        (
            b"RIFF\0\0\0\0WAVE",
            'not an image (first bytes: "RIFF"; ' + WANTED,
        ),
        (
            b"<svg/>",
            'not an image (first bytes: "<svg"; ' + WANTED,
        ),
    ],
)
def test_what_is_no_image_is_named(data, reason):
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert caught.value.message == reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_are_found(kind, share):
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = save(noise, kind)
    for at_least in (None, 16):
        with pytest.raises(ImageError):
            decode(data[: int(len(data) * share)], at_least)


def test_a_truncated_jpeg_says_so():
    data = save(Image.fromarray(RGB), "JPEG")
    with pytest.raises(ImageError, match=r"^truncated: the JPEG ends inside the picture$"):
        decode(data[:-40])


def test_bombs_are_refused_from_the_header_without_a_warning():
    bombs = [
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0),
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, 40000, 40000, 1, 24, 0, 0, 0, 0, 0, 0),
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0),
        b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xfe\x3f\0\xfe\x3f\0",
    ]
    bombs[0] += struct.pack(">I", zlib.crc32(bombs[0][12:29])) + bytes(4) + b"IDAT" + bytes(8)
    for bomb in bombs:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ImageError):
                decode(bomb)
    with pytest.raises(ImageError, match="too many pixels: 30,000 x 30,000"):
        decode(bombs[0])


def test_a_large_picture_below_the_bound_is_read_and_nothing_warns():
    side = 9600  # above Pillow's own warning (89 million pixels), below MAX_PIXELS
    assert side * side < MAX_PIXELS
    data = save(Image.new("1", (side, side)), "PNG")
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(decode(data).shape)) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [(side, side)] * 2


def test_at_least_makes_large_jpegs_smaller_but_never_too_small():
    data = save(Image.fromarray(smooth(640, 480)), "JPEG")
    for wanted, shape in [(28, (60, 80)), (96, (240, 320)), (200, (480, 640)), (1000, (480, 640))]:
        assert decode(data, wanted).shape[:2] == shape
    assert decode(save(Image.fromarray(smooth(640, 480)), "PNG"), 28).shape[:2] == (480, 640)


def others(pixels):
    """HEIC and JPEG XL, where their plugins are installed."""
    made = {}
    with contextlib.suppress(ImportError):
        import pillow_heif

        file = io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(file)
        made["HEIC"] = file.getvalue()
    with contextlib.suppress(ImportError):
        from pillow_jxl import Encoder

        made["JPEG XL"] = Encoder("RGB", quality=90)(pixels.tobytes(), *pixels.shape[1::-1], jpeg_encode=False)
    return made


VALID = {
    "JPEG": save(Image.fromarray(smooth(24, 16)), "JPEG"),
    "PNG": save(Image.fromarray(smooth(24, 16)).convert("RGBA"), "PNG"),
    "PALETTE": save(Image.fromarray(smooth(24, 16)).quantize(8), "PNG", transparency=1),
    "WEBP": save(Image.fromarray(smooth(24, 16)), "WEBP"),
    "TIFF": save(Image.fromarray(smooth(24, 16)), "TIFF", compression="tiff_lzw"),
    "RAWTIFF": save(Image.fromarray(GRAY), "TIFF"),
    "BMP": save(Image.fromarray(smooth(24, 16)), "BMP"),
    "GIF": save(Image.fromarray(smooth(24, 16)), "GIF"),
    "DEEPTIFF": save(Image.fromarray(GRAY.astype(np.uint16) * 257), "TIFF", compression="tiff_lzw"),
    "NOEND": save(Image.fromarray(smooth(24, 16)), "JPEG", progressive=True)[:-2],
    "AVIF": save(Image.fromarray(smooth(24, 16)), "AVIF"),
    "JPEG 2000": save(Image.fromarray(smooth(24, 16)), "JPEG2000"),
    **others(smooth(24, 16)),
}


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(sorted(VALID)),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
    keep=st.floats(0.05, 1),
    at_least=st.sampled_from([None, 4]),
)
def test_hostile_bytes_give_an_array_or_an_image_error(kind, flips, keep, at_least):
    data = bytearray(VALID[kind])
    for place, value in flips:
        data[int(place**2 * len(data))] = value  # more often in the header
    reason = ""
    try:
        seen = decode(bytes(data[: int(len(data) * keep)]), at_least)
    except ImageError as error:
        reason = error.message
    else:
        assert seen.dtype == np.uint8
        assert seen.ndim == 2 or seen.shape[2] == 3
    assert reason.isprintable()
    assert " 0x" not in reason
    assert len(reason) < 240


def test_any_exception_of_a_plugin_becomes_an_image_error(monkeypatch):
    from PIL import PngImagePlugin

    data = save(Image.fromarray(GRAY), "PNG")
    for error in (
        MemoryError(),
        KeyError("x"),
        RecursionError("deep"),
        ValueError("<_io.BytesIO object at 0x7f00>\x1b[2J"),
    ):

        def fail(self, error=error):
            raise error

        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
        with pytest.raises(ImageError) as caught:
            decode(data)
        assert "BytesIO" not in caught.value.message
        assert caught.value.message.isprintable()


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "x.png").write_bytes(save(Image.fromarray(GRAY), "PNG"))
    (tmp_path / "link.png").symlink_to("x.png")
    for name, reason in [
        ("pipe.png", "not a regular file"),
        ("folder.png", "is a folder"),
        ("none.png", "no such file"),
    ]:
        with pytest.raises(ImageError, match=reason):
            read_bytes(tmp_path / name)
    with pytest.raises(ImageError, match="not a usable path"):
        read_bytes("a\0b")
    assert (read_image(tmp_path / "link.png") == GRAY).all()


def test_huge_files_are_refused_unread(tmp_path):
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(513 * 1024 * 1024)
    with pytest.raises(ImageError, match="too large"):
        read_bytes(tmp_path / "huge.png")
