"""What `simsearch build` does about a synced build: it is not thrown away for a training that nobody asked for."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, NamedTuple

from simsearch.artifacts import Artifact
from simsearch.changes.look import changes_of, open_now
from simsearch.changes.state import State
from simsearch.console import safe
from simsearch.embedder.bundle.trained import backbone_of
from simsearch.errors import ArtifactError, RecipeError, SourceError
from simsearch.home import Build, Home
from simsearch.home.again import retrain_by
from simsearch.images import quarantine
from simsearch.images.formats.decoding import PRESENT, RULES
from simsearch.pipeline.estimate import seconds_of_sync
from simsearch.pipeline.rules import asks_the_same, what_differs
from simsearch.pipeline.systems import NOT_HERE
from simsearch.report.published import page_fault, publish_report
from simsearch.report.reading import report_of
from simsearch.stages.starting import Starting


class Standing(NamedTuple):
    """A build that is left as it is, why, and what else is to be said."""

    build: Build
    why: str
    notes: list[str]


def left_standing(
    home: Home, name: str, recipe: dict[str, Any], command: str, seeds: int, weights: Starting | None = None
) -> Standing | None:
    """Return the build `name` when it was synced and the (resolved) recipe asks for the same, with what could be done.

    `command` is the one that asked for it, `weights` what it would start from. None when there is no such build,
    or another recipe is asked for: then it is built as any other. Raises RecipeError for several seeds, ArtifactError
    when the build is damaged.
    """
    if not home.has_build(name):
        return None
    build = home.build(name)
    if not build.record.synced or not asks_the_same(recipe, build.record, trains=_trains(home, build)):
        return None
    again = f"{safe(command)} --retrain"
    if seeds > 1:
        raise RecipeError(
            f"build {name} was synced after it was trained; several seeds are trained on all that is there now",
            hint=f"{again} --seeds {seeds}",
        )
    started = time.perf_counter()
    try:
        stages = build.record.stages
        dataset, trained, *_ = (
            home.store.open(stage, **stages[stage]) for stage in ("dataset", "train", "embed", "index")
        )
        made_of = backbone_of(trained) or trained
        changes = changes_of(source := open_now(build, home, None), State.of(dataset), home, build)
        if changes.count:
            images = "1 image" if changes.count == 1 else f"{changes.count:,} images"
            why = (
                f"{images} changed since {name} was synced: simsearch sync --build {name} "
                f"(about {seconds_of_sync(build, home, changes)} s), or {again} to train on everything"
            )
        else:
            why = (
                f"{name} is up to date, synced {build.record.synced['when'][:10]} ({len(source.images):,} images "
                f"checked in {time.perf_counter() - started:.1f} s); {again} trains on everything"
            )
        report = report_of(build)
        publish_report(build, report)
        if page_fault(build, report):
            from simsearch.report.publish import publish_again

            publish_again(build, home.store, again)
    except ArtifactError as error:
        raise ArtifactError(error.message, hint=f"{again} makes all of it anew") from None
    except SourceError as error:
        retrain_by(error, again)
        raise
    notes = source.words()
    if weights is not None and _changed(made_of, weights.digest):
        notes.append(f"{safe(weights.shown)} changed since {name} was built: {again} trains anew by what is there now")
    if changes.set_aside:
        notes.append(quarantine.told(changes.set_aside))
    if source.decoding.rules < RULES:
        told = what_differs(
            source,
            lambda: open_now(build, home, None, PRESENT),
            name,
            f"{again} trains anew by these",
            dataset.facts["bad"],
        )
        notes += [told] if told else []
    return Standing(build, why, notes)


def _changed(made_of: Artifact, weights: str) -> bool:
    """Whether the weights that are there now are others than those that an artifact was made of."""
    before = made_of.manifest.get("settings", {}).get("embedder", {}).get("weights")
    return before is not None and weights not in (before, NOT_HERE)


def _trains(home: Home, build: Build) -> bool:
    """Whether the images that a build was made of can train anything."""
    with suppress(ArtifactError):
        return "untrained" not in home.store.open("dataset", **build.measured["dataset"]).facts
    return True
