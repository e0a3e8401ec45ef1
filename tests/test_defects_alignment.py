"""simsearch/defects/alignment.py: where the places of a map look, tried with networks of which it is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, pad

from simsearch.defects.alignment import seen_before


class Convolutions:
    """Means over 3 x 3, or what `weight` takes, at stride 2, `depth` of them, with pads before and behind."""

    def __init__(self, depth, pads, weight=None):
        self.widths, self._depth, self._pads = {2**depth: 1}, depth, pads
        self._weight = torch.full((1, 1, 3, 3), 1 / 9) if weight is None else weight

    def maps(self, batch):
        found = torch.from_numpy(batch).mean(dim=1, keepdim=True)
        for _ in range(self._depth):
            found = conv2d(pad(found, self._pads * 2), self._weight, stride=2)
        return {2**self._depth: found.numpy()}


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_what_pads_do(depth):
    stride = 2**depth
    assert seen_before(Convolutions(depth, (1, 1)), 3, 32) == pytest.approx((stride - 1) / 2 / stride, abs=0.05)
    assert seen_before(Convolutions(depth, (0, 1)), 3, 32) == pytest.approx(-(stride - 1) / 2 / stride, abs=0.05)


def test_what_weights_do():
    first = torch.zeros((1, 1, 3, 3))
    first[0, 0, :2, :2] = 1 / 4  # half a pixel before the middle, at each stride
    assert seen_before(Convolutions(4, (1, 1), first), 3, 32) == pytest.approx(15 / 16, abs=0.05)
    assert seen_before(Convolutions(4, (0, 1), first), 1, 32) == pytest.approx(0, abs=0.05)


def test_what_does_not_move_says_nothing():
    assert seen_before(Convolutions(3, (1, 1), torch.zeros((1, 1, 3, 3))), 3, 32) == 0
    assert isinstance(seen_before(Convolutions(2, (1, 1)), 3, 32), float)
    assert np.isfinite(seen_before(Convolutions(1, (1, 1)), 3, 32))
