"""The settings of a published model as transforms: what our reading of them, `published`, is proved against.

The library that wrote the file is asked where it is installed. Else the raw file is read a second time, as a list of
torchvision's transforms, by code that shares no line with our reading but the processors' defaults, which tests hold
against the library: no mistake stands in both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torchvision
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize
from torchvision.transforms.functional import crop, to_pil_image

from simsearch.arrays import Floats, Pixels
from simsearch.embedder.networks.published_processors import filled
from simsearch.errors import EmbedderError

PILLOW = {1: InterpolationMode.LANCZOS, 2: InterpolationMode.BILINEAR, 3: InterpolationMode.BICUBIC}
SQUASHED_FROM = 384  # px; a ConvNeXt's pictures below are cut

Prepare = Callable[[Pixels], Floats]


def transform_of(settings: Path) -> tuple[str, Prepare]:
    """Return what prepares pictures as the file says, in words and as a function of (H, W, 3) to (C, S, S) float32.

    `settings`: a file that `published.read_beside` has accepted.
    """
    config = json.loads(settings.read_bytes())
    try:
        return _of_its_library(config, settings)
    except (ImportError, EmbedderError):  # not installed, or not read by this version
        pass
    steps, normal = _timm(config) if {"pretrained_cfg", "input_size"} & config.keys() else _transformers(config)
    scale, mean, std = normal
    spatial = Compose(steps)

    def prepare(picture: Pixels) -> Floats:
        values = np.asarray(spatial(to_pil_image(picture)), dtype=np.float64) * scale
        seen: Floats = ((values - mean) / std).transpose(2, 0, 1).astype(np.float32)
        return seen

    return f"torchvision {torchvision.__version__} with {settings.name}", prepare


def _of_its_library(config: Mapping[str, Any], settings: Path) -> tuple[str, Prepare]:
    """Return what the library that wrote the file makes of it; ImportError where it is not installed."""
    if {"pretrained_cfg", "input_size"} & config.keys():
        from simsearch.embedder.networks.families.timm_models import prepared_by

        return prepared_by(config.get("pretrained_cfg", config))
    from simsearch.embedder.networks.families.hf_models import prepared_by as processed_by

    return processed_by(settings.parent)


def _timm(config: Mapping[str, Any]) -> tuple[list[Any], tuple[float, Any, Any]]:
    """As create_transform(is_training=False) of timm has it."""
    config = config.get("pretrained_cfg", config)
    side = config["input_size"][-1]
    kind, larger = (
        InterpolationMode(config.get("interpolation") or "bilinear"),
        int(side / (config.get("crop_pct") or 0.875)),
    )
    resize = Resize((larger, larger), kind) if config.get("crop_mode") == "squash" else Resize(larger, kind)
    return [resize, CenterCrop(side)], (1 / 255, config["mean"], config["std"])


def _transformers(config: Mapping[str, Any]) -> tuple[list[Any], tuple[float, Any, Any]]:
    """As the image processors of transformers have it, step by step."""
    steps: list[Any] = []
    config = filled(config)
    size: Any = config.get("size")
    kind = PILLOW[config.get("resample", 2)]
    if config.get("do_resize", True):
        side = size if isinstance(size, int) else size.get("shortest_edge")
        if side is None:
            steps.append(Resize((size["height"], size["width"]), kind))
        elif config.get("crop_pct"):
            steps += (
                [Resize(int(side / config["crop_pct"]), kind), _floor_crop(side, side)]
                if side < SQUASHED_FROM
                else [Resize((side, side), kind)]
            )
        else:
            whole = isinstance(size, int) and config.get("default_to_square", not config.get("do_center_crop"))
            steps.append(Resize((side, side) if whole else side, kind))
    if config.get("do_center_crop"):
        cut = config["crop_size"]
        steps.append(_floor_crop(*((cut, cut) if isinstance(cut, int) else (cut["height"], cut["width"]))))
    if config.get("do_flip_channel_order"):
        steps.append(lambda image: to_pil_image(np.asarray(image)[:, :, ::-1].copy()))
    scale = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1.0
    unchanged = not config.get("do_normalize", True)
    return steps, (scale, 0.0, 1.0) if unchanged else (scale, config["image_mean"], config["image_std"])


def _floor_crop(height: int, width: int) -> Callable[[Any], Any]:
    """Cut the centre of a Pillow image as transformers does, which rounds half a pixel of the corner down."""

    def cut(image: Any) -> Any:
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return crop(image, top, left, height, width)

    return cut
