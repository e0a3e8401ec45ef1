"""torchvision's classifiers without their last layer, their weights, and as torchvision itself runs them.

What `torchvision` imports when asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision import models
from torchvision.transforms.functional import to_pil_image

from simsearch.arrays import Floats, Pixels
from simsearch.embedder.networks.family import Theirs, Weights
from simsearch.errors import EmbedderError


def trunk(kind: str, side: int, default: int) -> nn.Module:
    """Return torchvision's model `kind` for images of `side` px; EmbedderError for a side that it cannot take."""
    # Only vision transformers are built for one size.
    options = {"image_size": side} if kind.startswith("vit_") else {}
    try:
        model: nn.Module = models.get_model(kind, weights=None, **options)
    except AssertionError as error:
        raise EmbedderError(
            f"torchvision:{kind} cannot take images of {side} px: {error}", hint=f"--set images.size={default}"
        ) from error
    # What stands before the last linear layer stays: pooling, and convnext's LayerNorm.
    if kind.startswith("resnet"):
        model.fc = nn.Identity()
    elif kind.startswith("vit_"):
        model.heads = nn.Identity()
    elif kind.startswith("convnext"):
        classifier = model.get_submodule("classifier")
        assert isinstance(classifier, nn.Sequential)
        classifier[2] = nn.Identity()
    else:
        model.classifier = nn.Identity()
    return model


def weights(kind: str) -> Weights:
    """Return the default weights of `kind`, which are downloaded into TORCH_HOME."""
    entry = models.get_model_weights(kind).DEFAULT
    file, size = str(entry.url).rpartition("/")[2], entry.meta.get("_file_size")
    place = Path(torch.hub.get_dir()) / "checkpoints" / file
    return Weights(
        described=file + (f" ({size:.0f} MB)" if size else "") + f" from {entry.url}",
        here=place.exists(),
        load=lambda: entry.get_state_dict(progress=False, check_hash=True, weights_only=True),
        place=place,
    )


def theirs(kind: str) -> Theirs:
    """Return torchvision's model `kind` with its default weights and their own transform."""
    entry = models.get_model_weights(kind).DEFAULT
    preset = entry.transforms()
    (size,) = preset.crop_size

    def prepare(picture: Pixels) -> Floats:
        seen: Floats = preset(to_pil_image(picture)).numpy()
        return seen

    @lru_cache(maxsize=1)
    def model() -> nn.Module:
        whole: nn.Module = models.get_model(
            kind, weights=None, **({"image_size": size} if kind.startswith("vit_") else {})
        )
        whole.load_state_dict(weights(kind).load())
        whole.eval()
        return whole

    def features(batch: Floats) -> Floats:
        with torch.inference_mode():
            return features_of(model(), torch.from_numpy(batch)).numpy()

    return Theirs(f"torchvision {torchvision.__version__}", settings_of(preset), prepare, features)


def settings_of(preset: Any) -> Mapping[str, Any]:
    """Return the keys of [images] that mean what torchvision's transform of a classifier does."""
    (size,), (shorter,) = preset.crop_size, preset.resize_size
    pixels = {"size": size, "resize": "center_crop", "crop_share": size / shorter}
    scaling = {"interpolation": preset.interpolation.value, "antialias": bool(preset.antialias), "order": "rgb"}
    return {**pixels, **scaling, "mean": tuple(preset.mean), "std": tuple(preset.std)}


def features_of(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return what feeds the classifier of a whole model of torchvision, (N, width): the input of its first linear one.

    It is taken while the untouched model runs, so that it does not rest on what `trunk` cuts off.
    """
    classifier = next(part for name, part in model.named_children() if name in ("fc", "classifier", "heads"))
    linear = next(part for part in classifier.modules() if isinstance(part, nn.Linear))
    seen: list[torch.Tensor] = []
    hook = linear.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        model(images)
    finally:
        hook.remove()
    return seen[0]
