"""An embedder: a backbone, whose classifier is replaced by one linear layer to the feature."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from simsearch.arrays import Floats
from simsearch.embedder.networks.families import find_backbone
from simsearch.embedder.networks.family import Spec
from simsearch.embedder.networks.loading import load_weights


class Embedder(nn.Module):
    """Images (B, C, S, S) to raw features (B, dim): `backbone` to (B, width), then `head`, linear or the identity.

    The head may be set: one that was trained on cached backbone features makes a whole embedder again.
    """

    def __init__(self, spec: Spec, size: int, dim: int | None) -> None:
        """For images of `size` px, drawn from torch's random state; `dim` None: no head."""
        super().__init__()
        # A model that comes as a file is run by others: here only its head is.
        self.backbone = nn.Identity() if spec.trunk is None else spec.trunk(size)
        self.name = spec.shown
        self.size = size
        self.channels = spec.channels
        self.width = spec.width(size)
        self.head: nn.Linear | nn.Identity = nn.Identity() if dim is None else nn.Linear(self.width, dim)

    @property
    def dim(self) -> int:
        """Length of the feature: the head's, or the backbone's own without a head."""
        return self.head.out_features if isinstance(self.head, nn.Linear) else self.width

    def forward(self, images: Tensor) -> Tensor:
        """Return raw features (B, dim) float of (B, C, S, S) float."""
        features: Tensor = self.head(self.backbone(images))
        return features

    def below_head(self, batch: Floats) -> Floats:
        """Return what the backbone gives, (N, width) float32, for a batch (N, C, S, S) float32, as it would be used.

        It is left in eval mode: several threads may ask, and one that went back to training would reach the others.
        """
        self.eval()
        with torch.inference_mode():
            found: Floats = self.backbone(torch.from_numpy(batch)).float().numpy()
        return found


Learner = Embedder | nn.Linear  # what is trained: a whole embedder, or a head on features that are there


def drawn_head(width: int, dim: int, *, seed: int) -> nn.Linear:
    """Return a head, (B, width) to (B, dim), drawn from `seed` alone, whatever gives the features."""
    with torch.random.fork_rng(devices=[]):  # as for a whole network below
        torch.manual_seed(seed)
        return nn.Linear(width, dim)


def build_embedder(
    backbone: str | Spec, dim: int | None, *, weights: str | Path = "none", seed: int = 0, size: int | None = None
) -> Embedder:
    """Return the embedder of a `backbone` (or the one of that name), initialised from `seed` alone.

    It is for images of `size` px, default: the backbone's own. `dim` is the feature's length; None leaves the head out,
    features are then the backbone's own. `weights` is "none", "default" (downloaded where they are not here) or a
    .safetensors, .pth or .pt file.
    Raises EmbedderError for an unknown backbone, a size that it cannot take, and weights that cannot be had or fit.
    """
    spec = find_backbone(backbone) if isinstance(backbone, str) else backbone
    # The caller's random state is left as it was, and does not reach the weights.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        embedder = Embedder(spec, size or spec.size, dim)
    if spec.brought is None:
        load_weights(embedder, spec, weights)
    return embedder
