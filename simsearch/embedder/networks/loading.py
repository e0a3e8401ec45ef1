"""Pretrained weights into an embedder: the backbone's own, a file's, or those that simsearch saved."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from simsearch.embedder.networks.family import Spec
from simsearch.embedder.networks.weights import offered_weights, weights_preprocessing
from simsearch.embedder.networks.weights_header import FILE_HINT
from simsearch.errors import EmbedderError, MissingError, first_line
from simsearch.images.sources.torchvision_sets import patient_network

HINT = f"{FILE_HINT}, or --set embedder.weights=none"
SHOWN = 3


def load_weights(embedder: nn.Module, spec: Spec, weights: str | Path) -> None:
    """Load `weights` ("none", "default" or a file) into `embedder` (modules `backbone` and `head`) in place.

    The original model's classifier and `num_batches_tracked` may be there or not; every other tensor must match in
    name and shape. Raises EmbedderError that names the first ones that differ, or what could not be read or had.
    """
    if weights == "none":
        return
    name = spec.name
    where = f"default weights of {name}" if weights == "default" else f"weights {weights}"
    given = _download(spec) if weights == "default" else _read(Path(weights), name)
    if not any(key.startswith("backbone.") for key in given):
        given = {f"backbone.{key}": tensor for key, tensor in _fitted(embedder, spec, given, where).items()}
    expected = embedder.state_dict()
    has_head = any(key.startswith("head.") for key in given)
    optional = {key for key in (*expected, *given) if _optional(key, expected, has_head, spec)}
    differ = _differences(expected, given, optional)
    if differ:
        more = f" and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
        raise EmbedderError(f"{where} do not fit {name}: {'; '.join(differ[:SHOWN])}{more}", hint=HINT)
    broken = [key for key, tensor in given.items() if tensor.is_floating_point() and not bool(tensor.isfinite().all())]
    if broken:
        raise EmbedderError(f"{where} hold NaN or infinity in {_shown(broken[0])}", hint=HINT)
    fitting = {key: tensor for key, tensor in given.items() if key in expected and expected[key].shape == tensor.shape}
    embedder.load_state_dict(fitting, strict=False)


def _fitted(embedder: nn.Module, spec: Spec, given: Mapping[str, Tensor], where: str) -> Mapping[str, Tensor]:
    """Return the tensors of somebody else's file as the library of its model would read them."""
    if spec.fitted is None:
        return given
    try:
        return spec.fitted(given, embedder.get_submodule("backbone"))
    except MissingError:
        raise
    except Exception as error:  # whatever the library meets in the file of another model
        raise EmbedderError(f"{where} do not fit {spec.name}: {first_line(error)}", hint=HINT) from error


def _optional(key: str, expected: Mapping[str, Tensor], has_head: bool, spec: Spec) -> bool:
    if key.endswith("num_batches_tracked"):
        return True
    if key.startswith("head."):
        # Weights without a head leave the new head as initialised; a saved head is not needed without one.
        return not has_head or not any(name.startswith("head.") for name in expected)
    # convnext's LayerNorm stands inside `classifier`, and belongs to the backbone.
    return key not in expected and key.removeprefix("backbone.").startswith(spec.classifiers)


def _differences(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], optional: set[str]) -> list[str]:
    differ = []
    for key, tensor in expected.items():
        if key in optional:
            continue
        shape = tuple(tensor.shape)
        if key not in given:
            differ.append(f"{_shown(key)} expected {shape}, missing")
        elif given[key].shape != tensor.shape:
            differ.append(f"{_shown(key)} expected {shape}, seen {tuple(given[key].shape)}")
    differ += [
        f"{_shown(key)} not expected, seen {tuple(tensor.shape)}"
        for key, tensor in given.items()
        if key not in expected and key not in optional
    ]
    return differ


def _shown(key: str) -> str:
    return key.removeprefix("backbone.")


def _read(path: Path, name: str) -> dict[str, Tensor]:
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise EmbedderError(f"weights {path}: expected .safetensors, .pth or .pt, seen {path.suffix!r}", hint=HINT)
    if not path.is_file():
        raise EmbedderError(f"weights file {path} does not exist", hint=HINT)
    if path.suffix == ".safetensors":
        weights_preprocessing(path, name)  # refuses a file that names another backbone
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a damaged file says of itself: it fails below, or its tensors do
            loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's restricted reader meets in a hostile file, its own classes included
        if "Weights only load failed" in str(error):
            raise EmbedderError(
                f"cannot read weights {path}: it holds more than tensors, and what it holds could run as code",
                hint="save model.state_dict() instead of the model",
            ) from error
        raise EmbedderError(f"cannot read weights {path}: {first_line(error)}", hint=HINT) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in loaded.items()
    ):
        raise EmbedderError(f"weights {path}: expected a table of tensors (a state dict)", hint=HINT)
    return dict(loaded)


def _download(spec: Spec) -> dict[str, Tensor]:
    weights = offered_weights(spec)
    by_hand = f"put that file at {weights.place}, or " if weights.place and not weights.place.exists() else ""
    try:
        with patient_network():
            return dict(weights.load())
    except MissingError:
        raise
    except Exception as error:  # no network, a wrong hash, a damaged file: each has a class of its own
        raise EmbedderError(
            f"cannot have the default weights of {spec.name}: {weights.described}: {first_line(error)}",
            hint=f"{by_hand}{HINT}",
        ) from error
