"""Parts of a cell run again with a counterpart of the accepted night in the place of one stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from simsearch.arrays import Floats, Integers, Labels, Numbers
from simsearch.artifacts import Artifact
from simsearch.embedder.bundle.embedding import Bundle, embed_images
from simsearch.embedder.bundle.trained import model_of
from simsearch.evaluation.own import numbered
from simsearch.evaluation.systems import FeatureSource, Task, gather
from simsearch.evaluation.through_index import evaluate_index
from simsearch.images.records import ImageRecord, read_records
from simsearch.stages.common import BLOCK_ROWS, THREADS, Data
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.index import Index, build
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import Search

CHECKED_IMAGES = 1000


@dataclass(frozen=True)
class Listing:
    """The images of a dataset artifact: its records, its labels as numbers (-1: none) and its groups, if any."""

    records: list[ImageRecord]
    gallery: int
    labels: Integers
    groups: Labels | None

    @classmethod
    def read(cls, dataset: Artifact) -> Listing:
        """Read a dataset artifact."""
        records = list(read_records(dataset.path))
        names = {name: i for i, name in enumerate(sorted({r.label for r in records} - {""}))}
        labels = np.array([names.get(r.label, -1) for r in records], dtype=np.int64)
        return cls(records, int(dataset.facts["gallery"]), labels, numbered([r.group for r in records]))

    def task(self, k: int) -> Task:
        """Return what is searched and with what."""
        rows = np.array([r.row for r in self.records if r.query], dtype=np.int64)
        return Task(self.gallery, rows, self.labels, (k,), self.groups)


@dataclass(frozen=True)
class Held:
    """Features (N, D) in memory, read as a FeatureFile is."""

    features: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Return rows and dim."""
        return len(self.features), self.features.shape[1]

    def read(self, start: int, stop: int) -> Floats:
        """Return rows [start, stop)."""
        return self.features[start:stop]


def values_of(metric: str, k: int, table: Listing, source: FeatureSource, index: Index, search: Search) -> Numbers:
    """Return the values (Q,) of a figure, or of ann_recall, at k, measured now through `index`."""
    task = table.task(k)
    thresholds = np.zeros((len(task.query_rows), 1), dtype=np.float32)
    if metric == "ann_recall":
        queries, base = normalize(gather(source, task.query_rows)), normalize(source.read(0, task.gallery))
        for span, scores, _ in task.search(queries, base, k, "ip"):
            thresholds[span, 0] = scores[:, min(k, task.neighbours) - 1]
    found = evaluate_index(index, source, task, None, thresholds, search, timed_k=None)
    return found.ann_shares[k] if metric == "ann_recall" else found.system.values(metric, k)


def index_over(source: FeatureSource, rows: int, factory: str) -> Index:
    """Return an index of the first `rows` features, built now by the code at hand."""
    spans = [(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS)]
    return build(lambda: (source.read(*span) for span in spans), source.shape[1], factory, rows=rows)


def embed_again(data: Data, trained: Artifact, records: Sequence[ImageRecord]) -> Floats:
    """Return raw features (n, D) of records, embedded now by the code at hand with the bundle of a train artifact."""
    return embed_images(Bundle(model_of(trained), data.reader), records, THREADS)


def least_cosine(data: Data, trained: Artifact, embedded: Artifact, before: Listing, now: Listing) -> float | None:
    """Return the least cosine of stored features and those that the code at hand makes by the same bundle.

    Over at most 1,000 images, spread over the rows, that both data sets hold with the same bytes; None without any.
    """
    row_of = {r.sha256: r.row for r in before.records}
    shared = [r for r in now.records if r.sha256 in row_of]
    step = max(1, len(shared) // CHECKED_IMAGES)
    chosen = list(islice(islice(shared, 0, None, step), CHECKED_IMAGES))
    if not chosen:
        return None
    made = embed_again(data, trained, chosen).astype(np.float64)
    with FeatureFile(embedded.file("features.h5")) as file:
        stored = gather(file, np.array([row_of[r.sha256] for r in chosen], dtype=np.int64)).astype(np.float64)
    lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(stored, axis=1)
    if not np.isfinite(lengths).all() or not lengths.all():
        return 0.0
    return float((np.einsum("nd,nd->n", made, stored) / lengths).min())


def data_changes(before: Listing, now: Listing) -> dict[str, int]:
    """Return how many images were added, removed, moved, changed (other bytes) and relabelled, by name.

    An image that went from one class folder to another has another name, and is neither added nor removed.
    """
    old = {r.image: r for r in before.records}
    new = {r.image: r for r in now.records}
    both = [(old[name], new[name]) for name in new if name in old]
    left = {r.sha256: r for name, r in old.items() if name not in new}
    moved = [(left.pop(r.sha256), r) for name, r in new.items() if name not in old and r.sha256 in left]
    counts = {
        "added": len(new) - len(both) - len(moved),
        "removed": len(old) - len(both) - len(moved),
        "with other content": sum(a.sha256 != b.sha256 for a, b in both),
        "with another label": sum(a.label != b.label for a, b in (*both, *moved)),
        "with another name": sum(a.label == b.label for a, b in moved),
        "in another part of the split": sum(
            (a.fit, a.val, a.gallery, a.query) != (b.fit, b.val, b.gallery, b.query) for a, b in both
        ),
    }
    return {what: count for what, count in counts.items() if count}
