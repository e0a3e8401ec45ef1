"""torchvision's classifiers, as torchvision:NAME, with the weights that torchvision offers."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from simsearch.embedder.networks.family import Feature, Pretrained, Spec, Theirs, Weights

if TYPE_CHECKING:
    from torch import nn

PREFIX = "torchvision:"
SECONDS_AT_224 = 3.2e-3  # MobileNetV2
# NAME: (side in pixels of torchvision's default weights, width of the layer that feeds the classifier)
NETWORKS = {
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
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
OTHER_SCALE = {"efficientnet_v2_l": HALF}  # of torchvision's default weights only these were trained on another


def names() -> Collection[str]:
    return [PREFIX + kind for kind in NETWORKS]


def spec(name: str, feature: Feature) -> Spec | None:
    kind = name.removeprefix(PREFIX)
    if kind not in NETWORKS:
        return None
    size, width = NETWORKS[kind]
    mean, std = OTHER_SCALE.get(kind, IMAGENET)

    def trunk(side: int) -> nn.Module:
        from simsearch.embedder.networks.families.torchvision_models import trunk

        return trunk(kind, side, size)

    def weights() -> Weights:
        from simsearch.embedder.networks.families.torchvision_models import weights

        return weights(kind)

    def theirs() -> Theirs:
        from simsearch.embedder.networks.families.torchvision_models import theirs

        return theirs(kind)

    seconds, pretrained = SECONDS_AT_224 * (size / 224) ** 2, Pretrained(mean, std, weights)
    return Spec(name, size, 3, lambda side: width, trunk, seconds, pretrained=pretrained, theirs=theirs)
