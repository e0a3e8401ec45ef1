"""The dataset and embed stages of vectors that were made elsewhere: a table without pictures, features as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from simsearch.arrays import Pixels
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.errors import VectorsError
from simsearch.images.quarantine import write_quarantine
from simsearch.images.records import ImageRecord, write_records
from simsearch.images.sources.source import Reader
from simsearch.stages.common import BLOCK_ROWS, Data
from simsearch.stages.step import Result, Step
from simsearch.vectors.formats import VectorFile
from simsearch.vectors.formats.parts import Vectors
from simsearch.vectors.normalize import norms
from simsearch.vectors.shards import Shards

VERSION = 1
SETTINGS = {"kind": "vectors"}
MOST_TESTS = 10_000  # queries that a file brings along
MOST_QUERIES, MOST_VAL = 1000, 2000  # rows of the file itself, and never more than a tenth of them
UNIT = 1e-3  # vectors whose lengths are off by more are said not to be unit


class NoPictures(Reader):
    """The reader of a build that has no pictures; nothing asks it, as nothing is embedded."""

    def data(self, image: str) -> bytes:
        raise VectorsError(f"{image}: a build of vectors has no pictures")

    def decode(self, data: bytes, at_least: int | None = None) -> Pixels:
        raise VectorsError("a build of vectors has no pictures")


def without_pictures(dataset: Artifact) -> Data:
    """The dataset artifact for stages that look at rows and labels alone."""
    return Data(dataset, NoPictures())


def all_vectors(file: VectorFile) -> Vectors:
    """What is searched, then the first 10,000 vectors that the file brings to search with."""
    return Vectors([*file.vectors.parts, *(file.queries.parts if file.queries else [])])


def counts(file: VectorFile) -> tuple[int, int]:
    """How many rows are searched, and how many rows there are with the queries of the file."""
    rows = file.vectors.shape[0]
    return rows, rows + (min(file.queries.shape[0], MOST_TESTS) if file.queries else 0)


def vectors(file: VectorFile, fingerprint: str, check: Callable[[], None]) -> Step:
    """Return the step that makes a table of the rows of `file`; `check` raises when it changed while it was read."""
    inputs = {"source": {"digest": fingerprint, "content": fingerprint}}
    return Step("dataset", "Read", VERSION, SETTINGS, inputs, partial(read_vectors, file, fingerprint, check))


def copied(file: VectorFile, data: Data, check: Callable[[], None]) -> Step:
    """Return the step that copies the vectors of `file`; `check` raises when it changed while it was read."""
    inputs = {"dataset": data.view("rows")}
    return Step("embed", "Copied", VERSION, SETTINGS, inputs, partial(copy_vectors, file, check))


def read_vectors(
    file: VectorFile, fingerprint: str, check: Callable[[], None], space: Workspace, progress: Progress
) -> Result:
    """Write images.csv (row = row of the file, sha256 = that of the vector as float32); returns counts, as of images.

    Queries are the vectors that the file has for it, else a seeded tenth of its rows, at most 1,000, which are then
    searched leave-one-out: so rows keep their numbers. With labels as many others again become val rows, from whose
    pairs it is read what a score means. Raises VectorsError that names a row without direction.
    """
    gallery, total = counts(file)
    if gallery < 2 and total == gallery:
        raise VectorsError(f"{file.path}: one vector, and nothing to search with", hint="give at least two vectors")
    drawn = np.random.default_rng(0).permutation(gallery) if total == gallery or file.labels else np.empty(0, np.int64)
    tenth = max(1, gallery // 10)
    queries = set(drawn[: min(MOST_QUERIES, tenth)].tolist()) if total == gallery else set(range(gallery, total))
    val = set(drawn[-min(MOST_VAL, tenth) :].tolist()) - queries if file.labels else set()
    lengths = [np.inf, 0.0]

    def records() -> Iterator[ImageRecord]:
        for start, block in all_vectors(file).blocks(BLOCK_ROWS):
            block = block[: total - start]
            found = norms(block)
            lengths[:] = [min(lengths[0], float(found.min())), max(lengths[1], float(found.max()))]
            for row, vector in enumerate(block, start):
                label = file.labels[row] if file.labels and row < gallery else ""
                digest = hashlib.sha256(vector).hexdigest()
                flags = (False, row in val, row < gallery, row in queries)
                yield ImageRecord(row, _name(file, row, gallery), label, *flags, digest)
            progress(start + len(block), total, "rows")
            if start + len(block) == total:
                return

    write_records(space.out, records())
    write_quarantine(space.out, [])
    check()
    labels = set(file.labels or ()) - {""}
    facts = {
        "images": total,
        "bad": 0,
        "labelled": bool(labels),
        "labels": len(labels),
        "fit": 0,
        "val": len(val),
        "gallery": gallery,
        "queries": len(queries),
        "notes": file.notes,
        "norms": lengths,
        "views": {"rows": fingerprint},
    }
    low, high = lengths
    told = f"lengths {low:.3g} to {high:.3g}: searched by their angle" if max(1 - low, high - 1) > UNIT else "length 1"
    return facts, f"{gallery:,} vectors of {told}"


def copy_vectors(file: VectorFile, check: Callable[[], None], space: Workspace, progress: Progress) -> Result:
    """Write features.h5, the vectors as they are, resuming from the shards that an earlier run left."""
    (_, total), dim, whole = counts(file), file.vectors.shape[1], all_vectors(file)
    shards = Shards(space.scratch, total, dim, BLOCK_ROWS)
    for start, stop in shards.missing():
        shards.write(start, whole.read(start, stop))
        progress(stop, total, "rows")
    shards.join(space.out / "features.h5")
    check()
    return {"rows": total, "dim": dim, "through": "a file of vectors"}, f"{total:,} x {dim}, as they are"


def _name(file: VectorFile, row: int, gallery: int) -> str:
    if row >= gallery:
        return f"test-{row - gallery}"
    return (file.names[row] if file.names else "") or f"row-{row}"
