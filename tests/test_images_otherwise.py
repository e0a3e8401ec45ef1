"""simsearch/images/formats/otherwise.py: what may decode otherwise is never taken for what decodes alike."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from simsearch.images.formats.decode import decode
from simsearch.images.formats.decoding import FIRST
from simsearch.images.formats.otherwise import may_differ, transparent_or_deep

RGB = Image.fromarray(np.arange(12 * 9 * 3, dtype=np.uint8).reshape(9, 12, 3))
WHITE = Image.new("RGBA", (12, 9), (255, 255, 255, 0))
WHITE.paste((255, 255, 255, 255), (3, 3, 9, 6))
DEEP = Image.fromarray(np.arange(108, dtype=np.uint16).reshape(9, 12) * 30)
KEY = {"transparency": (0, 0, 0)}


def written(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("image", "kind", "options", "doubtful"),
    [
        (RGB, "JPEG", {}, False),
        (RGB, "PNG", {}, False),
        (RGB.convert("L"), "PNG", {}, False),
        (RGB.convert("P"), "PNG", {}, False),
        (RGB, "PNG", KEY, True),
        (RGB.convert("P"), "PNG", {"transparency": 3}, True),
        (WHITE, "PNG", {}, True),
        (WHITE.convert("LA"), "PNG", {}, True),
        (DEEP, "PNG", {}, True),
        (DEEP, "TIFF", {}, True),
        (RGB, "WEBP", {}, False),
        (RGB, "WEBP", {"lossless": True}, False),
        (WHITE, "WEBP", {}, True),
        (WHITE, "WEBP", {"lossless": True}, True),
        (RGB, "BMP", {}, False),
        (WHITE, "BMP", {}, True),
        (RGB.convert("P"), "GIF", {"transparency": 3}, True),
    ],
)
def test_what_the_first_bytes_allow_for(image, kind, options, doubtful):
    data = written(image, kind, **options)
    assert transparent_or_deep(data[:4096]) == doubtful
    if not doubtful:
        assert (decode(data) == decode(data, decoding=FIRST)).all()


def test_a_head_that_cannot_say_is_in_doubt():
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"MM\0*", b"GIF89a", b"GIF89a\x21\xf9\x04", b"what"):
        assert transparent_or_deep(head)


def test_of_many_files_none_of_a_doubtful_kind_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("simsearch.images.formats.otherwise.MOST", 1)
    assert may_differ(str(tmp_path), ["gone.png", "gone.JPG", "gone.gif"]) == ["gone.png", "gone.gif"]
    assert may_differ(str(tmp_path), ["gone.png", "gone.JPG"]) == []
