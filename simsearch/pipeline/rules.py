"""By which rules a build reads its files: one that older rules made is left so, until a training is asked for."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from simsearch.artifacts import MANIFEST
from simsearch.errors import SimsearchError, SourceError
from simsearch.home import Home, Record
from simsearch.images.formats.decoding import FIRST, PRESENT, RULES, Decoding, told
from simsearch.images.formats.formats import EXTRA, missing
from simsearch.images.formats.otherwise import may_differ
from simsearch.images.sources.left_out import by_count, listed
from simsearch.images.sources.source import Source
from simsearch.recipe import Recipe
from simsearch.recipe.recipe import with_defaults

OF_TRAINING = ("images", "embedder", "loss", "augmentation", "training")


def older_rules(home: Home, name: str, recipe: Recipe) -> Decoding | None:
    """Return the older rules that the build `name` is of, where a recipe, not resolved, asks for no other training.

    Of a data set that is lost the first are supposed; whether that is right, its digest tells.
    """
    if not recipe.dataset.of_files or recipe.images.decoding() != PRESENT:
        return None
    if not home.has_build(name):
        return None
    build = home.build(name)
    if not asks_the_same(recipe.as_asked(), build.record, OF_TRAINING):
        return None
    rules = FIRST
    with suppress(OSError, ValueError, KeyError, TypeError, SimsearchError):
        manifest = home.store.path("dataset", build.measured["dataset"]["digest"]) / MANIFEST
        rules = told(json.loads(manifest.read_bytes())["facts"])
    return rules if rules.rules < RULES else None


def older_defaults(home: Home, name: str, recipe: Recipe) -> Recipe:
    """Return a recipe, not resolved, with the first defaults written out where the build `name` was trained by them.

    Newer ones are no reason to train again. The recipe itself where there is no such build.
    """
    if not home.has_build(name) or (first := recipe.with_first_defaults()) == recipe:
        return recipe
    record = home.build(name).record
    trained = bool(record.recipe["training"]["epochs"])
    if not asks_the_same(first.as_asked(), record, OF_TRAINING, trains=trained):
        return recipe
    if trained:
        return first
    # It was left open, and nothing could be trained: that is told anew.
    return first.model_copy(update={"training": first.training.model_copy(update={"epochs": recipe.training.epochs})})


def kept_labels(home: Home, name: str, recipe: Recipe) -> Recipe:
    """Return a recipe with the file of labels of the build `name`, where it says nothing of labels itself.

    A sync gave it that file: what it mended would be lost with the next training otherwise.
    """
    if "labels" in recipe.dataset.model_fields_set or not recipe.dataset.of_files or not home.has_build(name):
        return recipe
    with suppress(SimsearchError):  # a damaged build is built anew
        table = home.build(name).record.recipe.get("dataset", {})
        kind, _, place = str(table.get("source", "")).partition(":")
        own = recipe.dataset.source.partition(":")[2]
        same = kind == recipe.dataset.kind and os.path.realpath(place) == os.path.realpath(own)
        if same and isinstance(labels := table.get("labels"), str):
            return recipe.model_copy(update={"dataset": recipe.dataset.model_copy(update={"labels": labels})})
    return recipe


def asks_the_same(
    recipe: dict[str, Any], record: Record, tables: Iterable[str] | None = None, *, trains: bool = True
) -> bool:
    """Return whether a recipe `as_asked` is that of a record, in `tables` or in all that a digest may depend on.

    Where its images or their labels can train nothing (`trains`), or are few, epochs became others when it was built.
    """
    asked, known = json.loads(json.dumps(recipe)), with_defaults(record.recipe)
    epochs = record.recipe["training"]["epochs"]
    if not record.labelled or not trains or (epochs and asked["training"]["epochs"] is None):
        asked["training"]["epochs"] = epochs
    looked_at = (asked.keys() | known.keys()) - {"run"} if tables is None else tables
    return all(asked.get(table) == known.get(table) for table in looked_at)


def what_differs(old: Source, opened: Callable[[], Source], name: str, again: str, aside: int) -> str | None:
    """Return what would differ if the build `name` were made by the present rules, None where that is nothing.

    `old` is its source by older rules, `opened` opens it by the present ones. No picture is decoded for it. `again` is
    the command that makes it so; `aside`: how many files were set aside.
    """
    start = f"{name} was made by rules {old.decoding.rules} of reading files; by rules {RULES}"
    try:
        new = opened()
    except SourceError as error:
        return f"{start} nothing could be built: {error.message}"
    before, after = ({image.image: image for image in source.images} for source in (old, new))
    more, fewer = after.keys() - before.keys(), before.keys() - after.keys()
    both = before.keys() & after.keys()
    labels = sum(before[image].label != after[image].label for image in both)
    splits = sum(before[image].split != after[image].split for image in both)
    pictures = may_differ(old.root or "", both)
    parts = [
        f"{_files(more)} more would be read{_unless(more)}" if more else "",
        f"{_files(fewer)} fewer{_why(new)}" if fewer else "",
        f"{labels:,} with another label" if labels else "",
        f"{splits:,} on another side of the split" if splits else "",
        f"{_files(pictures)} with transparency or more than 8 bits may decode otherwise" if pictures else "",
        f"{aside:,} that {'was' if aside == 1 else 'were'} set aside {'is' if aside == 1 else 'are'} tried again"
        if aside
        else "",
    ]
    said = "; ".join(part for part in parts if part)
    if not said:
        return None
    return f"{start}, {said}: {again}"


def _why(new: Source) -> str:
    """In which folders lie the files that the present rules leave out."""
    folders = by_count(new.left_out.machine + new.left_out.aside)
    return f", as machine folders or masks ({listed(folders)})" if folders else ""


def _unless(names: Iterable[str]) -> str:
    lacking = missing(names)
    return f", {' and '.join(lacking)} with {EXTRA}" if lacking else ""


def _files(names: Iterable[str]) -> str:
    found = list(names)
    return f"{len(found):,} {'file' if len(found) == 1 else 'files'} ({_kinds(found)})"


def _kinds(names: Iterable[str]) -> str:
    return listed(by_count(Counter(map(_kind, names))))


def _kind(name: str) -> str:
    return os.path.splitext(name)[1][1:].lower() or "no suffix"
