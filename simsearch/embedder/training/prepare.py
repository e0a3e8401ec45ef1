"""uint8 images to network input, a whole batch at a time on the training device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Prepare = Callable[[Tensor], Tensor]


def make_prepare(mean: Sequence[float], std: Sequence[float]) -> Prepare:
    """Return a function from (B, S, S, C) uint8 to (B, C, S, S) float32, (value / 255 - mean) / std, in channels_last.

    It holds the same numbers as `images.preprocess`, as one multiplication and one addition a value: equal to
    float32 rounding. `mean` and `std` are per channel, on the scale 0 to 1.
    """
    scale = torch.tensor([1 / (255 * deviation) for deviation in std], dtype=torch.float32)
    offset = torch.tensor([-value / deviation for value, deviation in zip(mean, std, strict=True)], dtype=torch.float32)

    def prepare(images: Tensor) -> Tensor:
        values = torch.addcmul(offset.to(images.device), images.to(torch.float32), scale.to(images.device))
        # A view: NHWC in memory is what torch calls channels_last.
        return values.permute(0, 3, 1, 2)

    return prepare
