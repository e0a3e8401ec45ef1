"""simsearch/defects/maps.py: pictures to maps of patches, at several sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from simsearch.defects.maps import Mapper, enlarged, local_mean
from simsearch.errors import VectorsError
from simsearch.images.preprocess import Preprocess

PREPROCESS = Preprocess(224, 1, "squash", (0.0,), (1.0,))


class Means:
    """A network whose map at each stride is the mean of the pixels of each place, and its half."""

    def __init__(self, *strides):
        self.widths = dict.fromkeys(strides, 2)
        self.calls = 0

    def maps(self, batch):
        self.calls += 1
        mean = {s: avg_pool2d(torch.from_numpy(batch), s).numpy() for s in self.widths}
        return {stride: np.concatenate((one, one / 2), axis=1) for stride, one in mean.items()}


def picture(height=96, width=160):
    return np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)


def test_a_map_for_each_side_of_the_picture():
    mapper = Mapper(Means(16), PREPROCESS, (64, 96))
    small, large = mapper.maps(picture())
    assert mapper.width == 2
    assert [one.shape for one in (small, large)] == [(4, 6, 2), (4, 8, 2)]
    assert large.dtype == np.float32


def test_the_places_are_those_of_the_picture():
    seen = picture(64, 96)
    (found,) = Mapper(Means(16), PREPROCESS, (500,)).maps(seen)
    wanted = (seen / 255).reshape(4, 16, 6, 16).mean(axis=(1, 3))
    assert found[:, :, 0] == pytest.approx(wanted, abs=1e-6)
    assert found[:, :, 1] == pytest.approx(wanted / 2, abs=1e-6)


def test_coarser_maps_are_brought_to_the_finest_grid():
    seen = picture(64, 96)
    (found,) = Mapper(Means(32, 16), PREPROCESS, (500,)).maps(seen)
    fine, coarse = Means(16, 32).maps(seen[None, None].astype(np.float32) / 255).values()
    wanted = interpolate(torch.from_numpy(coarse), (4, 6), mode="bilinear", align_corners=False).numpy()
    assert found == pytest.approx(np.concatenate((fine[0], wanted[0])).transpose(1, 2, 0), abs=1e-5)


def test_the_local_mean_is_taken_on_the_grid_of_each_stage():
    seen = picture(64, 96)
    (found,) = Mapper(Means(32, 16), PREPROCESS, (500,), local=3).maps(seen)
    (coarse,) = Mapper(Means(32), PREPROCESS, (500,), local=3).maps(seen)
    (fine,) = Mapper(Means(16), PREPROCESS, (500,), local=3).maps(seen)
    assert found == pytest.approx(np.concatenate((fine, enlarged(coarse, 4, 6)), axis=2), abs=1e-6)


def test_a_small_picture_is_looked_at_once():
    network = Means(16)
    first, second, third = Mapper(network, PREPROCESS, (64, 288, 500)).maps(picture(96, 96))
    assert network.calls == 2
    assert np.array_equal(second, third)
    assert first.shape != second.shape


def test_pictures_come_back_in_order_from_several_threads():
    pictures = [picture(64, 32 * k) for k in (1, 3, 2, 4)]
    found = list(Mapper(Means(16), PREPROCESS, (500,), threads=3).each(iter(pictures)))
    assert [one[0].shape[1] for one in found] == [2, 6, 4, 8]


@pytest.mark.parametrize("size", [(7, 9), (3, 4), (12, 5), (1, 1)])
def test_enlarged_is_torchs_bilinear(size):
    values = np.random.default_rng(0).normal(0, 1, (3, 4, 2)).astype(np.float32)
    wanted = interpolate(torch.from_numpy(values).permute(2, 0, 1)[None], size, mode="bilinear", align_corners=False)
    assert enlarged(values, *size) == pytest.approx(wanted[0].permute(1, 2, 0).numpy(), abs=1e-5)
    assert enlarged(values[:, :, 0], *size) == pytest.approx(wanted[0, 0].numpy(), abs=1e-5)


@pytest.mark.parametrize("side", [1, 3, 5])
@pytest.mark.parametrize("shape", [(5, 7, 2), (1, 3, 2), (2, 2, 1)])
def test_the_local_mean_counts_zeros_outside(side, shape):
    values = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    wanted = np.empty(shape)
    for y, x in np.ndindex(shape[:2]):
        r = side // 2
        wanted[y, x] = values[max(0, y - r) : y + r + 1, max(0, x - r) : x + r + 1].sum(axis=(0, 1)) / side**2
    assert local_mean(values, side) == pytest.approx(wanted, abs=1e-6)
    (found,) = Mapper(Means(16), PREPROCESS, (500,), local=side).maps(picture(64, 96))
    (plain,) = Mapper(Means(16), PREPROCESS, (500,)).maps(picture(64, 96))
    assert found == pytest.approx(local_mean(plain, side), abs=1e-6)


@pytest.mark.parametrize(
    ("sides", "local", "message"), [((), 1, "at least one"), ((16,), 1, "32 px or more"), ((64,), 2, "an odd number")]
)
def test_what_cannot_be_is_refused(sides, local, message):
    with pytest.raises(VectorsError, match=message):
        Mapper(Means(16), PREPROCESS, sides, local=local)


def test_values_before_the_centres_of_their_places_are_moved_there():
    values = np.zeros((6, 6), dtype=np.float32)
    values[2, 3] = 1
    for before in (0.0, 0.25, 0.46875):
        fine = enlarged(values, 96, 96, before)
        row, column = (float((fine.sum(axis=axis) * np.arange(96)).sum() / fine.sum()) for axis in (1, 0))
        assert row == pytest.approx((2 + 0.5 - before) * 16 - 0.5, abs=1e-3)
        assert column == pytest.approx((3 + 0.5 - before) * 16 - 0.5, abs=1e-3)
    assert enlarged(values, 6, 6, 0.4, 0.4) == pytest.approx(values), "a map on its own grid stays"
    finer = enlarged(values, 12, 12, 0.4, 0.4)
    assert enlarged(finer, 96, 96, 0.4).sum() == pytest.approx(enlarged(values, 96, 96, 0.4).sum(), rel=0.02)
