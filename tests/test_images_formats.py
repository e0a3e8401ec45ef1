"""simsearch/images/formats/formats.py: one table of suffixes, first bytes and who reads them."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from simsearch.errors import ImageError
from simsearch.images.formats import formats
from simsearch.images.formats.formats import FORMATS, missing, sniff, suffixes, wanted

BOXES = b"\0\0\0\x1cftyp"


def test_rules_1_know_the_suffixes_that_they_knew():
    assert suffixes(1) == {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
    assert suffixes(2) > suffixes(1)
    assert {".jfif", ".avif", ".jp2", ".heic", ".heif", ".jxl"} <= suffixes(2)


def test_what_a_picture_should_have_been_is_said_of_every_format():
    assert ImageError("no picture").hint == f"{wanted().replace('expected', 'give a readable')} file"


def test_no_suffix_stands_twice():
    named = [suffix for one in FORMATS for suffix in f"{one.suffixes} {one.later}".split()]
    assert len(named) == len(set(named))
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in named)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (BOXES + b"avif\0\0\0\0mif1miaf", "AVIF"),
        (BOXES + b"mif1\0\0\0\0miafavif", "AVIF"),
        (BOXES + b"heic\0\0\0\0mif1heic", "HEIC"),
        (BOXES + b"mif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x0cjP  \r\n\x87\n....", "JPEG 2000"),
        (b"\xff\x4f\xff\x51....", "JPEG 2000"),
        (b"\xff\x0a....", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n....", "JPEG XL"),
    ],
)
def test_first_bytes_tell_the_format_and_rules_1_know_none_of_these(data, name):
    assert sniff(data).name == name
    with pytest.raises(ImageError, match=r"expected JPEG, PNG, WebP, TIFF, BMP or GIF\)$"):
        sniff(data, 1)


@pytest.mark.parametrize(
    "data", [BOXES + b"isom\0\0\0\0iso2mp41", BOXES + b"qt  \0\0\0\0qt  ", BOXES, b"RIFF\0\0\0\0WAVE"]
)
def test_a_film_is_no_picture(data):
    with pytest.raises(ImageError, match=r"AVIF, JPEG 2000, HEIC or JPEG XL\)$"):
        sniff(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000"])
def test_what_is_written_is_told(kind):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    assert sniff(file.getvalue()).name.upper().replace(" ", "") == kind


def test_what_is_not_installed_is_told_by_suffix(monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    assert missing(["a/x.HEIC", "b.jxl", "c.jpg", "heic"]) == ["HEIC", "JPEG XL"]
    monkeypatch.setattr(formats, "find_spec", lambda name: object())
    assert missing(["a/x.HEIC", "b.jxl"]) == []
