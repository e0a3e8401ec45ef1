"""A build for other machines: one file with what a search of it reads, and nothing that only training reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simsearch.artifacts import LEFT_OUT, MANIFEST, Artifact, Store, canonical_json
from simsearch.changes.state import DELETED, MASKED, rows_of
from simsearch.console import Progress
from simsearch.errors import RecipeError
from simsearch.evaluation.details.placed import PLACES, Places, places_of
from simsearch.exchange.vectors_in import import_command
from simsearch.exchange.vectors_out import free_path, whole
from simsearch.home import SYNCED, Build, Home, References
from simsearch.images.records import read_records
from simsearch.names import PACK
from simsearch.packs import write_pack
from simsearch.report.publish import drawn_page, measured_stages
from simsearch.report.reading import report_of

if TYPE_CHECKING:
    from simsearch.packs.writing import Source

# Of the stages of a build, those that answers, figures and the report are read from.
STAGES = ("dataset", "backbone", "train", "embed", "index", "evaluate", "verdict", "defects", "neighbours", "seeds")
# Of their files, those that only training, a sync or a check against the features reads.
OTHERS = frozenset({"weights.safetensors", "features.h5", "gallery.faiss", "metrics.jsonl", "training.svg"})
OF_BEFORE = OTHERS | {"index.faiss", "canaries.npz"}  # of what a synced build began with


def export_pack(build: Build, out: str, *, raw: bool = False, progress: Progress | None = None) -> Path:
    """Write a build as a pack to the new file `out`, whole or not at all; returns its path.

    The same build gives the same bytes. Its pictures come as thumbnails. Raises RecipeError where `out` exists or
    cannot be, ArtifactError for a build that is damaged or provisional.
    """
    if raw:
        raise RecipeError("--raw goes with --format npy: a pack has no vectors for other tools", hint="leave it out")
    build.whole()
    path = free_path(out)
    if path.suffix != PACK:
        raise RecipeError(
            f"--out: expected a file that ends in {PACK}, seen {path.name}", hint=f"--out {path.name}{PACK}"
        )
    with (progress or Progress()).stage("Packed") as line, Home(build.home).reading(days=None) as store:
        sources = _sources(build, store)
        with whole(path) as hidden:
            contents = write_pack(hidden, build.name, sources, lambda done, size: line(done, size, "bytes"))
        line.detail = f"{len(contents.members):,} files, {contents.size:,} bytes"
    return path


def _sources(build: Build, store: Store) -> dict[str, tuple[Source, str | None]]:
    """Return what goes into the pack, by its path there: each file, or its bytes, and its sha256 where it is known."""
    stages = {name: which for name, which in build.record.stages.items() if name in STAGES}
    opened = {name: store.open(name, **which) for name, which in stages.items()}
    found: dict[str, tuple[Source, str | None]] = {}
    left_out: dict[str, list[str]] = {}
    for artifact, others in (*((one, OTHERS) for one in opened.values()), *_before(build, store, stages)):
        place = f"{artifact.path.parent.name}/{artifact.digest}"
        if f"artifacts/{place}/{MANIFEST}" in found:
            continue
        found[f"artifacts/{place}/{MANIFEST}"] = (artifact.path / MANIFEST, None)
        files = artifact.manifest["files"]
        left_out[place] = sorted(others & files.keys())
        for name in files.keys() - others:
            found[f"artifacts/{place}/{name}"] = (artifact.path / name, files[name]["sha256"])
    found[f"artifacts/{LEFT_OUT}"] = (canonical_json(left_out), None)
    # It knows no folder of pictures, no state of before and no server: those are of the machine that it was made on.
    record = replace(build.record, stages=stages, root=None, former=None, milvus=None, pins=[], built=_built(build))
    found[f"builds/{build.name}.json"] = (json.dumps(record.to_json(), indent=1).encode(), None)
    report = report_of(build)
    page = drawn_page(replace(build, record=record), report, measured_stages(build, store), import_command(build) or "")
    found[f"builds/{build.name}/report.json"] = (json.dumps(report, indent=1).encode(), None)
    found[f"builds/{build.name}/report.html"] = (page, None)
    if (places := _places(build, store, opened)) is not None:  # which a server would need features for
        found[f"builds/{build.name}/{PLACES}"] = (places.to_bytes(), None)
    return found


def _places(build: Build, store: Store, opened: dict[str, Artifact]) -> Places | None:
    measured, index = store.open("embed", **build.measured["embed"]), opened["index"]
    gone = np.union1d(rows_of(index, MASKED), rows_of(opened["dataset"], DELETED))
    searched = np.setdiff1d(np.arange(int(index.facts["ntotal"]), dtype=np.int64), gone)
    labels = [record.label for record in read_records(opened["dataset"].path)]
    return places_of(opened["evaluate"], measured, opened["embed"], searched, labels)


def _before(build: Build, store: Store, stages: References) -> Iterator[tuple[Artifact, frozenset[str]]]:
    """Yield what the report of a synced build is about and a search does not read, and its files that are left out."""
    for name, which in (_built(build) or {}).items():
        if which != stages[name]:
            yield store.open(name, **which), OF_BEFORE


def _built(build: Build) -> References | None:
    return build.record.built and {name: build.record.built[name] for name in SYNCED}
