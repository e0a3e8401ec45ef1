"""simsearch/images/whole.py: whole pictures as a network sees them, their aspect kept."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from simsearch.images.preprocess import Preprocess
from simsearch.images.whole import sides_of, whole

RGB = Preprocess(224, 3, "squash", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def picture(height, width, colours=3):
    shape = (height, width, colours) if colours else (height, width)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("seen", "side", "expected"),
    [
        ((400, 400), 288, (288, 288)),
        ((400, 200), 288, (384, 192)),  # 407 x 204: the area stays, sides are rounded to multiples of 32
        ((300, 100), 144, (256, 96)),
        ((100, 90), 288, (96, 96)),  # never enlarged, but by rounding
        ((1, 5000), 288, (32, 4992)),
    ],
)
def test_sides_keep_aspect_and_area(seen, side, expected):
    assert sides_of(*seen, side, 32) == expected


def test_a_picture_is_resized_and_normalized():
    seen = picture(90, 130)
    found = whole(seen, RGB, 64, 32)
    resized = np.asarray(Image.fromarray(seen).resize((64, 64), Image.Resampling.BILINEAR), np.float64)
    assert found.dtype == np.float32
    assert found[0] == pytest.approx(((resized / 255 - RGB.mean) / RGB.std).transpose(2, 0, 1), abs=1e-5)


def test_a_picture_that_fits_is_left_as_it_is():
    seen = picture(64, 96)
    assert whole(seen, RGB, 500, 32)[0] == pytest.approx(
        ((seen / 255 - RGB.mean) / RGB.std).transpose(2, 0, 1), abs=1e-5
    )


def test_channels_and_their_order():
    from dataclasses import replace

    gray, colour = picture(64, 64, 0), picture(64, 64)
    assert np.array_equal(whole(gray, RGB, 64, 32), whole(np.stack([gray] * 3, 2), RGB, 64, 32))
    plain = replace(RGB, mean=(0.0,) * 3, std=(1.0,) * 3)
    turned = whole(colour, replace(plain, order="bgr"), 64, 32)
    assert np.array_equal(turned, whole(colour, plain, 64, 32)[:, ::-1])
    one = Preprocess(28, 1, "squash", (0.0,), (1.0,))
    assert whole(gray, one, 64, 32).shape == whole(colour, one, 64, 32).shape == (1, 1, 64, 64)
    assert whole(colour, one, 64, 32)[0, 0] * 255 == pytest.approx(np.asarray(Image.fromarray(colour).convert("L")))


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4)), np.zeros(4, np.uint8)])
def test_other_arrays_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        whole(wrong, RGB, 64, 32)
