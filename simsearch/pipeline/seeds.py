"""One recipe trained with several seeds: which builds that takes, and the artifact that says what they show together.

The first seed is the recipe's own and makes the listed build; the others make builds NAME.seed-K, which are unlisted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.errors import RecipeError
from simsearch.home import SEED, SEEDS_FILE, checked_name
from simsearch.pipeline.plan import Plan
from simsearch.recipe import Recipe

LARGEST_SEED = 2**31 - 2


@dataclass(frozen=True)
class Run:
    """One of the builds of a command: `heading` is said before its first stage."""

    name: str
    recipe: Recipe
    listed: bool = True
    heading: str | None = None


def runs(recipe: Recipe, name: str, count: int) -> list[Run]:
    """The builds of `count` seeds, that of the recipe's own seed first; one build when count is 1.

    Raises RecipeError when the seeds or the names would not be legal.
    """
    checked_name(name)
    if count == 1:
        return [Run(name, recipe)]
    first = recipe.training.seed
    if first + count - 1 > LARGEST_SEED:
        raise RecipeError(
            f"--seeds {count}: the last seed would be {first + count - 1}, above {LARGEST_SEED}",
            hint="--set training.seed=0 starts with a lower one",
        )
    refuse_idle_seeds(recipe.resolve())
    found = []
    for number, seed in enumerate(range(first, first + count), 1):
        training = recipe.training.model_copy(update={"seed": seed})
        build = name if number == 1 else checked_name(f"{name}{SEED}{seed}")
        heading = f"Seed {seed} ({number} of {count}): build {build}"
        found.append(Run(build, recipe.model_copy(update={"training": training}), number == 1, heading))
    return found


def refuse_idle_seeds(resolved: Recipe) -> None:
    """Raise RecipeError for several seeds of a recipe that trains nothing."""
    if not resolved.training.epochs:
        raise RecipeError(
            "--seeds: nothing is trained with [training] epochs = 0 (or without labels), so seeds have no effect",
            hint="leave --seeds out, or --set training.epochs=5",
        )


def compare_seeds(plan: Plan, seeds: Sequence[int], evaluated: Sequence[Artifact]) -> Artifact:
    """The artifact over `seeds`, made from the evaluate artifact of each; it becomes a stage of the listed build."""

    def work(space: Workspace, progress: Progress) -> tuple[dict[str, Any], str]:
        from simsearch.report.over_seeds import over_seeds

        reports = [json.loads(artifact.file("report.json").read_bytes()) for artifact in evaluated]
        found = over_seeds(reports, seeds)
        (space.out / SEEDS_FILE).write_text(json.dumps(found, indent=1, allow_nan=False))
        return {"count": len(seeds)}, f"{len(seeds)} seeds, each a build"

    inputs = {f"seed {seed}": artifact.reference for seed, artifact in zip(seeds, evaluated, strict=True)}
    return plan.ensure("seeds", "Over seeds", {"seeds": list(seeds)}, inputs, work)
