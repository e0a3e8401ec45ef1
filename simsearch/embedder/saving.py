"""A trained embedder's weights as one .safetensors file that `weights = FILE` can start from again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file

from simsearch.embedder.backbones import Embedder


def save_weights(model: Embedder, path: Path, *, mean: Sequence[float], std: Sequence[float]) -> None:
    """Write the state dict of `model`, and what it expects of its input as metadata (see `weights`)."""
    metadata = {
        "backbone": model.name,
        "size": str(model.size),
        "mean": json.dumps(list(mean)),
        "std": json.dumps(list(std)),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, path, metadata=metadata)
