"""Features of a model that is still in torch: what validation during training looks at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from simsearch.embedder.prepare import Prepare
from simsearch.embedder.training import Fetch

BATCH = 256


def extract(
    model: nn.Module, fetch: Fetch, indices: npt.NDArray[np.int64], prepare: Prepare | None
) -> npt.NDArray[np.float32]:
    """Raw features (N, dim) float32 of the images `indices` (N,), the model in eval mode and back as it was."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(indices), BATCH):
            inputs = torch.as_tensor(fetch(indices[start : start + BATCH])).to(device)
            parts.append(model(inputs if prepare is None else prepare(inputs)).float().cpu().numpy())
    model.train(training)
    return np.concatenate(parts)
