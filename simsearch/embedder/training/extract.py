"""What a model in torch is given, images or their features, turned and normalized, and the raw features it makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from simsearch.arrays import Floats, Integers
from simsearch.embedder.networks.embedder import Embedder
from simsearch.embedder.training.precision import autocast

Fetch = Callable[[Integers], npt.NDArray[Any] | Tensor]
Prepare = Callable[[Tensor], Tensor]

BATCH = 256
RESIDENT_SHARE = 0.25
TURNS = 4  # of rotated classes


def fetch_from(data: npt.NDArray[Any], device: torch.device) -> Fetch:
    """Return a fetch of rows of `data` (N, ...), held on `device` if that is a GPU with four times as much free memory.

    Small data sets then never wait for the bus: a batch is picked where it is computed with.
    """
    if device.type != "cuda" or data.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        return data.__getitem__
    there = torch.from_numpy(np.ascontiguousarray(data)).to(device)
    return lambda indices: there[torch.as_tensor(indices, device=device)]


def rotated_labels(labels: Integers, classes: int) -> Integers:
    """Return labels (4 N,) int64 of N labels in 0 .. classes - 1: turn t adds t * classes.

    For drawings and characters a turned class is another class, so four times as many are learnt from (Santoro et al.
    2016, arXiv 1605.06065, section 4.1, which made it usual for Omniglot).
    """
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


def raw_features(model: nn.Module, inputs: Tensor, device: torch.device, precision: str) -> Tensor:
    """Return raw features (B, dim) float32: the backbone in `precision`, the head and all that follows in float32."""
    if isinstance(model, Embedder):
        with autocast(device, precision):
            trunk: Tensor = model.backbone(inputs)
        features: Tensor = model.head(trunk.float())
    else:
        with autocast(device, precision):
            features = model(inputs)
    return features.float()


def extract(
    model: nn.Module, fetch: Fetch, indices: Integers, prepare: Prepare | None, *, precision: str = "float32"
) -> Floats:
    """Return raw features (N, dim) float32 of the images `indices` (N,), the model in eval mode and back as it was."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(indices), BATCH):
            inputs = torch.as_tensor(fetch(indices[start : start + BATCH])).to(device)
            inputs = inputs if prepare is None else prepare(inputs)
            parts.append(raw_features(model, inputs, device, precision).cpu().numpy())
    model.train(training)
    return np.concatenate(parts)
