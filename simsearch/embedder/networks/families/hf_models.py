"""Models of transformers as modules from images to features, and as it runs them itself: what `hf` imports when asked.

The only file that knows transformers. No code that comes with a model is run, and no pickle is read.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms.functional import to_pil_image
from transformers import AutoConfig, AutoImageProcessor, AutoModel
from transformers.utils import logging

from simsearch.arrays import Floats, Pixels
from simsearch.embedder.networks.family import Theirs
from simsearch.errors import EmbedderError, first_line

SECONDS, OVERHEAD = 6e-12, 2e-3  # an operation, of a vision transformer on two cores
SAFE = {"local_files_only": True, "trust_remote_code": False}
POOLERS = ("pooler", "head")  # what modules of transformers call them
FIRST = ("cls_token", "class_embedding")

logging.set_verbosity_error()
logging.disable_progress_bar()


class Tower(nn.Module):
    """The image side of a model of transformers: (B, C, S, S) to (B, width), by one way of pooling.

    `pooler` is the model's own, projected where images and texts share a space; cls the first token; mean and max are
    taken over all tokens, or over the map.
    """

    def __init__(self, model: nn.Module, pooling: str, side: int | None) -> None:
        super().__init__()
        self.vision_model = getattr(model, "vision_model", model)
        projected = pooling == "pooler" and hasattr(model, "visual_projection")
        self.visual_projection: nn.Module | None = model.get_submodule("visual_projection") if projected else None
        self.pooling = pooling
        if pooling != "pooler":
            for name in POOLERS:  # maybe never trained, and of no use then
                if isinstance(getattr(self.vision_model, name, None), nn.Module):
                    setattr(self.vision_model, name, nn.Identity())
        self.options = {} if side is None else _options(self.vision_model, side)

    def outputs(self, images: Tensor) -> Any:
        """Return what the model itself gives."""
        return self.vision_model(pixel_values=images, **self.options)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, width) float of (B, C, S, S) float."""
        found = self.outputs(images)
        if self.pooling == "pooler":
            pooled: Tensor = found.pooler_output.flatten(1)
            if self.visual_projection is not None:
                pooled = self.visual_projection(pooled)
            return pooled
        last: Tensor = found.last_hidden_state
        if self.pooling == "cls":
            return last[:, 0]
        last = last.flatten(2) if last.ndim == 4 else last.transpose(1, 2)
        return last.mean(2) if self.pooling == "mean" else last.amax(2)


def trunk(folder: Path, pooling: str, side: int) -> nn.Module:
    """Return the model in a folder for images of `side` px, drawn from torch's random state."""
    return Tower(_made(folder), pooling, side)


def state_dict(folder: Path, pooling: str, given: Mapping[str, Tensor] | None = None) -> Mapping[str, Tensor]:
    """Return the weights of the tower of a folder's model, or those `given`, as transformers reads them.

    It knows older names, and those of models with a classifier. Raises EmbedderError where any lack.
    """
    read: dict[str, Any] = {"dtype": torch.float32, "output_loading_info": True}
    if given is None:
        model, told = AutoModel.from_pretrained(folder, use_safetensors=True, **read, **SAFE)
    else:
        config = _config(folder)
        with torch.device("meta"):
            kind: Any = type(_made(folder, config))
        model, told = kind.from_pretrained(None, config=config, state_dict=dict(given), **read)
    tower = Tower(model, pooling, None)
    # A checkpoint lacks what it was not trained with, which transformers then draws at random.
    inside = {name.removeprefix("vision_model."): name for name in tower.state_dict()}
    lack = [name for name in told["missing_keys"] if name.removeprefix("vision_model.") in inside]
    if lack:
        raise EmbedderError(f"they lack {', '.join(lack[:3])}")
    return tower.state_dict()


def look(name: str, folder: Path, side: int, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what transformers says of the model in a folder, JSON-ready; what was known `before` is kept.

    The model is made without its weights and run on nothing. Raises EmbedderError for a model that takes no images,
    and for a side that it cannot take.
    """
    config = _config(folder)
    try:
        with torch.device("meta"):
            model = _made(folder, config).eval()
    except Exception as error:  # what a config holds may be anything
        raise EmbedderError(
            f"{name}: transformers {transformers.__version__} cannot make this model: {first_line(error)}",
            hint="a newer version may know it: pip install --upgrade transformers",
        ) from error
    kind = type(model).__name__
    tower = Tower(model, "pooler", side)
    if "pixel_values" not in inspect.signature(tower.vision_model.forward).parameters:
        raise EmbedderError(f"{name}: a {kind} takes no images", hint="name a model of images")
    channels = getattr(tower.vision_model.config, "num_channels", 3)
    try:
        with torch.device("meta"), FlopCounterMode(display=False) as counted:
            found = tower.outputs(torch.empty(2, channels, side, side))
            last, pooled = found.last_hidden_state, getattr(found, "pooler_output", None)
            if pooled is not None:
                pooled = tower(torch.empty(2, channels, side, side))
    except Exception as error:  # whatever a model raises for a side that it was not made for
        raise EmbedderError(
            f"{name} cannot take images of {side} px: {first_line(error)}", hint="leave images.size out"
        ) from error
    tensors = tower.vision_model.state_dict()
    plain = last.shape[2] if last.ndim == 3 else last.shape[1]
    own = any(part in key for key in tensors for part in FIRST)
    widths = {"pooler": pooled.shape[1]} if pooled is not None else {}
    widths |= {"cls": plain} if last.ndim == 3 else {}
    widths |= {"mean": plain, "max": plain}
    seconds = OVERHEAD + counted.get_total_flops() / (4 if pooled is not None else 2) * SECONDS
    return {
        "library": f"transformers {transformers.__version__}",
        "poolings": list(widths),
        "pooler_tensors": [key for key in tensors if key.partition(".")[0] in POOLERS],
        "cls": own and last.ndim == 3,
        "seconds": (before or {}).get("seconds", round(seconds, 6)),  # at its own side, which is asked first
        "widths": {**(before or {}).get("widths", {}), str(side): widths},
    }


def theirs(folder: Path, pooling: str, own: Mapping[str, Any]) -> Theirs:
    """Return the model in a folder with its own image processor; `own`: how we read its settings."""
    library, prepare = prepared_by(folder)

    @lru_cache(maxsize=1)
    def whole() -> Any:
        return AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **SAFE).eval()

    def features(batch: Floats) -> Floats:
        model, images = whole(), torch.from_numpy(batch)
        tower = getattr(model, "vision_model", model)
        options = _options(tower, batch.shape[2])
        with torch.inference_mode():
            if pooling == "pooler" and hasattr(model, "get_image_features"):
                found = model.get_image_features(pixel_values=images, **options)
                return np.asarray(getattr(found, "pooler_output", found), dtype=np.float32)
            found = tower(pixel_values=images, **options)
        if pooling == "pooler":
            return np.asarray(found.pooler_output, dtype=np.float32).reshape(len(batch), -1)
        last = np.asarray(found.last_hidden_state, dtype=np.float32)
        if pooling == "cls":
            return last[:, 0]
        over = (2, 3) if last.ndim == 4 else (1,)
        pooled: Floats = last.mean(axis=over) if pooling == "mean" else last.max(axis=over)
        return pooled

    settings = {"antialias": True, "order": "rgb", **own}
    return Theirs(library, settings, prepare, features)


def prepared_by(folder: Path) -> tuple[str, Callable[[Pixels], Floats]]:
    """Return transformers' name and version, and its image processor with the settings in a folder.

    Raises EmbedderError, as the function does, for settings that it cannot use.
    """
    library = f"transformers {transformers.__version__}"

    def failed(error: Exception) -> EmbedderError:
        return EmbedderError(
            f"{folder}/preprocessor_config.json: {library} cannot prepare pictures so: "
            f"{type(error).__name__} {first_line(error)}",
            hint="put the preprocessor_config.json there that the model was published with",
        )

    try:
        processor = AutoImageProcessor.from_pretrained(folder, **SAFE)
    except Exception as error:  # whatever it meets in a file of somebody else
        raise failed(error) from error

    def prepare(picture: Pixels) -> Floats:
        try:
            found = processor(images=to_pil_image(picture), return_tensors="np")["pixel_values"][0]
            seen: Floats = np.asarray(found, dtype=np.float32)
        except Exception as error:  # of a key that only shows in use
            raise failed(error) from error
        return seen

    return library, prepare


def _options(model: nn.Module, side: int) -> dict[str, Any]:
    """Return what a model has to be told of images of `side` px."""
    told = "interpolate_pos_encoding"
    other = side != getattr(model.config, "image_size", side)
    return {told: True} if other and told in inspect.signature(model.forward).parameters else {}


def _made(folder: Path, config: Any = None) -> nn.Module:
    """Return the model in a folder, drawn from torch's random state: float32, whatever its weights were saved as."""
    config = _config(folder) if config is None else config
    made: nn.Module = AutoModel.from_config(config, trust_remote_code=False, dtype=torch.float32)
    return made


def _config(folder: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(folder, **SAFE)
    except Exception as error:  # whatever it meets in a file of somebody else
        raise EmbedderError(
            f"{folder}/config.json: transformers {transformers.__version__} cannot read it: {first_line(error)}",
            hint="put the config.json of a model of transformers there",
        ) from error
