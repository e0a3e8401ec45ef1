"""Features to embeddings inside a loss, with gradient; vectors/normalize.py does the same for arrays."""

from __future__ import annotations

import torch
from torch import Tensor

# Features shorter than this are not stretched to length 1: a zero feature then has a finite gradient.
SHORTEST = 1e-6


def unit(features: Tensor) -> Tensor:
    """Return embeddings (B, dim) of features (B, dim): each divided by its L2 norm, or by 1e-6 where that is longer."""
    norms: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / norms.clamp_min(SHORTEST)
