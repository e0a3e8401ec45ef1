"""simsearch/defects/heatmap.py: heat over a picture, a line around what is above the threshold, and its frame."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from simsearch.defects.heatmap import COLOURS, DEFECT, MOST, NORMAL, THICK, THIN, TRUTH, outlined, overlay
from simsearch.images.encoding import png_of

THRESHOLD = 2.0


def picture(height=64, width=96):
    return np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)


def inside(shown, side):
    return shown[side:-side, side:-side]


def test_a_usual_picture_is_left_as_it_is():
    seen = picture()
    shown = overlay(seen, np.full((4, 6), -0.5), THRESHOLD, defective=False)
    assert shown.shape == (64 + 2 * THIN, 96 + 2 * THIN, 3)
    assert shown.dtype == np.uint8
    assert np.array_equal(inside(shown, THIN), np.stack([seen] * 3, axis=2))


def test_the_frame_is_the_verdict():
    normal = overlay(picture(), np.zeros((4, 6)), THRESHOLD, defective=False)
    defect = overlay(picture(), np.zeros((4, 6)), THRESHOLD, defective=True)
    assert (normal[0] == NORMAL).all()
    assert (defect[0] == DEFECT).all()
    assert (defect[THICK - 1] == DEFECT).all()
    assert len(defect) - len(normal) == 2 * (THICK - THIN)  # told apart without colours


def test_heat_is_shown_where_it_is_with_a_line_around_it():
    heat = np.full((4, 6), -1.0)
    heat[1, 4] = 2 * THRESHOLD
    seen = picture() // 2  # nothing of it is white
    shown = inside(overlay(seen, heat, THRESHOLD, defective=True), THICK)
    changed = (shown != seen[:, :, None]).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert 0 <= rows.min() < 24 < rows.max() < 48  # a place of 16 px, and as far as it fades
    assert 48 <= columns.min() < 72 < columns.max() <= 95
    white = (shown == 255).all(axis=2)
    assert white.any()
    assert not white[24, 72]  # around it, not on it


def test_colours_grow_lighter_with_heat():
    light = [0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in COLOURS]
    assert light == sorted(light)
    black = np.zeros((32, 32), np.uint8)
    for hot, colour, share in ((50.0, COLOURS[-1], 1.0), (THRESHOLD + 0.25 * THRESHOLD, COLOURS[1], 0.5)):
        heat = np.zeros((4, 4))  # median 0
        heat[:2, :2] = hot
        shown = inside(overlay(black, heat, THRESHOLD, defective=True), THICK)
        assert shown[2, 2] == pytest.approx(MOST * share * colour, abs=1)
        assert (shown[24:, 24:] == 0).all()


def test_colour_pictures_and_a_threshold_that_is_no_more_than_usual():
    seen = np.stack([picture(), picture() // 2, picture() // 3], axis=2)
    assert np.array_equal(inside(overlay(seen, np.zeros((4, 6)), THRESHOLD, defective=False), THIN), seen)
    assert overlay(seen, np.ones((4, 6)), -1.0, defective=True).shape == (64 + 2 * THICK, 96 + 2 * THICK, 3)


def test_lines_and_frames_of_large_pictures_are_in_proportion():
    shown = overlay(picture(1200, 1500), np.zeros((4, 6)), THRESHOLD, defective=True)
    assert len(shown) - 1200 == 2 * THICK * 4


def test_a_png_holds_the_pixels():
    shown = overlay(picture(), np.zeros((4, 6)), THRESHOLD, defective=False)
    file = png_of(shown)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), shown)
    assert file == png_of(shown.copy())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_of(picture())))), picture())


def test_an_outline_is_around_a_mask_and_not_on_it():
    seen, mask = picture() // 2, np.zeros((64, 96), dtype=bool)
    mask[10:20, 0:30] = True
    shown = outlined(seen, mask)
    line = (shown == TRUTH).all(axis=2)
    assert line[8:10, :30].all(), "above it"
    assert line[10:20, 30:32].all(), "beside it"
    assert np.array_equal(shown[~line], np.stack([seen] * 3, axis=2)[~line])
    assert not line[mask].any()
    assert line.sum() < 2 * 2 * 40
    assert not (outlined(seen, np.zeros_like(mask)) == TRUTH).all(axis=2).any()
