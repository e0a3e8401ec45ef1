"""timm's models without their classifiers, their weights, and as timm itself runs them: what `timm` imports when asked.

The only file that knows timm.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import create_transform, resolve_data_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms.functional import to_pil_image

from simsearch.arrays import Floats, Pixels
from simsearch.embedder.networks.family import Theirs
from simsearch.errors import EmbedderError, first_line

SECONDS = 6e-12  # an operation, of a vision transformer on two cores
OVERHEAD = 2e-3
CONFIG = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")
# What timm's files call the function that makes older or other names, and other sides, into those of the model.
FILTERS = ("checkpoint_filter_fn", "_filter_fn", "pretrained_filter_fn")


def trunk(kind: str, side: int) -> nn.Module:
    """Return timm's model `kind` for images of `side` px, drawn from torch's random state."""
    return _made(kind, side)


def look(kind: str, side: int | None, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what timm says of a model, JSON-ready, and its width at `side` px; what was known `before` is kept.

    The model is made without its weights and run on nothing, which takes a tenth of a second. Raises EmbedderError
    for a name that timm does not know, and a side that the model cannot take.
    """
    config = timm.get_pretrained_cfg(kind) if _is_known(kind) else None
    if config is None:
        everyone = {*timm.list_models(), *timm.list_pretrained()}
        near = difflib.get_close_matches(kind.lower(), everyone, n=3, cutoff=0.5)
        raise EmbedderError(
            f"timm {timm.__version__} has no model {kind!r}"
            + (f"; the nearest: {', '.join(f'timm:{one}' for one in near)}" if near else ""),
            hint=f"--set embedder.backbone=timm:{near[0]}" if near else "timm.list_models() lists them",
        )
    own = int(config.input_size[1])
    side = side or own
    try:
        with torch.device("meta"), FlopCounterMode(display=False) as counted:
            model = _made(kind, side).eval()
            shape = tuple(model(torch.empty(2, config.input_size[0], side, side)).shape)
        with torch.device("meta"):
            whole = timm.create_model(kind, pretrained=False)  # with the classifier, as in its file of weights
    except Exception as error:  # whatever a model raises for a side that it was not made for
        raise EmbedderError(
            f"timm:{kind} cannot take images of {side} px: {first_line(error)}", hint=f"--set images.size={own}"
        ) from error
    if len(shape) != 2:
        raise EmbedderError(f"timm:{kind} gives {shape}, not one feature an image", hint="name an image classifier")
    data = _config(kind)
    classifiers = config.classifier or ()
    classifiers = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    operations = counted.get_total_flops() / 2 * (own / side) ** 2
    return {
        "library": f"timm {timm.__version__}",
        "config": {key: data[key] for key in CONFIG},
        "classifiers": [f"{name}." for name in classifiers],
        "repo": config.hf_hub_id,
        "licence": config.license,
        "bytes": sum(tensor.numel() * 4 for tensor in whole.state_dict().values()),
        "seconds": round(OVERHEAD + operations * SECONDS, 6),
        "widths": {**(before or {}).get("widths", {}), str(side): shape[1]},
    }


def fitted(kind: str, given: Mapping[str, Tensor], model: nn.Module) -> Mapping[str, Tensor]:
    """Return the tensors of a file as timm reads them for `model`: renamed, and positions brought to its side."""
    module = sys.modules[timm.model_entrypoint(kind).__module__]
    change = next((getattr(module, name) for name in FILTERS if hasattr(module, name)), None)
    return given if change is None else dict(change(dict(given), model))


def theirs(kind: str, file: Path, own: Mapping[str, Any]) -> Theirs:
    """Return timm's model `kind` with a file of weights, and its own transform; `own`: how we read that."""
    library, prepare = prepared_by(timm.get_pretrained_cfg(kind).to_dict())

    @lru_cache(maxsize=1)
    def whole() -> Any:
        read = {"file": str(file)}
        return timm.create_model(kind, pretrained=True, num_classes=0, pretrained_cfg_overlay=read).eval()

    def features(batch: Floats) -> Floats:
        with torch.inference_mode():
            found: Floats = whole()(torch.from_numpy(batch)).numpy()
        return found

    settings = {**own, "antialias": True, "order": "rgb"}
    return Theirs(library, settings, prepare, features)


def prepared_by(config: Mapping[str, Any]) -> tuple[str, Callable[[Pixels], Floats]]:
    """Return timm's name and version, and its own transform for a data config; EmbedderError for one it cannot use."""
    library = f"timm {timm.__version__}"
    try:
        transform = create_transform(**resolve_data_config({}, pretrained_cfg=dict(config)), is_training=False)
    except Exception as error:  # whatever it meets in a file of somebody else
        raise EmbedderError(
            f"{library} cannot prepare pictures by this data config: {type(error).__name__} {first_line(error)}",
            hint="put the config.json there that the model was published with",
        ) from error

    def prepare(picture: Pixels) -> Floats:
        seen: Floats = transform(to_pil_image(picture)).numpy()
        return seen

    return library, prepare


def _config(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(kind).to_dict())
    return found


def _made(kind: str, side: int) -> nn.Module:
    # Only models with a fixed side are built for one.
    config = timm.get_pretrained_cfg(kind)
    options = {"img_size": side} if config is not None and config.fixed_input_size else {}
    model: nn.Module = timm.create_model(kind, pretrained=False, num_classes=0, **options)
    return model


def _is_known(kind: str) -> bool:
    architecture, _, tag = kind.partition(".")
    return bool(timm.is_model(architecture)) and (not tag or kind in timm.list_pretrained(f"{architecture}*"))
