"""simsearch/defects/looks.py: pictures of another size or colour than the normal ones."""

from __future__ import annotations

import numpy as np
import pytest

from simsearch.defects.looks import Looks, in_colour


def gray(height=40, width=60, channels=None):
    values = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    return values if channels is None else np.repeat(values[:, :, None], channels, axis=2)


def coloured(height=40, width=60):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_gray_in_three_channels_is_gray():
    assert not in_colour(gray())
    assert not in_colour(gray(channels=3))
    assert in_colour(coloured())
    almost = gray(channels=3)
    almost[:, :, 2] = np.minimum(almost[:, :, 2].astype(int) + 2, 255)
    assert not in_colour(almost), "as a lossy file leaves it"


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (gray(), None),
        (gray(20, 30), None),
        (gray(channels=3), None),
        (gray(19, 60), "it is 60 x 19 px, and the normal pictures are 60 to 70 x 40 px"),
        (gray(40, 141), "it is 141 x 40 px, and the normal pictures are 60 to 70 x 40 px"),
        (coloured(), "it is in colour, and the normal pictures are gray"),
    ],
)
def test_what_is_unlike_gray_pictures(picture, why):
    looks = Looks.of([gray(), gray(40, 70, 3)])
    assert looks.why_unlike(picture) == why
    assert Looks.from_json(looks.to_json()) == looks


def test_what_is_unlike_pictures_in_colour():
    assert Looks.of([coloured()] * 2).why_unlike(gray()) == "it is gray, and the normal pictures are in colour"
    assert Looks.of([coloured(), gray()]).why_unlike(gray()) is None
    assert Looks.of([gray()]).why_unlike(gray(400, 600), sizes=False) is None
