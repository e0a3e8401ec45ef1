"""What pretrained weights say about their own input: mean, std and size. Reads headers only, no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simsearch.embedder.networks.families import find_backbone
from simsearch.embedder.networks.family import Spec, Weights
from simsearch.embedder.networks.kept import offline
from simsearch.embedder.networks.weights_header import FILE_HINT, read_metadata
from simsearch.errors import EmbedderError


def weights_preprocessing(weights: str | Path, backbone: str) -> dict[str, Any]:
    """Return how the input of `weights` was prepared: those of mean, std (lists of floats) and size (px) known.

    "none" and .pth/.pt files say nothing: {}. "default": the backbone's. A .safetensors file: its header metadata.
    Raises EmbedderError for an unreadable file, and when its metadata name another backbone than `backbone`.
    """
    found = find_backbone(backbone)
    if weights == "none":
        return {}
    if weights == "default":
        own = found.pretrained
        return {"mean": list(own.mean), "std": list(own.std), "size": found.size} if own else {}
    path = Path(weights)
    if path.suffix != ".safetensors":
        return {}
    metadata = read_metadata(path)
    named = metadata.get("backbone")
    if named is not None and named != found.shown:
        raise EmbedderError(
            f"weights {path} belong to backbone {named}, not to {found.shown}",
            hint=f"--set embedder.backbone={named}, or give weights of {backbone}",
        )
    known: dict[str, Any] = {}
    try:
        for key in ("mean", "std"):
            if key in metadata:
                known[key] = _floats(json.loads(metadata[key]), found.channels)
        if "size" in metadata:
            known["size"] = int(metadata["size"])
            if not 8 <= known["size"] <= 2048:
                raise ValueError(f"size {known['size']} is not within 8 to 2048")
        if min(known.get("std", [1.0])) <= 0:
            raise ValueError(f"std must be positive, seen {known['std']}")
    except (ValueError, TypeError, RecursionError) as error:
        raise EmbedderError(f"weights {path}: metadata about preprocessing are damaged: {error}") from error
    return known


def offered_weights(spec: Spec, say: Callable[[str], None] = lambda line: None) -> Weights:
    """Return the default weights of a backbone, their file fetched where loading them does not do so itself.

    What will be downloaded is said first. Raises EmbedderError where it has none, where nothing may be downloaded, and
    where it fails.
    """
    if spec.pretrained is None:
        raise EmbedderError(f"{spec.name} has no default weights", hint="--set embedder.weights=none")
    weights = spec.pretrained.weights()
    if not weights.here:
        if offline():
            at = f"put that file at {weights.place}, or " if weights.place else ""
            raise EmbedderError(
                f"the weights of {spec.name} are not here, and nothing may be downloaded (--offline, HF_HUB_OFFLINE): "
                f"{weights.described}",
                hint=f"{at}{FILE_HINT}",
            )
        say(f"Downloading weights: {weights.described}")
        if weights.fetch:
            weights.fetch()
    return weights


def _floats(values: Any, channels: int) -> list[float]:
    if not isinstance(values, list) or len(values) != channels:
        raise ValueError(f"expected {channels} values, found {values!r}")
    numbers = [float(value) for value in values]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"expected finite numbers, found {values!r}")
    return numbers
