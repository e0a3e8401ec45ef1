"""What a backbone tells without torch, and how it is built with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

DEEP_SECONDS = 1e-3


@dataclass(frozen=True)
class Weights:
    """Weights that somebody offers: file, size and address in words, whether they are here already, the state dict."""

    described: str
    here: bool
    load: Callable[[], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Pretrained:
    """What `embedder.weights = "default"` gives: `mean` and `std` a channel of its training, and the `weights`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: Callable[[], Weights]


@dataclass(frozen=True)
class Spec:
    """One backbone: its name in full, default side `size` and largest side (None: any) in pixels, input `channels`.

    `width(size)` is the length of its own feature, and raises EmbedderError for a side that it cannot take.
    `trunk(size)` builds it, (B, C, size, size) to (B, width), initialised from torch's global random state.
    `seconds`: of a forward pass, for an image of the default size on two cores. `classifiers`: what the names of the
    layers that the head replaces begin with in files of weights.
    """

    name: str
    size: int
    channels: int
    width: Callable[[int], int]
    trunk: Callable[[int], nn.Module]
    seconds: float
    largest: int | None = None
    pretrained: Pretrained | None = None
    classifiers: tuple[str, ...] = ("fc.", "fc1.", "classifier.", "heads.")

    @property
    def deep(self) -> bool:
        """Whether the forward pass takes longer than reading the image."""
        return self.seconds >= DEEP_SECONDS


class Family(Protocol):
    """Backbones whose names begin with `PREFIX`, as "torchvision:"; "" is the prefix of names without a colon.

    A family is a module of `families`, listed there. Recipes ask it at cold start: it imports no torch, but what
    `trunk` and `weights` of its backbones import when they are called.
    """

    PREFIX: str

    def names(self) -> Collection[str]:
        """Return the full names that hints propose."""

    def spec(self, name: str) -> Spec | None:
        """Return the backbone of that full name; None when there is none."""
