"""Rotations as classes: an image turned by 90, 180 or 270 degrees belongs to a class of its own.

For drawings and characters a turned class is another class, so four times as many are learnt from (Santoro et al.
2016, arXiv 1605.06065, section 4.1, which made it usual for Omniglot).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simsearch.arrays import Integers
from simsearch.embedder.training.extract import Fetch

TURNS = 4


def rotated_labels(labels: Integers, classes: int) -> Integers:
    """Return labels (4 N,) int64 of N labels in 0 .. classes - 1: turn t adds t * classes."""
    return np.concatenate([labels + turn * classes for turn in range(TURNS)])


def rotated(fetch: Fetch, count: int) -> Fetch:
    """Return `fetch` over 4 * `count` square images: index t * count + i is image i turned t times by 90 degrees."""

    def fetch_rotated(indices: Integers) -> Tensor:
        images = torch.as_tensor(fetch(indices % count))
        turns = torch.as_tensor(indices // count, device=images.device)
        for turn in range(1, TURNS):
            images = torch.where((turns == turn)[:, None, None, None], torch.rot90(images, turn, (1, 2)), images)
        return images

    return fetch_rotated
