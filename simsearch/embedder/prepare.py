"""uint8 images to network input, a whole batch at a time on the training device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Prepare = Callable[[Tensor], Tensor]


def shifted(prepare: Prepare, most: int) -> Prepare:
    """`prepare` on images (B, S, S, C) each moved by a random whole number of pixels, at most `most`, in x and in y.

    What moves in from outside is 0 (black). Drawn from torch's global random state, which checkpoints keep.
    """

    def prepare_shifted(images: Tensor) -> Tensor:
        count, height, width, channels = images.shape
        padded = functional.pad(images, (0, 0, most, most, most, most))
        down, right = torch.randint(0, 2 * most + 1, (2, count, 1), device=images.device)
        rows = torch.arange(height, device=images.device) + down
        columns = torch.arange(width, device=images.device) + right
        moved = padded.gather(1, rows[:, :, None, None].expand(-1, -1, width + 2 * most, channels))
        return prepare(moved.gather(2, columns[:, None, :, None].expand(-1, height, -1, channels)))

    return prepare_shifted


def make_prepare(mean: Sequence[float], std: Sequence[float]) -> Prepare:
    """A function from (B, S, S, C) uint8 to (B, C, S, S) float32, (value / 255 - mean) / std, in channels_last.

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
