"""What to do after a build: what training the backbone too would cost on this machine, and the command for it."""

from __future__ import annotations

from .artifacts import Artifact
from .recipe import Recipe
from .recipe.recipe import FINE_TUNING

# A training step on an image against embedding it: twice the work again for gradients, in torch instead of the bundle's
# runtime, and validation. MobileNetV2 on 2 cores, see benchmarks/head.py.
STEP_OVER_EMBEDDING = 6.0
MINUTE = 60.0


def fine_tuning(recipe: Recipe, command: str, name: str, stages: dict[str, Artifact]) -> str | None:
    """One line for a build of a head on frozen features; None for every other build.

    The time is reckoned from how long embedding took here.
    """
    embedded = stages.get("frozen/embed")
    if embedded is None or recipe.embedder.train != "head" or recipe.embedder.weights == "none":
        return None
    an_image = float(embedded.manifest["seconds"]) / int(embedded.facts["rows"])
    systems = 2 if recipe.evaluation.baseline else 1
    seconds = systems * FINE_TUNING["epochs"] * int(stages["dataset"].facts["fit"]) * an_image * STEP_OVER_EMBEDDING
    return (
        f"Training the backbone too would take about {_spoken(seconds)} here:\n"
        f"  {command} --set embedder.train=all --name {name}-finetuned"
    )


def _spoken(seconds: float) -> str:
    if seconds < 1.5 * MINUTE:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 90 * MINUTE:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / 60 / MINUTE:.0f} h"
