"""A synced build mended: what it was before, and the index that a sync left, made anew from the features."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from simsearch.artifacts import Artifact
from simsearch.errors import ArtifactError
from simsearch.home import Build, Home
from simsearch.pipeline.plan import Plan


def before_sync(build: Build) -> Build:
    """The build as it was made, before any sync: its report is about that."""
    record = replace(build.record, stages=build.measured, built=None, synced=None)
    with suppress(ArtifactError):  # a damaged index is looked at by whoever asks
        record = replace(record, images=int(_opened(build, build.measured["index"]).facts["ntotal"]))
    return Build(build.name, build.home, record)


def remake_synced_index(plan: Plan, build: Build, sound: dict[str, Artifact], built: dict[str, str]) -> Artifact:
    """The index over dataset and features of a synced build, rows that are gone masked; `built` is that before syncs.

    Raises ArtifactError when nothing tells the factory any more: it was chosen by measuring, and every index is lost.
    """
    from simsearch.stages.sync import mended_index

    dataset, embedded, table = sound["dataset"], sound["embed"], build.record.recipe["index"]
    facts: dict[str, Any] = {"metric": "inner product", "gallery": int(dataset.facts["gallery"])}
    if "index" in sound:
        facts |= sound["index"].facts
    elif (before := _found(build, built)) is not None:
        facts |= before.facts
    elif table.get("target_recall") is None:
        facts["factory"] = table["factory"]
    else:
        raise ArtifactError(
            f"the index of build {build.name} was chosen by measuring, and nothing that is left tells its factory",
            hint="run the same simsearch build again, with --retrain",
        )
    facts |= {"dim": int(embedded.facts["dim"]), "corpus": table["corpus"]}
    step = mended_index(facts, dataset, embedded)
    plan.home.set_aside("index", step.digest)
    return plan.make(step)


def _found(build: Build, which: dict[str, str]) -> Artifact | None:
    with suppress(ArtifactError):
        return _opened(build, which)
    return None


def _opened(build: Build, which: dict[str, str]) -> Artifact:
    with Home(build.home).reading() as store:
        return store.open("index", **which)
