"""What to do after a build: what training the backbone too would cost on this machine, and the command for it."""

from __future__ import annotations

from simsearch.artifacts import Artifact
from simsearch.recipe import Recipe
from simsearch.recipe.files import NamedRecipe, build_name, find_recipe

# A training step on an image against embedding it: its gradients are twice the work again, and torch's kernels are
# slower than the bundle's runtime. Measured with MobileNetV2 at 160 and 224 px on 2 cores: 7 and 8.
STEP_OVER_EMBEDDING = 8.0
NAME_LEFT = 54  # of the 64 characters of a build's name
MINUTE = 60.0


def fine_tuning(named: NamedRecipe, recipe: Recipe, name: str, stages: dict[str, Artifact]) -> str | None:
    """Two lines for a build of a head on frozen features, time and command; None for every other build.

    The time is reckoned from how long embedding took here. What was set for the head's training is left out.
    """
    embedded = stages.get("frozen/embed")
    if embedded is None or recipe.embedder.train != "head" or recipe.embedder.weights == "none":
        return None
    kept = [s for s in named.settings if not s.startswith("training.") or s.startswith("training.seed")]
    fine = find_recipe(named.argument, [*kept, "embedder.train=all"])
    epochs = fine.recipe.resolve().training.epochs or 0
    an_image = float(embedded.manifest["seconds"]) / int(embedded.facts["rows"])
    systems = 2 if recipe.evaluation.baseline else 1
    seconds = systems * epochs * int(stages["dataset"].facts["fit"]) * an_image * STEP_OVER_EMBEDDING
    return (
        f"Training the backbone too would take about {spoken(max(seconds, 1.0))} here:\n"
        f"  {fine.command()} --name {build_name(name[:NAME_LEFT])}-finetuned"
    )


def spoken(seconds: float) -> str:
    """A time as people say it: in seconds up to a minute and a half, then minutes, then hours."""
    if seconds < 1.5 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 90 * MINUTE else f"{seconds / 60 / MINUTE:.1f} h"
