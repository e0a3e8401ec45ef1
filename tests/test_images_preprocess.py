"""simsearch/images/preprocess.py: fit, normalize, and the mean and deviation of data."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simsearch.errors import RecipeError
from simsearch.images.preprocess import RESIZES, Preprocess, data_mean_std


def make(size=8, channels=1, resize="squash", mean=None, std=None):
    return Preprocess(size, channels, resize, mean or (0.5,) * channels, std or (0.25,) * channels)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@settings(deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    colour=st.booleans(),
    channels=st.sampled_from([1, 3]),
    resize=st.sampled_from(RESIZES),
    size=st.integers(1, 40),
)
def test_fit_always_gives_the_asked_shape(height, width, colour, channels, resize, size):
    image = noise(height, width, 3) if colour else noise(height, width)
    seen = make(size, channels, resize).fit(image)
    assert seen.shape == (size, size, channels)
    assert seen.dtype == np.uint8


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (1, 1), (5000, 2, 3)])
def test_extreme_aspect_ratios(resize, shape):
    assert make(28, 3, resize).fit(noise(*shape)).shape == (28, 28, 3)


@pytest.mark.parametrize("resize", RESIZES)
def test_what_fits_is_left_alone(resize):
    gray, colour = noise(8, 8), noise(8, 8, 3)
    assert (make(8, 1, resize).fit(gray)[:, :, 0] == gray).all()
    assert np.shares_memory(make(8, 1, resize).fit(gray), gray)
    assert (make(8, 3, resize).fit(colour) == colour).all()
    assert (make(8, 3, resize).fit(gray) == gray[:, :, None]).all()


def test_gray_of_rgb_has_the_usual_weights():
    seen = make(1).fit(np.array([[[255, 0, 0]]], dtype=np.uint8))
    assert seen.item() == 76


def test_crop_takes_the_centre_and_pad_keeps_all():
    image = np.full((10, 30), 100, dtype=np.uint8)
    image[:, 10:20] = 10
    assert (make(10, 1, "crop").fit(image) == 10).all()
    padded = make(30, 1, "pad").fit(image)[:, :, 0]
    assert (padded[10:20] == image).all()
    assert (padded[:10] == 255).all()
    assert (padded[20:] == 255).all()


def test_resize_averages_when_it_shrinks():
    checkers = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert np.abs(make(8).fit(checkers).astype(int) - 127).max() <= 2


def test_fit_names_the_shape_it_cannot_take():
    for shape in [(3,), (4, 4, 4), (1, 4, 4, 3)]:
        with pytest.raises(ValueError, match="expected"):
            make().fit(noise(*shape))


@pytest.mark.parametrize("channels", [1, 3])
def test_normalize_equals_a_slow_loop(channels):
    preprocess = make(6, channels, mean=(0.1, 0.4, 0.7)[:channels], std=(0.2, 0.3, 0.4)[:channels])
    batch = noise(5, 6, 6, channels)
    seen = preprocess.normalize(batch)
    assert seen.dtype == np.float32
    assert seen.flags.c_contiguous
    for n, c, y, x in np.ndindex(seen.shape):
        wanted = (batch[n, y, x, c] / 255 - preprocess.mean[c]) / preprocess.std[c]
        assert seen[n, c, y, x] == pytest.approx(wanted, abs=2e-6)
    scale, offset = preprocess.scale_offset()
    assert scale.dtype == offset.dtype == np.float32
    assert np.array_equal(seen[0, 0], batch[0, :, :, 0] * scale[0] + offset[0])
    assert preprocess.normalize(batch[:0]).shape == (0, channels, 6, 6)


def test_normalize_refuses_other_shapes():
    for bad in (noise(2, 6, 6), noise(2, 5, 5, 1), noise(2, 8, 8, 1).astype(np.float32)):
        with pytest.raises(ValueError, match="expected"):
            make(8).normalize(bad)


def test_json_round_trip():
    preprocess = make(7, 3, "pad", (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    assert Preprocess.from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess
    for broken in ({}, {**preprocess.to_json(), "version": 3}, {**preprocess.to_json(), "mean": None}):
        with pytest.raises(RecipeError):
            Preprocess.from_json(broken)


@pytest.mark.parametrize(
    "values",
    [
        (0, 1, "crop", (0.0,), (1.0,)),
        (8, 2, "crop", (0.0,), (1.0,)),
        (8, 1, "stretch", (0.0,), (1.0,)),
        (8, 1, "crop", (0.0, 0.0), (1.0,)),
        (8, 1, "crop", (float("nan"),), (1.0,)),
        (8, 1, "crop", (0.0,), (0.0,)),
    ],
)
def test_values_that_cannot_be_used(values):
    with pytest.raises(RecipeError):
        Preprocess(*values)


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(1, 9), max_size=4))
def test_data_mean_std_does_not_depend_on_the_batches(cuts):
    data = noise(10, 4, 4, 3)
    mean, std = data_mean_std(part for part in np.split(data, sorted(set(cuts))) if len(part))
    values = data.reshape(-1, 3) / 255
    assert mean == pytest.approx(values.mean(axis=0))
    assert std == pytest.approx(values.std(axis=0))
    assert (mean, std) == data_mean_std([data])


def test_data_mean_std_of_flat_and_of_no_data():
    mean, std = data_mean_std([np.full((2, 3, 3, 1), 51, dtype=np.uint8)])
    assert mean == pytest.approx((0.2,))
    assert std == (1.0,)
    with pytest.raises(ValueError, match="no pixels"):
        data_mean_std([])
