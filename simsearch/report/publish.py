"""report.html of a build, drawn from its artifacts: what they measured, their pictures, and how they were made."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

from simsearch.artifacts import Artifact, Store
from simsearch.durable import write_durably
from simsearch.home import Build
from simsearch.images.records import RecordTable, read_records
from simsearch.images.thumbnails import OFFSETS as THUMBNAILS
from simsearch.images.thumbnails import ThumbnailReader
from simsearch.page.html import get
from simsearch.recipe.files import recipe_lines
from simsearch.recipe.recipe import with_defaults
from simsearch.report.defects import Told
from simsearch.report.published import sealed_page
from simsearch.report.reading import report_of
from simsearch.report.sections.document import render_page
from simsearch.report.suspects import write_suspects
from simsearch.versions import usable_cores

MOST_QUARANTINED = 200


def publish_page(build: Build, report: dict[str, Any], stages: dict[str, Artifact], command: str) -> None:
    """Write report.html and suspects.csv beside the build's report.json, durably, from its artifacts.

    `command` makes the build again.

    Raises ArtifactError for a damaged artifact.
    """
    page = drawn_page(build, report, stages, command)
    write_suspects(build, report, stages["dataset"], stages["embed"])
    write_durably(build.page_path, page)


def drawn_page(build: Build, report: dict[str, Any], stages: dict[str, Artifact], command: str) -> bytes:
    """Return report.html of a build, drawn from its artifacts; raises ArtifactError for a damaged one."""
    dataset, evaluated = stages["dataset"], stages["evaluate"]
    records, recipe = RecordTable(dataset.path), build.record.recipe
    trained = not build.of_vectors and bool(with_defaults(recipe)["training"]["epochs"])
    embedder = {} if build.of_vectors else with_defaults(recipe)["embedder"]
    defects = _defects(stages)
    drawn = {row: number for number, row in enumerate(get(defects, "defects", "drawn") or ())}
    with _thumbnails(dataset) as thumbnails, _thumbnails(stages["defects"] if drawn else None) as looks:
        page = render_page(
            report={**report, "build": build.name},
            details=_json(evaluated, "details"),
            projection=_json(evaluated, "map"),
            picture=thumbnails.__getitem__ if thumbnails else lambda row: None,
            name=lambda row: records[row].image,
            labels=[entry.label for entry in read_records(dataset.path)],
            link=links(build.record.root, build.page_path.parent, lambda row: records[row].image),
            look=lambda row: (looks[2 * drawn[row]], looks[2 * drawn[row] + 1]) if looks and row in drawn else None,
            facts={
                "counts": {key: dataset.facts[key] for key in ("images", "fit", "val", "gallery", "queries")},
                "when": build.record.when,
                "vectors": build.of_vectors,
                "of_files": build.of_files,
                "trained": trained,
                "warning": stages["train"].facts.get("warning") if trained else None,
                "head": trained and embedder["train"] == "head" and embedder["weights"] != "none",
                "choice": _json(stages["index"], "index").get("choice"),
                "far": _json(evaluated, "far"),
                "strangers": _json(evaluated, "strangers") if "strangers.json" in evaluated.manifest["files"] else None,
                "bad": dataset.facts["bad"],
                "quarantine": _quarantine(dataset.file("quarantine.csv")),
                "recipe_toml": "\n".join(recipe_lines(recipe if build.of_vectors else with_defaults(recipe))),
                "stages": [
                    {"name": stage, "digest": artifact.digest, "seconds": artifact.manifest["seconds"]}
                    for stage, artifact in stages.items()
                ],
                "versions": {key: text for key, text in evaluated.manifest["versions"].items() if text is not None},
                "machine": f"{platform.machine()}, {usable_cores()} cores, {platform.system()}",
                "command": command,
                **defects,
            },
        )
    return sealed_page(build, page)


def _thumbnails(artifact: Artifact | None) -> AbstractContextManager[ThumbnailReader | None]:
    """Return the small pictures of an artifact; a build of vectors, and one without heat maps, has none."""
    there = artifact is not None and THUMBNAILS in artifact.manifest["files"]
    return ThumbnailReader(artifact.path) if artifact is not None and there else nullcontext()


def _defects(stages: dict[str, Artifact]) -> dict[str, Any]:
    """Return what the page has of defect scores; nothing where the build has none, or was made before it had these."""
    told = _json(stages["defects"], "defects") if "defects" in stages else {}
    return {"defects": told, "defect_words": Told(told).words()} if "scored" in told else {}


def links(root: str | None, page: Path, name: Callable[[int], str]) -> Callable[[int], str | None]:
    """Return the address of a row's file for a page in the folder `page`: None where the file is not here.

    It is relative, so that it names no more of this machine than the way there. Every character that is not plain is
    percent-encoded: a name cannot be an address of another kind.
    """
    if root is None:
        return lambda row: None
    here, there = os.path.realpath(page), os.path.realpath(root)

    def link(row: int) -> str | None:
        path = os.path.join(there, name(row))
        if not os.path.isfile(path):
            return None
        return quote(os.fsencode(os.path.relpath(path, here)), safe="/")

    return link


def publish_again(build: Build, store: Store, command: str) -> None:
    """Write report.html from the artifacts that the build's report is about."""
    publish_page(build, report_of(build), measured_stages(build, store), command)


def measured_stages(build: Build, store: Store) -> dict[str, Artifact]:
    """Return the artifacts that the build's report is about, by the names that it has for them."""
    return {name: store.open(name.rpartition("/")[2], **which) for name, which in build.measured.items()}


def _json(artifact: Artifact, name: str) -> Any:
    return json.loads(artifact.file(f"{name}.json").read_bytes())


def _quarantine(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [[row["image"], row["reason"]] for row in csv.DictReader(file)][:MOST_QUARANTINED]
