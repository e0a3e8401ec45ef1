"""`pml:NAME`: any loss of pytorch-metric-learning that takes embeddings and labels, as one of ours.

The package is an extra and is imported only when such a loss is made.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from simsearch.embedder.losses.mining import unit
from simsearch.errors import EmbedderError

PREFIX = "pml:"
LIST = "https://kevinmusgrave.github.io/pytorch-metric-learning/losses/"


class PmlLoss(nn.Module):
    """A loss of pytorch-metric-learning on unit embeddings; its parameters (proxies, class vectors) are trained too."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return (loss, None) of features (B, dim) and labels (B,) in 0 .. classes - 1."""
        return self.loss(unit(features), labels), None


def make_pml_loss(name: str, options: Mapping[str, Any], dim: int, classes: int) -> PmlLoss:
    """Return pytorch_metric_learning.losses.NAME(**options), with width and number of classes where it asks for them.

    Raises EmbedderError when the package is missing, for a name that it does not have or that is no loss of
    embeddings and labels, and for options that it refuses.
    """
    constructor = _find(name)
    keywords = _keywords(constructor)
    known = {"num_classes": classes, "embedding_size": dim, "descriptors_dim": dim}
    filled = {key: value for key, value in known.items() if keywords.get(key) is inspect.Parameter.empty}
    try:
        loss = constructor(**{**filled, **options})
    except Exception as error:  # whatever the options made of a foreign constructor
        raise EmbedderError(
            f"loss {PREFIX}{name} refuses its options {dict(options)}: {_line(error)}",
            hint=f"keys of [loss.options] for {name}: {', '.join(sorted(keywords)) or 'none'}",
        ) from error
    _try(name, loss, dim, classes)
    return PmlLoss(loss)


def _find(name: str) -> Any:
    try:
        losses = importlib.import_module("pytorch_metric_learning.losses")
    except ImportError as error:
        raise EmbedderError(
            f"loss {PREFIX}{name} needs the package pytorch-metric-learning: {_line(error)}",
            hint="pip install 'simsearch[pml]'",
        ) from error
    names = sorted(key for key, value in vars(losses).items() if inspect.isclass(value))
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        raise EmbedderError(
            f"pytorch-metric-learning has no loss {name!r}",
            hint=f"did you mean {' or '.join(near)}?" if near else f"its losses: {LIST}",
        )
    found = getattr(losses, name)
    if not issubclass(found, losses.BaseMetricLossFunction):
        raise _no_loss(name, "it is a part of losses, or wraps another loss")
    return found


def _keywords(constructor: type) -> dict[str, Any]:
    """Return each keyword, also of those that **kwargs are handed on to, with its default, or Parameter.empty."""
    found: dict[str, Any] = {}
    for owner in constructor.__mro__:
        if owner is nn.Module:
            break
        if "__init__" not in vars(owner):
            continue
        parameters = list(inspect.signature(owner.__init__).parameters.values())[1:]  # type: ignore[misc]
        named = (p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        found = {**{p.name: p.default for p in named}, **found}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def _try(name: str, loss: nn.Module, dim: int, classes: int) -> None:
    """Call the loss once on four images of two classes: some need more than embeddings and labels."""
    labels = torch.tensor([0, 0, classes - 1, classes - 1])
    try:
        with torch.no_grad():
            value = loss(unit(torch.randn(4, dim)), labels)
    except Exception as error:  # a foreign forward
        raise _no_loss(name, _line(error)) from error
    if not isinstance(value, Tensor) or value.ndim:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise _no_loss(name, f"expected a scalar, seen {shape}")


def _no_loss(name: str, why: str) -> EmbedderError:
    return EmbedderError(
        f"loss {PREFIX}{name} cannot be computed from embeddings and labels alone: {why}",
        hint=f"check [loss.options], or choose another loss: {LIST}",
    )


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
