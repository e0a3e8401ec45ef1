"""How small alpha may be before L2-constrained softmax cannot fit: a heuristic that warns and never refuses."""

from __future__ import annotations

import math


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
