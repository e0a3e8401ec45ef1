"""The backbone stage: the network below a head, as it comes, in ONNX. Many trainings share one."""

from __future__ import annotations

from dataclasses import replace

from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.recipe import Recipe
from simsearch.stages.common import Data
from simsearch.stages.starting import Starting
from simsearch.stages.step import Result, Step
from simsearch.stages.train import decoded

VERSION = 1
BEFORE = 2  # the version of train artifacts that held a backbone
OF_BACKBONE = ("backbone", "output", "pooling")  # the others are of what is trained on it


def backbone(data: Data, recipe: Recipe, weights: Starting) -> Step:
    """Return the step that writes the backbone of a resolved recipe from `weights`."""
    images, embedder = recipe.images, recipe.embedder
    own = embedder.settings()
    seed = recipe.training.seed if embedder.weights == "none" else 0
    settings = {
        "images": {**images.settings(), **decoded(data)},
        "embedder": {**{key: own[key] for key in own if key in OF_BACKBONE}, "weights": weights.digest},
        "seed": seed,
    }
    # Nothing depends on the data, unless mean and std must be measured on them.
    measured = images.mean is None or images.std is None
    inputs = {"dataset": data.view("measured")} if measured else {}

    def work(space: Workspace, progress: Progress) -> Result:
        progress.tell("loading torch")
        from simsearch.stages.network import write_backbone

        with weights.held():
            return write_backbone(data, recipe, weights.digest, seed, space, progress)

    return Step("backbone", "Backbone", VERSION, settings, inputs, work)


def backbone_before(data: Data, recipe: Recipe, weights: Starting) -> Step:
    """Return the step by which a backbone was made that was no artifact of its own: to be found, and never run."""
    now = backbone(data, recipe, weights)
    return replace(now, kind="train", version=BEFORE)


def as_it_is(below: Artifact) -> Step:
    """Return the step of a train artifact without a training: its features are the backbone's own."""

    def work(space: Workspace, progress: Progress) -> Result:
        from simsearch.stages.network import leave_as_it_is

        return leave_as_it_is(below, space)

    return Step("train", "Backbone", VERSION, {"head": None}, {"backbone": below.reference}, work, quick=True)
