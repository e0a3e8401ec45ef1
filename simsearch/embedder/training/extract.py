"""Raw features of a model that is still in torch: of one batch while training, of many images for validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from simsearch.arrays import Floats, Integers
from simsearch.embedder.networks.backbones import Embedder
from simsearch.embedder.training.precision import autocast
from simsearch.embedder.training.prepare import Prepare

Fetch = Callable[[Integers], npt.NDArray[Any] | Tensor]

BATCH = 256
RESIDENT_SHARE = 0.25


def fetch_from(data: npt.NDArray[Any], device: torch.device) -> Fetch:
    """Return a fetch of rows of `data` (N, ...), held on `device` if that is a GPU with four times as much free memory.

    Small data sets then never wait for the bus: a batch is picked where it is computed with.
    """
    if device.type != "cuda" or data.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
        return data.__getitem__
    there = torch.from_numpy(np.ascontiguousarray(data)).to(device)
    return lambda indices: there[torch.as_tensor(indices, device=device)]


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
