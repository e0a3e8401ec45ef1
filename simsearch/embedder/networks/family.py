"""What a backbone tells without torch, and how it is built with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from simsearch.arrays import Floats, Pixels
from simsearch.errors import EmbedderError

if TYPE_CHECKING:
    from torch import Tensor, nn

DEEP_SECONDS = 1e-3
PREPARED = {"size", "resize", "interpolation", "mean", "std"}  # without which nothing is known of a model's pictures


@dataclass(frozen=True)
class Weights:
    """Weights that somebody offers: file, size and address in words, whether they are here already, the state dict.

    `place` is where their file lies, and may be put by hand. `fetch` puts it there, where `load` does not do so itself.
    """

    described: str
    here: bool
    load: Callable[[], Mapping[str, Tensor]]
    place: Path | None = None
    fetch: Callable[[], None] | None = None


@dataclass(frozen=True)
class Pretrained:
    """What `embedder.weights = "default"` gives: `mean` and `std` a channel of its training, and the `weights`.

    `by_bytes`: their file enters addresses by its bytes, as its name does not tell them.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: Callable[[], Weights]
    by_bytes: bool = False


@dataclass(frozen=True)
class Brought:
    """A model that a user brings as a file: `files` are what it is made of.

    `write(size, path, alone)` makes it a bundle, `alone`: for one image at a time. `kind` stands for its name in
    addresses, where no path may stand: its files enter them by their bytes. `features`: (N, C, S, S) float32 to
    (N, width) float32 by the files as they are.
    """

    kind: str
    files: Callable[[], list[Path]]
    write: Callable[[int, Path, bool], None]
    features: Callable[[Floats], Floats]


@dataclass(frozen=True)
class Feature:
    """Which tensor of a model is the feature: its name, and how a map or tokens are pooled; None: what is usual."""

    output: str | None = None
    pooling: str | None = None


USUAL = Feature()


@dataclass(frozen=True)
class Theirs:
    """A model as its own library runs it, at its own settings: what ours is proved against.

    `library`: its name and version, in words. `settings`: keys of [images] as we read them from the model's own
    settings (size, resize, crop_share, interpolation, antialias, order, mean, std). `prepare`: (H, W, 3) RGB uint8 to
    what the network sees, (C, S, S) float32, by the library's own transform. `features`: (N, C, S, S) float32 to
    (N, width) float32 by the library's own model; None where nothing but its pixels is known.
    """

    library: str
    settings: Mapping[str, Any]
    prepare: Callable[[Pixels], Floats]
    features: Callable[[Floats], Floats] | None = None


@dataclass(frozen=True)
class Spec:
    """One backbone: its name in full, default side `size` and largest side (None: any) in pixels, input `channels`.

    `width(size)` is the length of its own feature, and raises EmbedderError for a side that it cannot take.
    `trunk(size)` builds it, (B, C, size, size) to (B, width), initialised from torch's global random state; a model
    that is `brought` has none. `own`: keys of [images] as the model's own pictures are prepared. `seconds`:
    of a forward pass, for an image of the default size on two cores. `classifiers`: what the names of the layers that
    the head replaces begin with in files of weights. `fitted(state dict, trunk)` is a file of weights as its library
    reads it for that trunk: under new names, with positions for another side. `takes_feature`: which of its tensors is
    the feature may be said. `files`: those that say what the model is, which enter addresses by their bytes, and
    `local`: what stands there for the name of a model in a folder of the user's.
    """

    name: str
    size: int
    channels: int
    width: Callable[[int], int]
    trunk: Callable[[int], nn.Module] | None
    seconds: float
    largest: int | None = None
    pretrained: Pretrained | None = None
    classifiers: tuple[str, ...] = ("fc.", "fc1.", "classifier.", "heads.")
    own: Mapping[str, Any] = field(default_factory=dict)
    brought: Brought | None = None
    theirs: Callable[[], Theirs | None] | None = None
    fitted: Callable[[Mapping[str, Tensor], nn.Module], Mapping[str, Tensor]] | None = None
    takes_feature: bool = False
    files: Callable[[], list[Path]] | None = None
    local: str | None = None

    def own_unless(self, given: Collection[str]) -> dict[str, Any]:
        """Return `own`; {} where it cannot be read, and a recipe has `given` every key of [images] that it would."""
        try:
            return dict(self.own)
        except EmbedderError:
            if not set(given) >= PREPARED:
                raise
            return {}

    @property
    def shown(self) -> str:
        """The name as it is shown and written: of a file or folder, without the folder that it lies in."""
        if self.kind is None:
            return self.name
        return self.kind + os.path.basename(self.name.removeprefix(self.kind).rstrip("/"))

    @property
    def kind(self) -> str | None:
        """What stands for the name in addresses, where it is a path of the user's: its files enter by their bytes."""
        return self.local if self.brought is None else self.brought.kind

    @property
    def deep(self) -> bool:
        """Whether the forward pass takes longer than reading the image."""
        return self.seconds >= DEEP_SECONDS


class Family(Protocol):
    """Backbones whose names begin with `PREFIX`, as "torchvision:"; "" is the prefix of names without a colon.

    A family is a module of `families`, listed there. Recipes ask it at cold start: it imports no torch, but what
    `trunk` and `weights` of its backbones import when they are called. One whose models must be looked at before they
    are known has `download(name)` too, which has what `spec` reads.
    """

    PREFIX: str

    def names(self) -> Collection[str]:
        """Return the full names that hints propose; none where only a library knows them."""

    def spec(self, name: str, feature: Feature) -> Spec | None:
        """Return the backbone of that full name; None when there is none, EmbedderError for a feature it has not."""
