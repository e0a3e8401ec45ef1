"""The embedder bundle of a train artifact: its preprocessing decided, its files written."""

from __future__ import annotations

import json
from typing import Any

from simsearch.artifacts import Workspace
from simsearch.console import say
from simsearch.embedder.bundle.export import export_onnx
from simsearch.embedder.networks.backbones import Embedder
from simsearch.embedder.networks.catalog import find_backbone
from simsearch.embedder.networks.saving import save_weights
from simsearch.images.loading import pixel_batches
from simsearch.images.preprocess import Preprocess, data_mean_std
from simsearch.stages.common import THREADS, Data


def preprocess_of(settings: dict[str, Any], data: Data) -> Preprocess:
    """The preprocessing of the settings; mean and std that nobody gave are measured on the fit images."""
    images = settings["images"]
    channels = find_backbone(settings["embedder"]["backbone"]).channels
    unit = [1.0] * channels
    mean, std = images["mean"], images["std"]
    if mean is None or std is None:
        plain = Preprocess(images["size"], channels, images["resize"], tuple(unit), tuple(unit))
        looked_at = (r for r in data.records() if r.fit or not data.facts["fit"])
        batches = pixel_batches(data.reader, looked_at, plain, batch=256, threads=THREADS)
        measured_mean, measured_std = data_mean_std(pixels for _, pixels in batches)
        mean, std = mean or measured_mean, std or measured_std
    return Preprocess(images["size"], channels, images["resize"], tuple(mean), tuple(std))


def announce_download(backbone: str, weights: str) -> None:
    """Say which default weights are about to be downloaded, if any."""
    own = find_backbone(backbone).pretrained
    if weights == "default" and own and not (offered := own.weights()).here:
        say(f"Downloading weights: {offered.described}")


def write_bundle(
    space: Workspace, model: Embedder, preprocess: Preprocess, classes: list[str], alpha: float | None
) -> None:
    """Write weights.safetensors, embedder.onnx and embedder.json."""
    save_weights(model, space.out / "weights.safetensors", mean=preprocess.mean, std=preprocess.std)
    export_onnx(model, space.out / "embedder.onnx", size=preprocess.size, channels=preprocess.channels)
    bundle = {
        "schema": 1,
        "backbone": model.name,
        "dim": model.dim,
        "alpha": alpha,
        "preprocessing": preprocess.to_json(),
        "classes": classes,
    }
    (space.out / "embedder.json").write_text(json.dumps(bundle, indent=1))
