"""The evaluate stage: features, index and labels to report.json and per-query values."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..artifacts import Artifact, Workspace
from ..console import Stage
from ..evaluation.report import Features, SearchSettings
from ..evaluation.report import evaluate as measure
from ..vectors.features import FeatureFile
from .common import Data
from .index import gallery_index


def evaluate(
    space: Workspace,
    build: str,
    data: Data,
    embedded: dict[str, Artifact],
    index: Artifact,
    settings: dict[str, Any],
    progress: Stage,
) -> tuple[dict[str, Any], str]:
    """Write report.json and queries.npz; returns facts and the headline in words."""
    labels: list[str] = []
    queries: list[int] = []
    for record in data.records():
        labels.append(record.label)
        if record.query:
            queries.append(record.row)
    number = {label: i for i, label in enumerate(sorted(set(labels) - {""}))}
    with ExitStack() as stack:
        # One file object for one artifact: systems that share features are measured once.
        paths = {system: artifact.file("features.h5") for system, artifact in embedded.items()}
        files = {path: stack.enter_context(FeatureFile(path)) for path in set(paths.values())}
        opened = {system: files[path] for system, path in paths.items()}
        found = measure(
            build=build,
            features=Features(opened["recipe"], opened.get("baseline"), opened.get("reference")),
            gallery=int(data.facts["gallery"]),
            query_rows=queries,
            labels=np.array([number.get(label, -1) for label in labels]) if data.facts["labelled"] else None,
            index=gallery_index(index),
            index_bytes=int(index.facts["bytes"]),
            ks=settings["k"],
            settings=SearchSettings(settings["nprobe"], settings["efSearch"]),
            few_shot=settings.get("few_shot", False),
            name=data.name,
            progress=progress.tell,
        )
    (space.out / "report.json").write_text(json.dumps(found.report, indent=1, allow_nan=False))
    found.save_per_query(space.out / "queries.npz")
    system = found.report["systems"]["recipe/index"]
    k, recall = next(iter(system["recall"].items()))
    measured = "quality not measured" if recall is None else f"recall@{k} {recall:.3f}"
    return {"queries": len(queries)}, f"{measured}, {len(queries):,} queries"
