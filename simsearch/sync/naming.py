"""The last step of a sync: the build's file is replaced, and stands for the new artifacts from then on."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from simsearch.artifacts import Artifact
from simsearch.changes.compare import KINDS
from simsearch.home import SYNCED, Build, Home
from simsearch.images.sources.source import FileSource
from simsearch.pipeline.plan import now
from simsearch.sync.defects import as_built


def name_synced(
    home: Home,
    build: Build,
    source: FileSource,
    made: dict[str, Artifact],
    images: int,
    lists: dict[str, Any],
    labels: str | None = None,
) -> Build:
    """Let the build stand for the new artifacts; what they replace is let go. `labels`: its file of them from now."""
    record = build.record
    before = record.synced or {}
    table = {**record.recipe["dataset"]}
    if source.identity != record.source:
        table["source"] = f"{table['source'].partition(':')[0]}:{Path(source.spec.partition(':')[2])}"
    if labels is not None:
        table["labels"] = labels
    stages = {**record.stages, **{stage: artifact.reference for stage, artifact in made.items()}}
    whole = replace(
        record,
        recipe={**record.recipe, "dataset": table},
        source=source.identity,
        root=source.root,
        images=images,
        stages=stages,
        built=record.built or as_built(record),
        synced={"when": now(), **{kind: int(before.get(kind, 0)) + len(lists[kind]) for kind in KINDS}},
    )
    replaced = home.write_build(build.name, whole)
    for stage in SYNCED:
        if stages[stage] != record.stages[stage]:
            with suppress(OSError):  # its day of grace begins, which its folder's date tells
                os.utime(home.store.path(stage, record.stages[stage]["digest"]))
    return replaced
