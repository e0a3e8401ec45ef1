"""The backbones that can be asked for, as plain data: no torch, so that recipes are checked at cold start."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from simsearch.errors import EmbedderError

PREFIX = "torchvision:"


@dataclass(frozen=True)
class Backbone:
    """A backbone's name, default input side `size` in pixels, input `channels` and `width` of its own feature.

    `largest`: the largest side in pixels; None: any.
    """

    name: str
    size: int
    channels: int
    width: int
    largest: int | None = None


# NAME: (side in pixels of torchvision's default weights, width of the layer that feeds the classifier)
_TORCHVISION = {
    "resnet18": (224, 512),
    "resnet34": (224, 512),
    "resnet50": (224, 2048),
    "resnet101": (224, 2048),
    "resnet152": (224, 2048),
    "mobilenet_v2": (224, 1280),
    "mobilenet_v3_small": (224, 576),
    "mobilenet_v3_large": (224, 960),
    "efficientnet_b0": (224, 1280),
    "efficientnet_b1": (240, 1280),
    "efficientnet_b2": (288, 1408),
    "efficientnet_b3": (300, 1536),
    "efficientnet_b4": (380, 1792),
    "efficientnet_b5": (456, 2048),
    "efficientnet_b6": (528, 2304),
    "efficientnet_b7": (600, 2560),
    "efficientnet_v2_s": (384, 1280),
    "efficientnet_v2_m": (480, 1280),
    "efficientnet_v2_l": (480, 1280),
    "convnext_tiny": (224, 768),
    "convnext_small": (224, 768),
    "convnext_base": (224, 1024),
    "convnext_large": (224, 1536),
    "vit_b_16": (224, 768),
    "vit_b_32": (224, 768),
    "vit_l_16": (224, 1024),
    "vit_l_32": (224, 1024),
    "vit_h_14": (518, 1280),
}

BACKBONES: dict[str, Backbone] = {
    # Without global pooling the width of these two, and with it the head, grows with the square of the side.
    "mnist_cnn": Backbone("mnist_cnn", size=28, channels=1, width=9216, largest=128),
    "conv4": Backbone("conv4", size=28, channels=1, width=64, largest=224),
    **{PREFIX + name: Backbone(PREFIX + name, size, 3, width) for name, (size, width) in _TORCHVISION.items()},
}


def find_backbone(name: str) -> Backbone:
    """The backbone called `name`; EmbedderError names the nearest names when there is none."""
    found = BACKBONES.get(name)
    if found is not None:
        return found
    wanted = name.lower()
    # Somebody who leaves the prefix out, or misspells it, means the part after it.
    bare = {key.removeprefix(PREFIX): key for key in BACKBONES}
    near = difflib.get_close_matches(wanted.rpartition(":")[2], bare, n=3, cutoff=0.5)
    nearest = ", ".join(bare[key] for key in near)
    raise EmbedderError(
        f"unknown backbone {name!r}" + (f"; the nearest: {nearest}" if nearest else ""),
        hint=f"set embedder.backbone to one of: {', '.join(BACKBONES)}",
    )
