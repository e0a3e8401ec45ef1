"""A build's vectors for other tools: .npy with metadata, ann-benchmarks HDF5, .fvecs with its ground truth."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from simsearch.arrays import Flags, Floats
from simsearch.artifacts import Artifact
from simsearch.changes.state import MASKED, rows_of
from simsearch.console import Progress, safe
from simsearch.durable import fsync
from simsearch.errors import RecipeError
from simsearch.home import Build, Home
from simsearch.images.records import ImageRecord, read_records
from simsearch.vectors.exact import exact_neighbours
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.formats.flat import write_npy, write_vecs
from simsearch.vectors.formats.metadata import write_metadata
from simsearch.vectors.normalize import normalize

NPY, HDF5, VECS = "npy", "ann-benchmarks", "fvecs"
FORMATS = (NPY, HDF5, VECS)
NEIGHBOURS = 100  # of each query, as ann-benchmarks has them
BLOCK = 8192

Blocks = Iterator[Floats]


def export(build: Build, form: str, out: str, *, raw: bool = False, progress: Progress | None = None) -> Path:
    """Write the vectors of a build in a format of FORMATS to `out`, whole or not at all; returns its path.

    Unit embeddings, or with `raw` the features as they are. npy is the corpus that a query searches; the other two are
    its gallery, its queries and their exact 100 nearest in the gallery, which queries of the gallery itself are taken
    out of. Raises RecipeError when `out` exists or cannot be, ArtifactError when the build is damaged or provisional.
    """
    build.whole()
    path = free_path(out)
    _check(path, form, raw)
    # Queries and gallery are those that the report is about; what is searched now may have been synced since.
    stages = build.record.stages if form == NPY else build.measured
    with Home(build.home).reading() as store:
        dataset, embedded, index = (store.open(name, **stages[name]) for name in ("dataset", "embed", "index"))
    with (progress or Progress()).stage("Exported") as line, FeatureFile(embedded.file("features.h5")) as features:
        corpus = np.ones(int(index.facts["ntotal"]), dtype=np.bool_)
        corpus[rows_of(index, MASKED)] = False
        source = _Source(build, dataset, features, corpus, line)
        with whole(path) as hidden:
            line.detail = _npy(hidden, source, raw) if form == NPY else _benchmark(hidden, source, form)
    return path


def free_path(out: str) -> Path:
    """Return the absolute path to write to; RecipeError where something is there, or no folder for it."""
    path = Path(os.path.abspath(os.path.expanduser(out)))
    if os.path.lexists(path):
        raise RecipeError(f"{path} exists, and nothing is overwritten", hint="give another --out, or move it away")
    if not path.parent.is_dir():
        raise RecipeError(f"--out: no folder {path.parent}", hint="make it, or give another place")
    return path


def _check(path: Path, form: str, raw: bool) -> None:
    if raw and form != NPY:
        raise RecipeError(
            f"--raw goes with --format {NPY}: in {form} distances are of unit vectors", hint="leave it out"
        )
    if form == HDF5 and path.suffix.lower() not in (".hdf5", ".h5"):
        raise RecipeError(
            f"--out: expected a file that ends in .hdf5, seen {path.name}", hint=f"--out {path.name}.hdf5"
        )


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Hand out a hidden name beside `path`, renamed to it at the end; removed when that is not reached."""
    hidden = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        yield hidden
        for file in (p for p in (hidden, *hidden.rglob("*")) if p.is_file()):
            with file.open("rb") as written:
                os.fsync(written.fileno())
        if os.path.lexists(path):
            raise RecipeError(f"{path} exists by now, and nothing is overwritten", hint="give another --out")
        os.rename(hidden, path)
        try:
            fsync(path.parent)
        except BaseException:  # a command that failed leaves nothing in the way of the same command
            os.rename(path, hidden)
            raise
    except BaseException:
        if hidden.is_dir():
            shutil.rmtree(hidden, ignore_errors=True)
        else:
            hidden.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class _Source:
    """What is exported: the table of images and their features; `corpus` are the rows that a query finds."""

    build: Build
    dataset: Artifact
    features: FeatureFile
    corpus: Flags
    progress: Progress

    def blocks(self, start: int, stop: int, wanted: Flags | None = None, *, raw: bool = False) -> Blocks:
        """Yield the embeddings (or features) of rows [start, stop), those `wanted` (stop - start,), block by block."""
        for first in range(start, stop, BLOCK):
            block = self.features.read(first, min(first + BLOCK, stop))
            block = block if wanted is None else block[wanted[first - start :][: len(block)]]
            if len(block):
                yield block if raw else normalize(block)
            self.progress(min(first + BLOCK, stop), stop, "rows")

    def records(self, stop: int) -> Iterator[ImageRecord]:
        return islice(read_records(self.dataset.path), stop)


def _npy(out: Path, source: _Source, raw: bool) -> str:
    rows, total, dim = int(source.corpus.sum()), len(source.corpus), source.features.shape[1]
    for name in ("img_emb", "metadata"):
        (out / name).mkdir(parents=True)
    write_npy(out / "img_emb" / "img_emb_0.npy", (rows, dim), source.blocks(0, total, source.corpus, raw=raw))
    named = ((r.image, r.label, r.row) for r in source.records(total) if source.corpus[r.row])
    table = write_metadata(out / "metadata" / "metadata_0", named)
    if table.suffix == ".csv":
        source.progress.say("Metadata is written as CSV: parquet needs pip install 'simsearch[parquet]'")
    return f"{rows:,} x {dim} float32, {'features' if raw else 'unit embeddings'}, {safe(table.name)}"


def _benchmark(out: Path, source: _Source, form: str) -> str:
    """Write the gallery, the queries and the exact neighbours of these in it."""
    gallery, (rows, dim) = int(source.dataset.facts["gallery"]), source.features.shape
    asked = np.fromiter((record.query for record in source.records(rows)), np.bool_, rows)
    kept = ~asked[:gallery]
    if not kept.any() or not asked.any():
        raise RecipeError(
            f"build {source.build.name} has no gallery apart from its queries", hint="--format npy has all its vectors"
        )
    train = partial(source.blocks, 0, gallery, kept)
    test = np.concatenate(list(source.blocks(0, rows, asked)))
    scores, neighbours = exact_neighbours(test, train(), NEIGHBOURS)
    searched = int(kept.sum())
    if form == HDF5:
        from simsearch.vectors.formats.hdf5 import write_hdf5

        distances = np.maximum(1 - scores, 0)  # rounding leads a little below 0
        write_hdf5(out, (searched, dim), train(), test, neighbours, distances)
    else:
        out.mkdir()
        write_vecs(out / "base.fvecs", train(), "<f4")
        write_vecs(out / "query.fvecs", [test], "<f4")
        write_vecs(out / "groundtruth.ivecs", [neighbours], "<i4")
    return f"{searched:,} x {dim}, {len(test):,} queries, {neighbours.shape[1]} exact neighbours each"
