"""A trained embedder's weights as one .safetensors file that `weights = FILE` can start from again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save

from simsearch.embedder.backbones import Embedder

ALIGNMENT = 8


def save_weights(model: Embedder, path: Path, *, mean: Sequence[float], std: Sequence[float]) -> None:
    """Write the state dict of `model`, and what it expects of its input as metadata (see `weights`).

    The same weights give the same bytes, as artifacts are compared by them; safetensors itself writes metadata in
    the order of a hash map that differs from call to call, so they are put into its header here, sorted.
    """
    metadata = {
        "backbone": model.name,
        "size": str(model.size),
        "mean": json.dumps(list(mean)),
        "std": json.dumps(list(std)),
    }
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    length = int.from_bytes(data[:ALIGNMENT], "little")
    tensors = json.loads(data[ALIGNMENT : ALIGNMENT + length])
    header = json.dumps({"__metadata__": dict(sorted(metadata.items())), **tensors}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(ALIGNMENT, "little") + header)
        file.write(memoryview(data)[ALIGNMENT + length :])
