"""The index stage: a FAISS index over unit vectors, on the gallery rows and, when asked, on the whole corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from simsearch.arrays import Floats
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress, say
from simsearch.page.plots import draw_tuning
from simsearch.stages.common import BLOCK_ROWS, Data
from simsearch.vectors.agreement import verify
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.index import FaissIndex, Index, build
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import DEFAULT, Search
from simsearch.vectors.tuning import choose

SAMPLE = 200
OTHER_SCORE = 0.05
CORPUS = "index.faiss"
PICTURE = "index.png"  # only where it was chosen by measuring
GALLERY = "gallery.faiss"  # only when it differs from the corpus: what the figures are taken on


def make_index(
    space: Workspace, data: Data, embedded: Artifact, settings: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Write index.json, index.faiss (what a query searches) and, when that is more, gallery.faiss (what is measured).

    Where the index is chosen by measuring, index.json has all that was measured, and index.png draws it.

    Raises VectorsError that names the image of a zero or NaN row.
    """
    gallery, rows = int(data.facts["gallery"]), int(data.facts["images"])
    with FeatureFile(embedded.file("features.h5")) as file:

        def blocks(start: int, stop: int) -> Iterator[Floats]:
            for first in range(start, stop, BLOCK_ROWS):
                yield file.read(first, min(first + BLOCK_ROWS, stop))
                progress(min(first + BLOCK_ROWS, stop), rows, "rows")

        choice = None
        if settings.get("target_recall") is None:
            index: Index = build(
                lambda: blocks(0, gallery), rows=gallery, dim=file.shape[1], factory=settings["factory"], name=data.name
            )
        else:
            limits = {key: settings[key] for key in ("target_recall", "max_bytes", "max_build_seconds")}
            in_end = rows if settings["corpus"] == "all" else gallery
            choice = choose(file, gallery, **limits, rows_in_end=in_end, name=data.name, progress=progress.tell)
            index = choice.index
        verify(index, gallery, file.read(0, min(gallery, 1000)))
        _warn_of_other_scores(index, file.read(0, min(gallery, SAMPLE)), DEFAULT if choice is None else choice.search)
        if settings["corpus"] == "all" and rows > gallery:
            index.save(space.out / GALLERY)
            for block in blocks(gallery, rows):
                index.add(block, name=data.name)
            verify(index, rows, file.read(0, min(rows, 1000)))
        index.save(space.out / CORPUS)
    facts = {
        "factory": index.factory,
        "metric": "inner product",
        "dim": index.dim,
        "ntotal": index.ntotal,
        "gallery": gallery,
        "bytes": (space.out / CORPUS).stat().st_size,
    }
    told = facts
    if choice is not None:
        draw_tuning(choice.table, choice.target_recall, space.out / PICTURE)
        found = choice.to_json()
        facts["search"] = choice.search.given()
        told = {**facts, "choice": found}
        facts["choice"] = {key: value for key, value in found.items() if key != "table"}
    (space.out / "index.json").write_text(json.dumps(told, indent=1, allow_nan=False))
    return facts


def _warn_of_other_scores(index: Index, features: Floats, search: Search) -> None:
    """Some factories change what a score is: coding a little, PCA (which centres the vectors) beyond use."""
    embeddings = normalize(features)
    scores, rows, _ = index.search(embeddings, 1, search)
    seen = float(np.median(scores[:, 0]))
    # Equal pictures may stand for one another.
    lost = float(((rows[:, 0] != np.arange(len(rows))) & (scores[:, 0] < 1 - OTHER_SCORE)).mean())
    if abs(seen - 1) > OTHER_SCORE or lost > OTHER_SCORE:
        say(
            f"warning: factory {index.factory} changes scores: images score {seen:.3f} with themselves, where 1 is "
            f"exact, and {lost:.0%} do not find themselves first; see ann_recall in the report"
        )


def gallery_index(artifact: Artifact) -> Index:
    """The index on the gallery rows alone, opened."""
    name = GALLERY if GALLERY in artifact.manifest["files"] else CORPUS
    return FaissIndex.load(artifact.file(name), factory=str(artifact.facts["factory"]), mapped=True)
