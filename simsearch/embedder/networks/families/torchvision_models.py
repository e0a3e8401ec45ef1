"""torchvision's classifiers without their last layer, and their weights: what `torchvision` imports when asked."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torchvision import models

from simsearch.embedder.networks.family import Weights
from simsearch.errors import EmbedderError


def trunk(kind: str, side: int, default: int) -> nn.Module:
    """Return torchvision's model `kind` for images of `side` px; EmbedderError for a side that it cannot take."""
    # Only vision transformers are built for one size.
    options = {"image_size": side} if kind.startswith("vit_") else {}
    try:
        model: nn.Module = models.get_model(kind, weights=None, **options)
    except AssertionError as error:
        raise EmbedderError(
            f"torchvision:{kind} cannot take images of {side} px: {error}", hint=f"--set images.size={default}"
        ) from error
    # What stands before the last linear layer stays: pooling, and convnext's LayerNorm.
    if kind.startswith("resnet"):
        model.fc = nn.Identity()
    elif kind.startswith("vit_"):
        model.heads = nn.Identity()
    elif kind.startswith("convnext"):
        classifier = model.get_submodule("classifier")
        assert isinstance(classifier, nn.Sequential)
        classifier[2] = nn.Identity()
    else:
        model.classifier = nn.Identity()
    return model


def weights(kind: str) -> Weights:
    """Return the default weights of `kind`, which are downloaded into TORCH_HOME."""
    entry = models.get_model_weights(kind).DEFAULT
    file, size = str(entry.url).rpartition("/")[2], entry.meta.get("_file_size")
    return Weights(
        described=file + (f" ({size:.0f} MB)" if size else "") + f" from {entry.url}",
        here=(Path(torch.hub.get_dir()) / "checkpoints" / file).exists(),
        load=lambda: entry.get_state_dict(progress=False, check_hash=True, weights_only=True),
    )
