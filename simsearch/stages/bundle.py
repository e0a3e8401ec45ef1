"""The embedder bundle of a train artifact: its preprocessing decided, its files written."""

from __future__ import annotations

import json

from simsearch.artifacts import Workspace
from simsearch.embedder.bundle.export import export_onnx
from simsearch.embedder.networks.backbones import Embedder
from simsearch.embedder.networks.catalog import find_backbone
from simsearch.embedder.networks.saving import save_weights
from simsearch.images.loading import pixel_batches
from simsearch.images.preprocess import Preprocess, Resize, data_mean_std
from simsearch.recipe import filled
from simsearch.recipe.tables import Images
from simsearch.stages.common import THREADS, Data


def preprocess_of(images: Images, backbone: str, data: Data) -> Preprocess:
    """Return the preprocessing of a resolved [images]; a mean and std that are not given are measured on fit images."""
    channels, size = find_backbone(backbone).channels, filled(images.size)
    resize: Resize = filled(images.resize)
    unit = (1.0,) * channels
    mean, std = (None if given is None else tuple(given) for given in (images.mean, images.std))
    if mean is None or std is None:
        plain = Preprocess(size, channels, resize, unit, unit)
        looked_at = (r for r in data.records() if r.fit or not data.facts["fit"])
        batches = pixel_batches(data.reader, looked_at, plain, batch=256, threads=THREADS)
        measured_mean, measured_std = data_mean_std(pixels for _, pixels in batches)
        mean, std = mean or measured_mean, std or measured_std
    return Preprocess(size, channels, resize, mean, std)


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
