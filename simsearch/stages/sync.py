"""The stages of a sync: rows appended, renamed and marked as deleted, or, as a compaction, all of it without those.

Nothing is embedded twice: features of what stays are copied. A compaction also builds the index anew from features,
with the factory that it has; until then deleted rows stay in features and index, and searches leave them out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.artifacts import Artifact, Workspace
from simsearch.changes.compare import Changes
from simsearch.changes.fresh import look_at
from simsearch.changes.state import DELETED, MASKED, State, rows_of
from simsearch.console import Progress, safe
from simsearch.durable import link_or_copy
from simsearch.embedder.bundle.canaries import keep
from simsearch.embedder.bundle.canaries import kept as kept_canaries
from simsearch.embedder.bundle.embedding import Bundle
from simsearch.embedder.bundle.fingerprint import embedder_fingerprint
from simsearch.embedder.bundle.trained import model_of
from simsearch.engines.engine import Engine, Job
from simsearch.images.quarantine import SetAside, write_quarantine
from simsearch.images.records import ImageRecord, RecordTable, extend_records, read_records, write_records
from simsearch.images.sources.source import FileSource
from simsearch.images.tally import Tally, in_words
from simsearch.images.thumbnails import ThumbnailReader, extend_thumbnails, write_thumbnails
from simsearch.stages.common import BLOCK_ROWS, THREADS
from simsearch.stages.dataset import check_synced, count_flags, damaged_of, mended_fact, unread_of
from simsearch.stages.index import CORPUS
from simsearch.stages.step import Result, Step
from simsearch.vectors.agreement import verify
from simsearch.vectors.features import FeatureFile, write_features
from simsearch.vectors.index import FaissIndex, Index, build

VERSION = 1


@dataclass(frozen=True)
class Transition:
    """From one state of a build to the next: the source, what changed, and whether the deleted rows go for good."""

    source: FileSource
    state: State
    changes: Changes
    compact: bool

    @property
    def deleted(self) -> Integers:
        """Old rows that are deleted afterwards, ascending."""
        return np.union1d(self.state.deleted, np.array(self.changes.gone, dtype=np.int64)).astype(np.int64)

    @property
    def kept(self) -> Integers:
        """Old rows that are still there afterwards, deleted or not, ascending."""
        rows = np.arange(len(self.state.images), dtype=np.int64)
        return np.setdiff1d(rows, self.deleted) if self.compact else rows

    @property
    def settings(self) -> dict[str, Any]:
        """What enters the address of each stage of a sync."""
        return {"sync": VERSION, "compact": self.compact}


def dataset(base: Artifact, change: Transition, max_bad_fraction: float) -> Step:
    """Return the step from the table of `base` to that of the next state."""
    settings = {**change.settings, "changes": change.changes.digest()}
    work = partial(sync_dataset, base, change, max_bad_fraction)
    return Step("dataset", "Synced", 1, settings, {"base": base.reference}, work)


def embed(base: Artifact, table: Artifact, trained: Artifact, change: Transition, engine: Engine) -> Step:
    """Return the step from the features of `base` to those of every row of `table`."""
    inputs = {"dataset": table.reference, "train": trained.reference, "embed": base.reference}
    work = partial(sync_embed, base, table, trained, change, engine)
    return Step("embed", "Synced", 1, change.settings, inputs, work)


def index(base: Artifact, table: Artifact, embedded: Artifact, change: Transition) -> Step:
    """Return the step from the index `base` to that of every row of `table`."""
    inputs = {"dataset": table.reference, "embed": embedded.reference, "base": base.reference}
    return Step("index", "Synced", 1, change.settings, inputs, partial(sync_index, base, table, embedded, change))


def mended_index(facts: dict[str, Any], table: Artifact, embedded: Artifact) -> Step:
    """Return the step that makes the index of a synced build again, from its features alone."""
    inputs = {"dataset": table.reference, "embed": embedded.reference}
    work = partial(remake_index, facts, table, embedded)
    return Step("index", "Indexed", 1, {"sync": VERSION, "mended": True}, inputs, work)


def sync_dataset(
    base: Artifact, change: Transition, max_bad_fraction: float, space: Workspace, progress: Progress
) -> Result:
    """Write table, thumbnails, quarantine and deleted rows; new images are decoded, never searched with (flags 0).

    Raises SourceError when too many images cannot be used, or one changes while it is read.
    """
    changes, kept = change.changes, change.kept
    added: list[ImageRecord] = []
    bad, tally = list(changes.set_aside), Tally()
    with write_thumbnails(space.scratch) as thumbnails:
        for found, seen in look_at(change.source, changes, threads=THREADS):
            if isinstance(seen, SetAside):
                bad.append(seen)
                continue
            assert seen.thumbnail is not None
            row = len(kept) + len(added)
            flags = (False, False, False, False)
            added.append(ImageRecord(row, found.image, found.label, *flags, found.sha256, found.group, found.extras))
            thumbnails(seen.thumbnail)
            tally.add(seen)
            progress(len(added), len(changes.fresh))
    live = len(change.state.images) - len(change.deleted) + len(added)
    check_synced(bad, live, max_bad_fraction, listed=change.source.rows is not None)
    write_quarantine(space.out, bad)
    counts = {flag: base.facts[flag] for flag in ("fit", "val", "gallery", "queries")}
    moved: dict[int, dict[str, Any]] = {
        move.row: {key: getattr(move.now, key) for key in ("image", "label", "group", "extras")}
        for move in changes.moved
    }
    with ThumbnailReader(space.scratch) as more:
        fresh_thumbnails = (more[i] for i in range(len(added)))
        if change.compact:
            stays = set(kept.tolist())
            old_records = (record for record in read_records(base.path) if record.row in stays)
            records = [replace(r, row=row, **moved.get(r.row, {})) for row, r in enumerate(old_records)]
            groups, columns = change.state.groups is not None, change.state.columns
            write_records(space.out, [*records, *added], groups=groups, columns=columns)
            counts = count_flags(records)
            with ThumbnailReader(base.path) as old, write_thumbnails(space.out) as thumbnails:
                for thumbnail in chain((old[row] for row in kept.tolist()), fresh_thumbnails):
                    thumbnails(thumbnail)
        else:
            table = RecordTable(base.path)
            renamed = {row: replace(table[row], **now) for row, now in moved.items()}
            extend_records(base.path, space.out, renamed, added)
            extend_thumbnails(base.path, space.out, fresh_thumbnails)
    deleted = np.empty(0, dtype=np.int64) if change.compact else change.deleted
    np.save(space.out / DELETED, deleted)
    gone = set(change.deleted.tolist())
    labels = {label for row, label in enumerate(change.state.labels) if row not in gone and row not in moved}
    labels |= {now["label"] for now in moved.values()} | {record.label for record in added}
    rows, decoded = len(kept) + len(added), tally.counts()
    facts = {
        "images": rows,
        "deleted": len(deleted),
        "bad": len(bad),
        **unread_of(bad, damaged_of(bad)),
        "labelled": base.facts["labelled"],
        "labels": len(labels) if base.facts["labelled"] else 0,
        **counts,
        "notes": in_words(decoded),
        **({"decoded": decoded} if decoded else {}),
        "left_out": change.source.left_out.to_json(),
        **{key: base.facts[key] for key in ("decoding",) if key in base.facts},
        **mended_fact(change.source),
        # From how many rows on a fifth is counted: those of the last build or compaction.
        "synced": {"whole": rows if change.compact else whole_rows(base)},
    }
    return facts, ""


def whole_rows(dataset: Artifact) -> int:
    """How many rows the last build or compaction made."""
    return int(dataset.facts.get("synced", {}).get("whole", dataset.facts["images"]))


def sync_embed(
    base: Artifact,
    dataset: Artifact,
    trained: Artifact,
    change: Transition,
    engine: Engine,
    space: Workspace,
    progress: Progress,
) -> Result:
    """Write features.h5: what stays, copied, then the added rows, embedded by the build's own bundle."""
    kept, rows = change.kept, int(dataset.facts["images"])
    bundle = Bundle(model_of(trained), change.source.reader())
    count = rows - len(kept)
    job = Job.of(bundle, dataset.path, space.scratch, count, engine, first=len(kept)) if count else None
    if job is not None:
        engine(job, progress)
    stays = np.zeros(len(change.state.images), dtype=np.bool_)
    stays[kept] = True
    with FeatureFile(base.file("features.h5")) as old:

        def features() -> Iterator[Floats]:
            for start in range(0, old.shape[0], BLOCK_ROWS):
                block = old.read(start, min(start + BLOCK_ROWS, old.shape[0]))
                yield block[stays[start : start + len(block)]]
            if job is not None:
                yield from job.shards.parts()

        write_features(space.out / "features.h5", (rows, bundle.dim), features())
    if (canaries := kept_canaries(base)) is not None:
        keep(space.out, canaries.at(kept))
    embedder = embedder_fingerprint(trained)
    return {"rows": rows, "dim": bundle.dim, "through": "onnxruntime", "embedder": embedder, "synced": True}, ""


def sync_index(
    base: Artifact, dataset: Artifact, embedded: Artifact, change: Transition, space: Workspace, progress: Progress
) -> Result:
    """Write index.faiss, index.json and the masked rows: added to what is there, or built anew as a compaction.

    Rows that the build left out of its corpus (query-only ones) are masked from now on, as FAISS ids are rows.
    Raises VectorsError that names the image of a zero or NaN row.
    """
    kept, rows = change.kept, int(dataset.facts["images"])
    not_in_index = np.arange(int(base.facts["ntotal"]), len(change.state.images), dtype=np.int64)
    outside = np.union1d(np.setdiff1d(rows_of(base, MASKED), change.state.deleted), not_in_index)
    name = _namer(dataset)
    with FeatureFile(embedded.file("features.h5")) as file:
        if change.compact:
            masked = np.flatnonzero(np.isin(kept, outside))
            _save(_built(file, base.facts, name), file, space)
        else:
            masked = np.union1d(outside, change.deleted)
            first = int(base.facts["ntotal"])
            if first == rows:
                link_or_copy(base.file(CORPUS), space.out / CORPUS)
            else:
                grown = FaissIndex.load(base.file(CORPUS), factory=str(base.facts["factory"]))
                for block in file.blocks(first, rows, BLOCK_ROWS):
                    grown.add(block, name=name)
                _save(grown, file, space)
    return _write_facts(space, base.facts, rows, masked, embedded), ""


def remake_index(
    base: dict[str, Any], dataset: Artifact, embedded: Artifact, space: Workspace, progress: Progress
) -> Result:
    """Write the index of a synced build anew from its features, with the factory that `base` tells; row ids stay.

    Which rows no search may find is told by the table: deleted ones, and query-only ones that the corpus leaves out.
    """
    outside = np.empty(0, dtype=np.int64)
    if base["corpus"] == "gallery":  # images that a sync added have no flag, and are searched
        outside = np.array([r.row for r in read_records(dataset.path) if r.query and not r.gallery], dtype=np.int64)
    with FeatureFile(embedded.file("features.h5")) as file:
        _save(_built(file, base, _namer(dataset)), file, space)
    masked = np.union1d(outside, rows_of(dataset, DELETED))
    return _write_facts(space, base, int(dataset.facts["images"]), masked, embedded), str(base["factory"])


def _namer(dataset: Artifact) -> Callable[[int], str]:
    """What names the image of a row in an error."""
    table = RecordTable(dataset.path)
    return lambda row: safe(table[row].image)


def _built(file: FeatureFile, base: dict[str, Any], name: Callable[[int], str]) -> Index:
    """An index of every row of `file`, with the factory that `base` tells."""
    rows, dim = file.shape
    return build(lambda: file.blocks(0, rows, BLOCK_ROWS), dim, str(base["factory"]), rows=rows, name=name)


def _save(made: Index, file: FeatureFile, space: Workspace) -> None:
    """Write index.faiss, once its last rows are known to be those of `file`."""
    rows = file.shape[0]
    verify(made, rows, file.read(max(0, rows - 1000), rows), start=max(0, rows - 1000))
    made.save(space.out / CORPUS)


def _write_facts(
    space: Workspace, base: dict[str, Any], rows: int, masked: Integers, embedded: Artifact
) -> dict[str, Any]:
    """Write masked.npy and index.json beside a corpus that is there; returns the facts of the artifact."""
    np.save(space.out / MASKED, masked.astype(np.int64))
    facts = {
        **{key: base[key] for key in ("factory", "metric", "dim", "gallery")},
        "ntotal": rows,
        "masked": len(masked),
        "bytes": (space.out / CORPUS).stat().st_size,
    }
    (space.out / "index.json").write_text(json.dumps(facts, indent=1))
    return {**facts, "embedder": embedded.facts.get("embedder"), "synced": True}
