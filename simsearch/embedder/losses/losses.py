"""What training lowers: softmax, l2_softmax, triplet, quadruplet and pml:NAME, each a module on raw features.

A loss takes raw features (B, dim) float and labels (B,) int64 and returns (loss, active): a scalar with gradient, and
the share of anchor-positive pairs that have a tuple with a loss above 0 (a scalar), or None where there are none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from simsearch.embedder.losses.distance_weighted import drawn_triplets
from simsearch.embedder.losses.mining import RULES, Selection, squared_distances, triplets, unit
from simsearch.embedder.losses.pml import PREFIX, make_pml_loss
from simsearch.embedder.losses.quadruplets import drawn_quadruplets, pair_quadruplets, third_class_triplets
from simsearch.errors import EmbedderError


class Softmax(nn.Module):
    """The baseline: a linear classifier with bias and cross-entropy on raw features, averaged over the batch."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(dim, classes)

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return (loss, None) of features (B, dim) and labels (B,) in 0 .. classes - 1."""
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
        """Return (loss, None) of features (B, dim) and labels (B,) in 0 .. classes - 1."""
        logits = self.classifier(unit(features) * self.alpha)
        return functional.cross_entropy(logits, labels), None


def compares(loss: nn.Module) -> bool:
    """Return whether a loss compares the images of a batch; else it is a mean over them, each looked at alone."""
    return not isinstance(loss, Softmax | L2Softmax)


def alpha_lower_bound(classes: int, p: float = 0.9) -> float:
    """Return the least alpha at which `classes` classes can each reach mean target probability `p`.

    log(p (C - 2) / (1 - p)) for C > 2 (Ranjan, Castillo, Chellappa 2017, arXiv 1703.09507, equation 8), and
    log(p / (1 - p)) / 2 for C = 2, where that formula has no value. It assumes unit class vectors.
    Raises ValueError for fewer than two classes or a `p` outside of (0, 1).
    """
    if classes < 2 or not 0 < p < 1:
        raise ValueError(f"expected at least 2 classes and 0 < p < 1, got {classes} and {p}")
    if classes == 2:
        return math.log(p / (1 - p)) / 2
    return math.log(p * (classes - 2) / (1 - p))


def alpha_warning(alpha: float, classes: int) -> str | None:
    """Return a sentence that names the bound when `alpha` lies under it, else None."""
    bound = alpha_lower_bound(classes)
    if alpha >= bound:
        return None
    return (
        f"alpha = {alpha:g} lies under {bound:.2f}, the lower bound for {classes} classes at probability 0.9 "
        "(Ranjan et al. 2017): training may not fit; raise loss.alpha"
    )


def mean_cost(embeddings: Tensor, selection: Selection, margin: float) -> Tensor:
    """Return the mean over the selected tuples of (within-class distance - between-class distance + margin): a scalar.

    0 with a gradient of zeros for an empty selection. The selection being fixed, that is a weighted sum of distances,
    and with |x - y|^2 = |x|^2 + |y|^2 - 2 x y one matrix product: autograd keeps no B x B distances.

    The mean is over tuples with a loss above 0: a sum would tie the learning rate to the batch, and counting idle
    tuples would shrink the gradient as training goes on.
    """
    weights = selection.weights
    ends = weights.sum(dim=0) + weights.sum(dim=1)
    squares = (ends * (embeddings * embeddings).sum(dim=1)).sum()
    products = ((weights @ embeddings) * embeddings).sum()
    return squares - 2 * products + margin * selection.tuples.clamp_max(1)


class Triplet(nn.Module):
    """FaceNet (Schroff et al. 2015), equation 3: max(0, d_p - d_n + margin), d squared L2 of unit embeddings.

    Averaged over the triplets that the miner chose and that have a loss above 0; `mining` is one of mining.py's.
    """

    def __init__(self, margin: float, mining: str) -> None:
        super().__init__()
        self.margin = margin
        self.mining = mining

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return loss and active share of the pairs of features (B, dim) and labels (B,); 0 without tuples."""
        embeddings = unit(features)
        with torch.no_grad():
            distances = squared_distances(embeddings)
            if self.mining in RULES:
                chosen = triplets(distances, labels, self.margin, RULES[self.mining])
            else:
                chosen = drawn_triplets(distances, labels, self.margin, features.shape[1])
        return mean_cost(embeddings, chosen, self.margin), chosen.active


class Quadruplet(nn.Module):
    """Chen et al. 2017, equation 6: the triplet term, plus d_p against distances between two other classes.

    max(0, d_p - d(a, n1) + margin1) + max(0, d_p - d(n1, n2) + margin2), a, n1 and n2 of three classes, margin2 <
    margin1; each sum is averaged over its own tuples with a loss above 0. The form `text` has d(a, n2) and margin1 in
    the second sum, a triplet more: quadruplets.py says why that is not the same. One rule mines both sums.
    """

    def __init__(self, form: str, margin1: float, margin2: float | None, mining: str) -> None:
        """`form` is `paper` or `text`; the latter has one margin, and no `margin2`."""
        super().__init__()
        self.form = form
        self.margins = (margin1, margin1 if margin2 is None else margin2)
        self.mining = mining

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return loss and active share of the first sum of features (B, dim), labels (B,) from 0 on; 0 if empty."""
        embeddings = unit(features)
        with torch.no_grad():
            distances = squared_distances(embeddings)
            if self.mining in RULES:
                rule = RULES[self.mining]
                first = triplets(distances, labels, self.margins[0], rule)
                mine = pair_quadruplets if self.form == "paper" else third_class_triplets
                second = mine(distances, labels, self.margins[1], rule)
            else:
                first, second = drawn_quadruplets(distances, labels, self.margins, features.shape[1], self.form)
        loss = mean_cost(embeddings, first, self.margins[0]) + mean_cost(embeddings, second, self.margins[1])
        return loss, first.active


def make_loss(settings: Mapping[str, Any], dim: int, classes: int, seed: int) -> nn.Module:
    """Return the loss of a complete table `[loss]` (recipe checks its keys), initialised from `seed` alone.

    Raises EmbedderError for fewer classes than the loss needs, and for what pml:NAME may refuse (pml.py).
    """
    name = settings["name"]
    if classes < 2:
        raise EmbedderError(
            f"a loss needs at least 2 classes, the fit images have {classes}",
            hint="give images of a second class, or search by the backbone's own features: --set training.epochs=0",
        )
    if name == "quadruplet" and classes < 3:
        raise EmbedderError(
            f"loss quadruplet compares three classes, the fit images have {classes}",
            hint="give images of a third class, or --set loss.name=triplet",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "softmax":
            return Softmax(dim, classes)
        if name == "l2_softmax":
            return L2Softmax(dim, classes, settings["alpha"], settings["learn_alpha"])
        if name == "triplet":
            return Triplet(settings["margin"], settings["mining"])
        if name == "quadruplet":
            return Quadruplet(settings["form"], settings["margin1"], settings["margin2"], settings["mining"])
        return make_pml_loss(name.removeprefix(PREFIX), settings["options"], dim, classes)
