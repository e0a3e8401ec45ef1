"""Images whose label may be a mistake, and images that are the same: what the report found, of those that are there."""

from __future__ import annotations

from typing import Any

from simsearch.home import Home
from simsearch.images.records import read_names
from simsearch.report.suspects import suspects
from simsearch.server.answers import shown
from simsearch.server.opened import FEATURES, Opened
from simsearch.server.problems import Problem
from simsearch.vectors.features import FeatureFile

KINDS = ("copies", "looks", "score")


def suspects_of(opened: Opened) -> list[dict[str, Any]]:
    """Return the suspects of the report that are still there under the same label, the surest first."""
    build, corpus = opened.build, opened.searcher.corpus
    if opened.report is None or not build.record.labelled:
        return []
    with Home(build.home).reading() as store:
        dataset, embedded = (store.open(stage, **build.measured[stage]) for stage in ("dataset", "embed"))
        images, labels, *_ = read_names(dataset.path)
        if FEATURES not in embedded.manifest["files"]:
            raise Problem(404, f"build {opened.name} came in a pack, without the features that this needs")
        with FeatureFile(embedded.file(FEATURES)) as file:
            found = suspects(opened.report, images, labels, file)
    rows = ((corpus.names.get(one.image), one) for one in found)
    return [
        {**shown(opened, row), "says": one.says, "score": float(one.score), "why": one.why}
        for row, one in rows
        if row is not None and corpus.labels[row] == one.label
    ]


def groups_of(opened: Opened) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the groups of duplicates that the report lists, of two images or more that are still there, by kind."""
    found = (opened.report or {}).get("duplicates") or {}
    names = opened.searcher.corpus.names
    with Home(opened.build.home).reading() as store:
        images = read_names(store.open("dataset", **opened.build.measured["dataset"]).path)[0]
    groups = []
    for kind in KINDS:
        for group in (found.get(kind) or {}).get("listed") or ():
            rows = [names[images[row]] for row in group["rows"] if images[row] in names]
            if len(rows) > 1:
                groups.append((kind, [shown(opened, row) for row in rows]))
    return groups
