"""What `simsearch defects fit` builds: a folder of normal images, or the recipe of a build, with a table [defects]."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from simsearch.console import Progress, safe, some
from simsearch.errors import RecipeError
from simsearch.hashing import HashMemory
from simsearch.home import Build, Home
from simsearch.home.again import home_words
from simsearch.images.sources.source import Source
from simsearch.names import build_name
from simsearch.pipeline.graph import open_dataset
from simsearch.pipeline.run import Outcome, run_build
from simsearch.recipe.files import NamedRecipe, find_recipe, with_settings
from simsearch.recipe.recipe import make_recipe, with_defaults
from simsearch.recipe.takes import toml

ENDING = "-defects"  # of the name of a build that is not told its name
MOST = 64 - len(ENDING)
LEAST = "defects.false_alarms=0.01"  # a recipe that asks for defects has a table [defects]
WITHOUT_LABELS = "dataset.labels=false"


def fit_defects(
    home: Home,
    folder: str | None = None,
    build: str | None = None,
    *,
    wanted: dict[str, Any] | None = None,
    name: str | None = None,
    settings: Sequence[str] = (),
    retrain: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Build what scores defects: of a folder (or list, or recipe) of images, or of the recipe of a build.

    `wanted`: keys of [defects] with their values; None is left out. Without a label of normal images every image of a
    folder is normal, but for the layout of MVTec (train/good, test/KIND), whose normal label it tells itself.
    `retrain`: anew on what is there now, where one or the other was synced. Raises what a build raises, RecipeError for
    labels of which none is named, and for a recipe whose build was synced, without `retrain`.
    """
    asked = [f"defects.{key}={toml(value)}" for key, value in (wanted or {}).items() if value is not None]
    asked = [*settings, *asked]
    if (folder is None) == (build is None):
        raise RecipeError(
            "normal images come from a folder or from a build: expected one of the two, seen "
            + ("both" if folder else "neither"),
            hint="leave one of them out" if folder else "give a folder of normal images, or the name of a build",
        )
    if build is not None:
        named = _of_build(home.build(build).whole(), asked, name, retrain=retrain)
    else:
        named = _of_folder(str(folder), asked, home)
    made = name or f"{build_name(named.name[:MOST])}{ENDING}"
    return run_build(named, home, name=made, retrain=retrain, progress=progress)


def _of_folder(folder: str, asked: list[str], home: Home) -> NamedRecipe:
    named = find_recipe(folder, asked)
    if not named.recipe.finds_defects:
        asked = [*asked, LEAST]
        named = find_recipe(folder, asked)
    if named.recipe.defects.normal is not None or not named.recipe.dataset.labels:
        return named
    labels = _labels(open_dataset(named.recipe.dataset, home, offline=True, memory=HashMemory(None)))
    if len(labels) == 1 and (good := next(iter(labels))):
        return find_recipe(folder, [*asked, f"defects.normal={toml(good)}"])
    if len(labels) > 1:
        raise RecipeError(
            f"{folder} has images of {len(labels):,} labels ({safe(some(sorted(labels)))}): which one is normal?",
            hint=f"--normal LABEL names it; with --set {WITHOUT_LABELS} every image is normal",
        )
    return named


def _labels(source: Source) -> set[str]:
    """Return the labels of the images; of train alone, where that has one and others are in test."""
    every = {image.label for image in source.images if source.labelled}
    train = {image.label for image in source.images if source.labelled and image.split == "train"}
    return train if len(train) == 1 else every


def _of_build(build: Build, asked: list[str], name: str | None, *, retrain: bool) -> NamedRecipe:
    if build.of_vectors:
        raise RecipeError(
            f"build {build.name} was made from vectors: it has no embedder for images",
            hint="--build names a build of images, or give a folder of normal ones",
        )
    if "defects" not in with_settings(build.record.recipe, asked):
        asked = [*asked, LEAST]
    words = shlex.join(
        ["simsearch", "defects", "fit", "--build", build.name, *(word for one in asked for word in ("--set", one))]
    )
    if build.record.synced and not retrain:
        called = f" --name {name}" if name else ""
        raise RecipeError(
            f"build {build.name} was synced after it was built: what it was built of is no longer there",
            hint=f"{words}{called} --retrain{home_words(build.home)} trains by its recipe on what is there now",
        )
    recipe = make_recipe(with_settings(with_defaults(build.record.recipe), asked), f"build {build.name}")
    return NamedRecipe(build.name, recipe, build.name, tuple(asked), words=words)
