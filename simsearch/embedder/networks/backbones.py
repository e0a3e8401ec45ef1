"""An embedder: a backbone of the catalog, whose classifier is replaced by one linear layer to the feature."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from simsearch.embedder.networks.catalog import PREFIX, find_backbone
from simsearch.embedder.networks.loading import load_weights
from simsearch.errors import EmbedderError


class MnistTrunk(nn.Module):
    """The network of PyTorch's MNIST example up to its first linear layer: (B, 1, S, S) to (B, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout = nn.Dropout(0.25)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, S, S) float to (B, 64 * ((S - 4) // 2) ** 2) float."""
        # ReLU and max-pooling commute; pooling first leaves ReLU a quarter of the values.
        hidden = functional.relu(self.conv1(images))
        hidden = functional.relu(functional.max_pool2d(self.conv2(hidden), 2))
        trunk: Tensor = self.dropout(hidden).flatten(1)
        return trunk


class Conv4Trunk(nn.Sequential):
    """Four blocks of convolution, batch norm, ReLU and pooling, 64 channels wide: (B, 1, S, S) to (B, width).

    The embedding network of Vinyals et al. 2016 (Matching Networks, arXiv 1606.04080, section 4.1.1), with which
    few-shot classification of Omniglot is usually compared.
    """

    def __init__(self) -> None:
        blocks = []
        for channels in (1, 64, 64, 64):
            # Pooled before ReLU, which commutes with it, and is then four times as quick.
            blocks += [
                nn.Conv2d(channels, 64, 3, padding=1, bias=False),
                nn.BatchNorm2d(64),
                nn.MaxPool2d(2),
                nn.ReLU(),
            ]
        super().__init__(*blocks, nn.Flatten())


class Embedder(nn.Module):
    """Images (B, C, S, S) to raw features (B, dim): `backbone` to (B, width), then `head`, linear or the identity.

    The head may be set: one that was trained on cached backbone features makes a whole embedder again.
    """

    def __init__(self, backbone: nn.Module, head: nn.Linear | nn.Identity, *, name: str, size: int, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.name = name
        self.size = size
        self.channels = find_backbone(name).channels
        self.width = width

    @property
    def dim(self) -> int:
        """Length of the feature: the head's, or the backbone's own without a head."""
        return self.head.out_features if isinstance(self.head, nn.Linear) else self.width

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, S, S) float to raw features (B, dim) float."""
        features: Tensor = self.head(self.backbone(images))
        return features


def build_embedder(
    name: str, dim: int | None, *, weights: str | Path = "none", seed: int = 0, size: int | None = None
) -> Embedder:
    """The embedder of backbone `name` for images of `size` px (default: the backbone's), initialised from `seed` alone.

    `dim` is the feature's length; None leaves the head out, features are then the backbone's own. `weights` is
    "none", "default" (torchvision's, downloaded into TORCH_HOME) or a .safetensors, .pth or .pt file.
    Raises EmbedderError for an unknown backbone, a size that it cannot take, and weights that cannot be had or fit.
    """
    known = find_backbone(name)
    side = size or known.size
    # The caller's random state is left as it was, and does not reach the weights.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            backbone = _backbone(name, side)
        except AssertionError as error:
            raise EmbedderError(
                f"{name} cannot take images of {side} px: {error}", hint=f"--set images.size={known.size}"
            ) from error
        width = known.width if name.startswith(PREFIX) else _small_width(name, side)
        head = nn.Identity() if dim is None else nn.Linear(width, dim)
    embedder = Embedder(backbone, head, name=name, size=side, width=width)
    load_weights(embedder, name, weights)
    return embedder


def _small_width(name: str, size: int) -> int:
    """64 channels on what pooling leaves of `size` px."""
    side = (size - 4) // 2 if name == "mnist_cnn" else size // 16
    if side < 1:
        raise EmbedderError(f"{name} cannot take images of {size} px", hint="--set images.size=28")
    return 64 * side**2


def _backbone(name: str, size: int) -> nn.Module:
    if not name.startswith(PREFIX):
        return MnistTrunk() if name == "mnist_cnn" else Conv4Trunk()
    kind = name.removeprefix(PREFIX)
    # Only vision transformers are built for one size.
    options = {"image_size": size} if kind.startswith("vit_") else {}
    model: nn.Module = models.get_model(kind, weights=None, **options)
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
