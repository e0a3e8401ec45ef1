"""The index stage: a FAISS index over unit vectors, on the gallery rows and, when asked, on the whole corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress, safe
from simsearch.errors import VectorsError
from simsearch.recipe import tables
from simsearch.stages.common import BLOCK_ROWS, Data
from simsearch.stages.step import Result, Step
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import DEFAULT, Search

if TYPE_CHECKING:
    from simsearch.vectors.index import Index

VERSION = 1
CHOOSING = 2  # the version of an index that is chosen by measuring
TARGET = {"target_recall", "max_bytes", "max_build_seconds"}
DEFAULT_TARGET = 0.95  # ann_recall@10 that the settings of imported vectors are tuned to, where none are given
SAMPLE = 200
OTHER_SCORE = 0.05
CORPUS = "index.faiss"
GALLERY = "gallery.faiss"  # only when it differs from the corpus: what the figures are taken on


def index(data: Data, embedded: Artifact, table: tables.Index) -> Step:
    """Return the step that indexes the features of `embedded`: by a factory, to reach a target, or both."""
    keys = set() if table.target_recall is None else TARGET
    settings = table.model_dump(include={"corpus", *keys, *({"factory"} if table.factory or not keys else ())})
    inputs = {"dataset": data.view("rows"), "embed": embedded.reference}
    version = VERSION
    if table.target_recall is not None:
        version = CHOOSING
        inputs |= {"val": data.view("train")} if "train" in data.facts["views"] else {}  # which rows are held out first
    return Step("index", "Indexed", version, settings, inputs, partial(make_index, data, embedded, table))


def search_settings(table: tables.Index, index: Artifact) -> Search:
    """Return what an index is searched with: as chosen by measuring, or as [index] says."""
    return Search.from_json({**table.model_dump(), **index.facts.get("search", {})})


def missed_target(index: Artifact) -> str | None:
    """Return why an index that was to be chosen by measuring did not reach its target; None where it did."""
    choice = index.facts.get("choice")
    return None if choice is None or choice["reached"] else str(choice["why"])


def refuse_factory(factory: str | None, dim: int, rows: int) -> None:
    """Raise VectorsError for a factory that no index of `rows` x `dim` can be built by: before anything is trained."""
    if factory not in (None, "Flat"):
        from simsearch.vectors.index import check_factory

        check_factory(str(factory), dim, rows)


def checked_settings(table: tables.Index, dim: int) -> tuple[tables.Index, list[str]]:
    """Return [index], with a target for the search settings of its factory where it has some and none is given; notes.

    Raises VectorsError for a factory that FAISS refuses, and for settings that its kind does not have.
    """
    if table.factory in (None, "Flat"):
        return table, []
    from simsearch.vectors.index import settings_of

    factory, given = str(table.factory), Search.from_json(table.model_dump()).given()
    has, lists = settings_of(factory, dim)
    for key in given.keys() - set(has):
        raise VectorsError(
            f"index {factory} has no {key}", hint=f"it has {', '.join(has)}" if has else "it has no search settings"
        )
    if given:
        nprobe = table.nprobe
        beyond = nprobe is not None and nprobe > lists
        return table, [f"nprobe {nprobe}: {factory} has {lists} lists, which are all searched"] if beyond else []
    untuned = has and table.target_recall is None
    return table.model_copy(update={"target_recall": DEFAULT_TARGET}) if untuned else table, []


def make_index(data: Data, embedded: Artifact, table: tables.Index, space: Workspace, progress: Progress) -> Result:
    """Write index.json, index.faiss (what a query searches) and, when that is more, gallery.faiss (what is measured).

    Where the index is chosen by measuring, index.json has all that was measured: the report draws it.

    Raises VectorsError that names the image of a zero or NaN row.
    """
    from simsearch.vectors.agreement import verify
    from simsearch.vectors.features import FeatureFile
    from simsearch.vectors.index import build
    from simsearch.vectors.tuning.choose import choose
    from simsearch.vectors.tuning.given import tune

    gallery, rows = int(data.facts["gallery"]), int(data.facts["images"])
    with FeatureFile(embedded.file("features.h5")) as file:

        def blocks(start: int, stop: int) -> Iterator[Floats]:
            for first in range(start, stop, BLOCK_ROWS):
                yield file.read(first, min(first + BLOCK_ROWS, stop))
                progress(min(first + BLOCK_ROWS, stop), rows, "rows")

        choice = None
        if table.target_recall is None:
            made: Index = build(
                lambda: blocks(0, gallery), rows=gallery, dim=file.shape[1], factory=str(table.factory), name=data.name
            )
        elif table.factory is not None:
            choice = tune(
                file,
                gallery,
                table.factory,
                target_recall=table.target_recall,
                val=_val_rows(data),
                name=data.name,
                progress=progress.tell,
            )
            made = choice.index
        else:
            choice = choose(
                file,
                gallery,
                target_recall=table.target_recall,
                max_bytes=table.max_bytes,
                max_build_seconds=table.max_build_seconds,
                val=_val_rows(data),
                rows_in_end=rows if table.corpus == "all" else gallery,
                name=data.name,
                progress=progress.tell,
            )
            made = choice.index
        verify(made, gallery, file.read(0, min(gallery, 1000)))
        _warn_of_other_scores(
            made, file.read(0, min(gallery, SAMPLE)), DEFAULT if choice is None else choice.search, progress
        )
        if table.corpus == "all" and rows > gallery:
            made.save(space.out / GALLERY)
            for block in blocks(gallery, rows):
                made.add(block, name=data.name)
            verify(made, rows, file.read(0, min(rows, 1000)))
        made.save(space.out / CORPUS)
    size = (space.out / CORPUS).stat().st_size
    facts: dict[str, Any] = {
        "factory": made.factory,
        "metric": "inner product",
        "dim": made.dim,
        "ntotal": made.ntotal,
        "gallery": gallery,
        "bytes": size,
    }
    told, line = facts, "inner product on unit vectors"
    if choice is not None:
        found = choice.to_json()
        facts["search"] = choice.search.given()
        told = {**facts, "choice": found}
        facts["choice"] = {key: value for key, value in found.items() if key != "table"}
        progress.say(safe(found["why"]))
        line = f"ann_recall@10 {found['ann_recall']:.4f}"
    (space.out / "index.json").write_text(json.dumps(told, indent=1, allow_nan=False))
    facts["embedder"] = embedded.facts.get("embedder")
    return facts, f"{made.factory}, {line}, {size / 1024:,.0f} KB"


def _val_rows(data: Data) -> Integers:
    return np.array([r.row for r in data.records() if r.val and not r.query], dtype=np.int64)


def _warn_of_other_scores(index: Index, features: Floats, search: Search, progress: Progress) -> None:
    """Some factories change what a score is: coding a little, PCA (which centres the vectors) beyond use."""
    embeddings = normalize(features)
    scores, rows, _ = index.search(embeddings, 1, search)
    seen = float(np.median(scores[:, 0]))
    # Equal pictures may stand for one another.
    lost = float(((rows[:, 0] != np.arange(len(rows))) & (scores[:, 0] < 1 - OTHER_SCORE)).mean())
    if abs(seen - 1) > OTHER_SCORE or lost > OTHER_SCORE:
        progress.say(
            f"warning: factory {index.factory} changes scores: images score {seen:.3f} with themselves, where 1 is "
            f"exact, and {lost:.0%} do not find themselves first; see ann_recall in the report"
        )


def gallery_index(artifact: Artifact) -> Index:
    """The index on the gallery rows alone, opened."""
    from simsearch.vectors.index import FaissIndex

    name = GALLERY if GALLERY in artifact.manifest["files"] else CORPUS
    return FaissIndex.load(artifact.file(name), factory=str(artifact.facts["factory"]), mapped=True)
