"""A trained embedder's weights as one .safetensors file that `weights = FILE` can start from again; a head's too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn

from simsearch.arrays import Floats
from simsearch.embedder.networks.embedder import Embedder
from simsearch.errors import EmbedderError

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


def head_of(head: nn.Linear) -> tuple[Floats, Floats]:
    """Return weight (dim, width) and bias (dim,) of a head."""
    weight, bias = (tensor.detach().cpu().numpy() for tensor in (head.weight, head.bias))
    return weight, bias


def save_head(head: nn.Linear, path: Path) -> None:
    """Write weight and bias of a head, by their names in the state dict of a whole embedder."""
    weight, bias = head_of(head)
    path.write_bytes(save({"head.bias": torch.from_numpy(bias), "head.weight": torch.from_numpy(weight)}))


def save_loss(loss: nn.Module, path: Path) -> None:
    """Write what a loss has learnt, as its classifier: a training that starts from this embedder can go on with it."""
    path.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in loss.state_dict().items()}))


def start_from_head(model: Embedder, loss: nn.Module, weights: Path, learnt: Path) -> None:
    """Set head and loss to those of a trained head: its `weights.safetensors`, and what its loss has `learnt`.

    Raises EmbedderError when they belong to another width, number of classes or loss.
    """
    both = nn.ModuleDict({"head": model.head, "loss": loss})
    given = {key: tensor for key, tensor in load_file(weights).items() if key.startswith("head.")}
    given |= {f"loss.{key}": tensor for key, tensor in load_file(learnt).items()}
    wanted = {key: tensor.shape for key, tensor in both.state_dict().items()}
    if {key: tensor.shape for key, tensor in given.items()} != wanted:
        raise EmbedderError(f"the head of {weights} does not fit: another width, loss or number of classes")
    both.load_state_dict(given)
