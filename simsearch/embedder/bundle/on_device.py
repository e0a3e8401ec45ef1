"""The network of a bundle in torch, on a device that ONNX Runtime's own build does not know. Imports torch."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from simsearch.arrays import Floats
from simsearch.embedder.networks.embedder import Embedder
from simsearch.embedder.networks.families import find_backbone
from simsearch.embedder.networks.weights_header import read_metadata


class OnDevice:
    """Weights that `save_weights` wrote, run in float32 on `device`: the `Features` of the same network's bundle.

    Its features are used only where they were compared with the bundle's.
    """

    def __init__(self, weights: Path, device: torch.device) -> None:
        self._device = device
        about, state = read_metadata(weights), load_file(weights)
        head = state.get("head.weight")
        size, dim = int(about["size"]), None if head is None else len(head)
        model = Embedder(find_backbone(about["backbone"]), size, dim)
        model.load_state_dict(state)
        self._model = model.to(device).eval()
        self.dim = model.dim
        self.input_shape = (model.channels, size, size)

    def features(self, batch: Floats) -> Floats:
        """Return raw features (N, dim) float32 of a batch (N, C, S, S) float32."""
        with torch.inference_mode():
            found: Floats = self._model(torch.from_numpy(batch).to(self._device)).cpu().numpy()
        return found
