"""The train stage: images to an embedder bundle (weights, ONNX, JSON). What it takes to train is in training.py."""

from __future__ import annotations

from typing import Any

from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.recipe import Recipe
from simsearch.stages.common import Data, Frozen
from simsearch.stages.starting import Starting
from simsearch.stages.step import References, Result, Step

VERSION = 2
VERSION_OF_HEADS = 3  # drawn from the seed alone; before, after the network below them was drawn


def train(
    data: Data,
    recipe: Recipe,
    weights: Starting,
    *,
    frozen: Frozen | None,
    start: Artifact | None,
    title: str,
    proved: bool = False,
    version_of_heads: int = VERSION_OF_HEADS,
) -> Step:
    """Return the step that trains the embedder of a resolved recipe from `weights`.

    With `frozen`, only a linear head on that backbone's cached features. `start`: a trained head to begin from.
    `proved`: that its weights are used as by their own library was shown by another system of the build.
    `version_of_heads`: an older one is looked for, and never made.
    """
    settings = {
        "images": {**recipe.images.settings(), **decoded(data)},
        **recipe.model_dump(include={"loss", "augmentation"}),
        "training": recipe.training.settings(),
        "embedder": {**recipe.embedder.settings(), "weights": weights.digest},
    }
    inputs: References = {"dataset": data.view("train")}
    if frozen:
        inputs["features"] = frozen.embedded.reference
        if frozen.backbone:
            inputs["backbone"] = frozen.backbone.reference
    if start:
        inputs["start"] = start.reference

    def work(space: Workspace, progress: Progress) -> Result:
        if recipe.training.ranks > 1:
            from simsearch.stages.ranks import train_by_ranks

            return train_by_ranks(data, recipe, weights, start, proved, space, progress)
        progress.tell("loading torch")
        from simsearch.stages.training import train_embedder

        progress.tell("reading the images")

        return train_embedder(data, recipe, weights, frozen, start, proved, space, progress)

    return Step("train", title, version_of_heads if frozen else VERSION, settings, inputs, work)


def decoded(data: Data) -> dict[str, Any]:
    """Return how pictures are decoded, where that enters addresses: it stands in the bundle, and decides its pixels."""
    return {"decoding": data.facts["decoding"]} if "decoding" in data.facts else {}
