"""One recipe trained with several seeds: which builds that takes, and the artifact that says what they show together.

The first seed is the recipe's own and makes the listed build; the others make builds NAME.seed-K, which are unlisted.
"""

from __future__ import annotations

from dataclasses import dataclass

from simsearch.errors import RecipeError
from simsearch.home import SEED, checked_name
from simsearch.recipe import Recipe

LARGEST_SEED = 2**31 - 2


@dataclass(frozen=True)
class Run:
    """One of the builds of a command: `heading` is said before its first stage."""

    name: str
    recipe: Recipe
    listed: bool = True
    heading: str | None = None
    apart: int = 1  # the seed of its reference less its own


def runs(recipe: Recipe, name: str, count: int, apart: int | None = None) -> list[Run]:
    """The builds of `count` seeds, that of the recipe's own seed first; one build when count is 1.

    The reference of each has its seed plus `apart`, `count` where that is not told: with less, the reference of one
    would be the scored baseline of the next, and what is said of the seeds would not be independent. Raises
    RecipeError when the seeds or the names would not be legal.
    """
    checked_name(name)
    if count == 1:
        return [Run(name, recipe, apart=apart or 1)]
    first, apart = recipe.training.seed, apart or count
    last = first + count - 1 + apart
    if last - 1 > LARGEST_SEED:
        raise RecipeError(
            f"--seeds {count}: the last seed would be {last}, of a reference, above {LARGEST_SEED + 1}",
            hint="--set training.seed=0 starts with a lower one",
        )
    refuse_idle_seeds(recipe.resolve())
    found = []
    for number, seed in enumerate(range(first, first + count), 1):
        training = recipe.training.model_copy(update={"seed": seed})
        build = name if number == 1 else checked_name(f"{name}{SEED}{seed}")
        heading = f"Seed {seed} ({number} of {count}): build {build}"
        found.append(Run(build, recipe.model_copy(update={"training": training}), number == 1, heading, apart))
    return found


def refuse_idle_seeds(resolved: Recipe) -> None:
    """Raise RecipeError for several seeds of a recipe that trains nothing."""
    if not resolved.training.epochs:
        raise RecipeError(
            "--seeds: nothing is trained with [training] epochs = 0 (or without labels, or two images of one): seeds "
            "have no effect",
            hint="leave --seeds out, or --set training.epochs=5",
        )
