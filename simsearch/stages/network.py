"""The network of a recipe: with its starting weights, its preprocessing, and as what artifacts hold. Loads torch."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress, safe
from simsearch.embedder.bundle.export import export_onnx, write_brought
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.embedder.bundle.trained import BACKBONE, BUNDLE
from simsearch.embedder.networks.embedder import Embedder, build_embedder
from simsearch.embedder.networks.family import Spec
from simsearch.embedder.networks.saving import save_weights
from simsearch.embedder.networks.weights import offered_weights
from simsearch.images.loading import pixel_batches
from simsearch.images.preprocess import Preprocess, Resize, data_mean_std
from simsearch.recipe import Recipe, filled
from simsearch.recipe.tables import Images
from simsearch.stages.common import THREADS, Data
from simsearch.stages.proof import Network, prove_features, prove_pixels
from simsearch.stages.step import Result

CLASSES = {1000, 1001, 21841, 21843}  # of ImageNet's classifiers
SCORES = "class scores are a poor feature; --set embedder.output=NAME names the tensor before the last layer"


def write_backbone(data: Data, recipe: Recipe, weights: str, seed: int, space: Workspace, progress: Progress) -> Result:
    """Write the backbone without a head: backbone.onnx, its weights, and backbone.json; `weights` is their digest."""
    spec, out = recipe.embedder.spec, space.out / BACKBONE
    module: Network
    preprocess = made_for(recipe.images, spec, data)
    looked = prove_pixels(data, recipe, preprocess, progress)
    if spec.brought is None:
        model = built_network(recipe, None, seed, preprocess, progress)
        save_weights(model, space.out / "weights.safetensors", mean=preprocess.mean, std=preprocess.std)
        progress.tell("writing the network as ONNX")
        export_onnx(model, out)
        dim, module = model.dim, model.below_head
    else:
        dim = write_brought(partial(spec.brought.write, preprocess.size), out, spec.shown)
        module = spec.brought.features
        if dim in CLASSES and recipe.embedder.output is None:
            progress.say(f"warning: {safe(spec.shown)} gives {dim} values, as a classifier of ImageNet: {SCORES}")
    # One thread, as those of ONNX Runtime go on spinning where torch is to compute next.
    proof = prove_features(looked, spec, Runtime(out, threads=1).features, module, progress)
    described = {"backbone": spec.shown, "dim": dim, "weights": weights, "preprocessing": preprocess.to_json()}
    (space.out / "backbone.json").write_text(json.dumps({"schema": 1, **described}, indent=1))
    against = f", proved against {proof['library']}" if "library" in proof else ""
    return {"dim": dim, "proof": proof}, f"{safe(spec.shown)}, {dim}-d{against}"


def leave_as_it_is(below: Artifact, space: Workspace) -> Result:
    """Write what a train artifact says of a backbone whose own features are used."""
    described = json.loads(below.file("backbone.json").read_bytes())
    describe(space, described["backbone"], described["dim"], described["preprocessing"], [], None)
    return {"dim": described["dim"]}, ""


def built_network(recipe: Recipe, dim: int | None, seed: int, preprocess: Preprocess, progress: Progress) -> Embedder:
    """Return the network of a recipe with its starting weights, which may have to be downloaded first."""
    spec, weights = recipe.embedder.spec, filled(recipe.embedder.weights)
    if weights == "default" and spec.pretrained:
        offered_weights(spec, progress.say)
    return build_embedder(spec, dim, weights=weights, seed=seed, size=preprocess.size)


def made_for(images: Images, backbone: Spec, data: Data) -> Preprocess:
    """Return the preprocessing of a resolved [images]; a mean and std that are not given are measured on fit images."""
    channels, size = backbone.channels, filled(images.size)
    resize: Resize = filled(images.resize)
    unit = (1.0,) * channels
    mean, std = (None if given is None else tuple(given) for given in (images.mean, images.std))
    if mean is None or std is None:
        plain = Preprocess(size, channels, resize, unit, unit, data.reader.decoding, **images.later())
        looked_at = (r for r in data.records() if r.fit or not data.facts["fit"])
        batches = pixel_batches(data.reader, looked_at, plain, batch=256, threads=THREADS)
        measured_mean, measured_std = data_mean_std(pixels for _, pixels in batches)
        mean, std = mean or measured_mean, std or measured_std
    return Preprocess(size, channels, resize, mean, std, data.reader.decoding, **images.later())


def describe(
    space: Workspace, backbone: str, dim: int, preprocessing: dict[str, Any], classes: list[str], alpha: float | None
) -> None:
    """Write embedder.json."""
    bundle = {
        "schema": 1,
        "backbone": backbone,
        "dim": dim,
        "alpha": alpha,
        "preprocessing": preprocessing,
        "classes": classes,
    }
    (space.out / BUNDLE).write_text(json.dumps(bundle, indent=1))
