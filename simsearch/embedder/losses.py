"""What training lowers: softmax, l2_softmax and triplet, each a module on raw features.

A loss takes raw features (B, dim) float32 and labels (B,) int64 and returns (loss, active): a float32 scalar with
gradient, and the share of anchor-positive pairs that had a tuple (a float32 scalar), or None where there are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from simsearch.embedder.alpha import alpha_lower_bound, alpha_warning
from simsearch.embedder.mining import Tuples, semi_hard
from simsearch.errors import EmbedderError

__all__ = ["DEFAULTS", "L2Softmax", "Softmax", "Triplet", "alpha_lower_bound", "alpha_warning", "make_loss", "unit"]

# Each loss's own keys; an option of another loss is refused.
DEFAULTS: dict[str, dict[str, Any]] = {
    "softmax": {},
    "l2_softmax": {"alpha": 16.0, "learn_alpha": False},
    "triplet": {"margin": 0.2, "mining": "semi_hard", "classes_per_batch": 10, "images_per_class": 12},
}
MINERS = {"semi_hard": semi_hard}

# Features shorter than this are not stretched to length 1: a zero feature then has a finite gradient.
SHORTEST = 1e-6


def unit(features: Tensor) -> Tensor:
    """Embeddings (B, dim) of features (B, dim): each divided by its L2 norm, or by 1e-6 where that is longer."""
    norms: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / norms.clamp_min(SHORTEST)


class Softmax(nn.Module):
    """The baseline: a linear classifier with bias and cross-entropy on raw features, averaged over the batch."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, classes)

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features (B, dim) and labels (B,) in 0 .. classes - 1 to (loss, None)."""
        return functional.cross_entropy(self.classifier(features), labels), None


class L2Softmax(nn.Module):
    """Ranjan, Castillo, Chellappa 2017, equation 3: cross-entropy with every feature scaled to length alpha."""

    def __init__(self, dim: int, classes: int, alpha: float, learn_alpha: bool) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, classes)
        self.alpha: Tensor
        if learn_alpha:
            self.alpha = nn.Parameter(torch.tensor(float(alpha)))
        else:
            self.register_buffer("alpha", torch.tensor(float(alpha)))

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features (B, dim) and labels (B,) in 0 .. classes - 1 to (loss, None)."""
        logits = self.classifier(unit(features) * self.alpha)
        return functional.cross_entropy(logits, labels), None


class Triplet(nn.Module):
    """FaceNet (Schroff et al. 2015), equation 3: max(0, d_p - d_n + margin), d squared L2 of unit embeddings.

    Averaged over the selected tuples with a loss above 0: a sum would tie the learning rate to the batch, and
    counting idle tuples would shrink the gradient as training goes on. Pairs without a tuple add nothing.
    """

    def __init__(self, margin: float, mining: str) -> None:
        super().__init__()
        self.margin = margin
        self.mine = MINERS[mining]

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features (B, dim) and labels (B,) to (loss, active share of the anchor-positive pairs); 0 without tuples."""
        embeddings = unit(features)
        distances = (2 - 2 * embeddings @ embeddings.T).clamp_min(0)
        with torch.no_grad():
            tuples: Tuples = self.mine(distances, labels, self.margin)
            pairs = (labels[:, None] == labels[None, :]).sum() - len(labels)
        anchors, positives, negatives = tuples
        terms = (distances[anchors, positives] - distances[anchors, negatives] + self.margin).clamp_min(0)
        active = (terms > 0).sum()
        # An empty sum still hangs on the features, so the gradient is 0 and not missing.
        return terms.sum() / active.clamp_min(1), active / pairs.clamp_min(1)


def make_loss(settings: Mapping[str, Any], dim: int, classes: int, seed: int) -> nn.Module:
    """The loss of the recipe's table `[loss]` (name and that loss's own keys), initialised from `seed` alone.

    Raises EmbedderError for an unknown name, key or value, and for fewer than two classes.
    """
    name = str(settings.get("name", "l2_softmax"))
    if name not in DEFAULTS:
        raise EmbedderError(f"unknown loss {name!r}", hint=f"set loss.name to one of: {', '.join(DEFAULTS)}")
    given = {key: value for key, value in settings.items() if key != "name"}
    foreign = sorted(given.keys() - DEFAULTS[name].keys())
    if foreign:
        raise EmbedderError(
            f"loss {name} has no key {', '.join(foreign)}",
            hint=f"keys of {name}: {', '.join(DEFAULTS[name]) or 'none'}",
        )
    if classes < 2:
        raise EmbedderError(f"a loss needs at least 2 classes, the fit images have {classes}")
    options = {**DEFAULTS[name], **given}
    for key in ("alpha", "margin"):
        if key in options and not options[key] > 0:
            raise EmbedderError(f"loss.{key} = {options[key]}: expected a number above 0")
    if options.get("mining", "semi_hard") not in MINERS:
        raise EmbedderError(
            f"unknown loss.mining {options['mining']!r}", hint=f"set loss.mining to one of: {', '.join(MINERS)}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "softmax":
            return Softmax(dim, classes)
        if name == "l2_softmax":
            return L2Softmax(dim, classes, options["alpha"], options["learn_alpha"])
        return Triplet(options["margin"], options["mining"])
