"""Random changes of training images, a batch at a time: photos by torchvision's v2 transforms, drawings by a warp.

Everything is drawn from torch's global random state, which checkpoints keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from simsearch.embedder.training.extract import Prepare

LEAST_SHARP = 0.25  # smaller crops are enlarged after all: keeping more than four times the pixels is too dear
LARGEST = 2048  # pixels, as of any image
SHAPES = (3 / 4, 4 / 3)  # width to height of a random crop, as in torchvision's recipes


@dataclass(frozen=True)
class Changes:
    """How images are changed at random, as the recipe's [augmentation] says; by itself: not at all."""

    crop: float = 1.0  # the least share of the area
    flip: bool = False
    colour: float = 0.0  # strength
    rotate: float = 0.0  # degrees
    scale: float = 0.0  # a share
    shift: int = 0  # pixels


def stored_size(crop: float, size: int) -> int:
    """Return the side in pixels at which images are to be kept for crops that become `size` px, the smallest sharp.

    Enlarged crops would be blurred, which no query is: on groceries at 160 px, 3 epochs at 3e-4, val recall@1 was .69
    with crops of the 160 px and .74 with sharp ones.
    """
    return max(size, min(LARGEST, math.ceil(size / math.sqrt(max(crop, LEAST_SHARP)))))


def augmented(prepare: Prepare, asked: Changes, size: int) -> Prepare:
    """Return `prepare` on images changed as `asked`; `prepare` itself when nothing is.

    Images are (B, S, S, C), and of `size` px when prepared.
    """
    changes: list[Callable[[Tensor], Tensor]] = []
    if asked.shift:
        changes.append(partial(_shifted, asked.shift))
    if asked.rotate or asked.scale:
        changes.append(partial(_warped, asked.rotate, asked.scale))
    if asked.crop < 1 or asked.flip or asked.colour:
        changes.append(_photo(asked, size))
    if not changes:
        return prepare

    def prepare_augmented(images: Tensor) -> Tensor:
        for change in changes:
            images = change(images)
        return prepare(images)

    return prepare_augmented


def _shifted(most: int, images: Tensor) -> Tensor:
    """Return each image moved by a random number of pixels, at most `most`, in x and in y; what moves in is black."""
    count, height, width, channels = images.shape
    padded = functional.pad(images, (0, 0, most, most, most, most))
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1), device=images.device)
    rows = torch.arange(height, device=images.device) + down
    columns = torch.arange(width, device=images.device) + right
    moved = padded.gather(1, rows[:, :, None, None].expand(-1, -1, width + 2 * most, channels))
    return moved.gather(2, columns[:, None, :, None].expand(-1, height, -1, channels))


def _warped(degrees: float, scale: float, images: Tensor) -> Tensor:
    """Return each image turned and scaled about its centre, bilinear; what comes in from outside repeats the border.

    All in one call: torchvision's RandomAffine takes one image a call.
    """
    angle, size = (2 * torch.rand(2, len(images), device=images.device) - 1).unbind()
    angle, size = angle * math.radians(degrees), 1 / (1 + size * scale)
    cos, sin, zero = angle.cos() * size, angle.sin() * size, torch.zeros_like(angle)
    matrix = torch.stack((torch.stack((cos, -sin, zero), 1), torch.stack((sin, cos, zero), 1)), 1)
    planes = images.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(matrix, list(planes.shape), align_corners=False)
    warped = functional.grid_sample(planes, grid, padding_mode="border", align_corners=False)
    # As uint8 again: torchvision takes float images to be on the scale 0 to 1.
    return warped.round_().to(images.dtype).permute(0, 2, 3, 1)


def _photo(asked: Changes, size: int) -> Callable[[Tensor], Tensor]:
    """Return random resized crop, flip and colour of a batch, each image for itself."""
    from torchvision.transforms import v2  # two seconds, which a head on cached features need not wait

    changes: list[Any] = []
    if asked.crop < 1:
        changes.append(v2.RandomResizedCrop(size, scale=(asked.crop, 1.0), ratio=SHAPES, antialias=True))
    if asked.flip:
        changes.append(v2.RandomHorizontalFlip())
    if asked.colour:
        changes.append(v2.ColorJitter(brightness=asked.colour, contrast=asked.colour, saturation=asked.colour))
    change = v2.Compose(changes)
    return lambda images: torch.stack([change(one) for one in images.permute(0, 3, 1, 2)]).permute(0, 2, 3, 1)
