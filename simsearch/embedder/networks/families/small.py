"""Small networks for drawings, without a prefix and without default weights."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from simsearch.embedder.networks.family import Feature, Spec
from simsearch.errors import EmbedderError

if TYPE_CHECKING:
    from torch import nn

PREFIX = ""
SIZE, CHANNELS, SECONDS = 28, 64, 5e-5
# NAME: (largest side in pixels, what pooling leaves of a side). Without global pooling the width, and with it the head,
# grows with the square of the side.
NETWORKS: dict[str, tuple[int, Callable[[int], int]]] = {
    "mnist_cnn": (128, lambda size: (size - 4) // 2),
    "conv4": (224, lambda size: size // 16),
}


def names() -> Collection[str]:
    return NETWORKS


def spec(name: str, feature: Feature) -> Spec | None:
    if name not in NETWORKS:
        return None
    largest, pooled = NETWORKS[name]

    def width(size: int) -> int:
        side = pooled(size)
        if side < 1:
            raise EmbedderError(f"{name} cannot take images of {size} px", hint=f"--set images.size={SIZE}")
        return CHANNELS * side**2

    def trunk(size: int) -> nn.Module:
        from simsearch.embedder.networks.families.small_trunks import Conv4Trunk, MnistTrunk

        return MnistTrunk() if name == "mnist_cnn" else Conv4Trunk()

    return Spec(name, SIZE, 1, width, trunk, SECONDS, largest)
