"""Searcher: image -> embedding -> hits. What the command line, and later the web page and the nightly job, use.

This is the cold path: it imports numpy, ONNX Runtime, faiss and Pillow, and neither torch, pydantic, rich nor h5py.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simsearch.arrays import Floats, Pixels
from simsearch.artifacts import Artifact
from simsearch.changes.state import MASKED, rows_of
from simsearch.embedder.bundle.fingerprint import check_embedder
from simsearch.embedder.bundle.runtime import Runtime
from simsearch.errors import ArtifactError, ImageError, RecipeError, VectorsError
from simsearch.evaluation.false_accept import ROUNDING, false_accept_rate
from simsearch.home import Build, Home
from simsearch.images.decode import decode, read_bytes
from simsearch.images.preprocess import PREPROCESS_VERSION, Preprocess
from simsearch.images.records import ImageRecord, RecordTable
from simsearch.images.thumbnails import ThumbnailReader
from simsearch.search.hit import Hit
from simsearch.vectors.index import Deleted, FaissIndex
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import Search
from simsearch.versions import usable_cores

if TYPE_CHECKING:
    from simsearch.search.collapsing import Alike

BATCH = 32


class Searcher:
    """An opened build that answers images with their nearest neighbours in the corpus."""

    def __init__(self, build: Build) -> None:
        """Open a build; every file is checked against its sha256 before it is parsed.

        Raises ArtifactError when an artifact is missing, damaged or belongs to another build.
        """
        self.build = build
        again = "run the same simsearch build again" + (", with --retrain" if "synced" in build.record else "")
        stages = build.record["stages"]
        try:
            with Home(build.home).reading() as store:
                dataset, index, evaluated = (
                    store.open(name, **stages[name]) for name in ("dataset", "index", "evaluate")
                )
                train = None if build.of_vectors else store.open("train", **stages["train"])
            self.labelled = bool(build.record["labelled"])
            self.images = int(build.record["images"])
            self._search = Search.from_json(build.record["search"])
        except ArtifactError as error:
            raise build.damaged(error) from None
        except KeyError as error:
            raise ArtifactError(f"build {build.name} has no {error}", hint=again) from None
        self._embedder = None if train is None else _open_embedder(build.name, train, again)
        if train is not None:
            check_embedder(index, "the index", train, build.name)
        self._index = FaissIndex.load(index.file("index.faiss"), threads=1, mapped=True)
        self.widened, self.widened_last = 0, frozenset[int]()
        masked = rows_of(index, MASKED)
        self._deleted = Deleted(masked, self._index.ntotal) if len(masked) else None
        self._records = RecordTable(dataset.path)
        self._thumbnails = dataset.path
        # Builds of an earlier version have no such file; without labels it holds null.
        self.rated_when_built = "far.json" in evaluated.manifest["files"]
        self._far = json.loads(evaluated.file("far.json").read_bytes()) if self.rated_when_built else None
        dim = self._index.dim if self._embedder is None else self._embedder[1].dim
        if self._index.dim != dim or self._index.ntotal > len(self._records):
            raise ArtifactError(
                f"the index of build {build.name} has {self._index.ntotal} rows of {self._index.dim}-d, "
                f"its embedder makes {dim}-d features of {len(self._records)} images",
                hint=again,
            )

    def embed(self, images: Sequence[Pixels]) -> Floats:
        """Embeddings (N, dim) float32 of decoded images, each uint8 (H, W) or (H, W, 3)."""
        preprocess, runtime = self._needed_embedder()
        pixels = np.stack([preprocess.fit(image) for image in images])
        return normalize(runtime.features(preprocess.normalize(pixels)))

    def search(self, images: Sequence[str | os.PathLike[str] | bytes | Pixels], k: int = 10) -> list[list[Hit]]:
        """The k nearest images of the corpus for each image: a path, the bytes of a file, or a decoded array.

        Raises ImageError for the first image that cannot be decoded.
        """
        answers: list[list[Hit]] = []
        for start in range(0, len(images), BATCH):
            loaded = [self._load(image) for image in images[start : start + BATCH]]
            answers += self._hits([pixels for pixels, _ in loaded], [digest for _, digest in loaded], k)
        return answers

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self._index.dim

    def search_vectors(self, vectors: Floats, k: int = 10) -> list[list[Hit]]:
        """The k nearest images for each raw vector, (N, dim) float32, normalized here; their files are not looked for.

        Raises VectorsError for another dim and for a vector without direction.
        """
        found = self._nearest(normalize(vectors), k)
        return [
            [
                Hit(rank, score, record.label, record.image, None, row, False, self.false_accept_rate(score))
                for rank, (score, row) in enumerate(zip(scores, rows, strict=True), 1)
                for record in (self._records[row],)
            ]
            for scores, rows in zip(*found, strict=True)
        ]

    def alike(self) -> Alike:
        """What tells near-identical hits."""
        from simsearch.search.collapsing import Alike

        return Alike(self._records, None if self.build.of_vectors else self._thumbnails, self._index)

    def score(self, one: str | os.PathLike[str], other: str | os.PathLike[str]) -> float:
        """The score of two image files against each other, -1 to 1; ImageError for the first that cannot be read."""
        first, second = self._embed([self._load(image)[0] for image in (one, other)])
        return float(np.dot(first, second).clip(-1, 1))

    @property
    def least_false_accept_rate(self) -> float | None:
        """The lowest rate that so many different-label pairs can show; None where no rate is known."""
        return None if self._far is None else 1 / float(self._far["pairs"])

    def false_accept_rate(self, score: float) -> float | None:
        """The share of different-label pairs that score at least `score`, in (0, 1]; None where that is unknown."""
        return None if self._far is None else false_accept_rate(self._far, score)

    def picture(self, hit: Hit) -> Pixels:
        """The image of a hit, or its stored thumbnail where the file is not here, unreadable or another by now."""
        with suppress(ImageError):
            if hit.path is not None:
                data = read_bytes(Path(hit.path))
                if hashlib.sha256(data).hexdigest() == self._records[hit.row].sha256:
                    return decode(data)
        with ThumbnailReader(self._thumbnails) as thumbnails:
            return decode(thumbnails[hit.row])

    def _load(self, image: Any) -> tuple[Pixels, str]:
        if isinstance(image, np.ndarray):
            return image, ""
        size = self._needed_embedder()[0].size
        try:
            data = image if isinstance(image, bytes) else read_bytes(Path(image))
            return decode(data, at_least=size), hashlib.sha256(data).hexdigest()
        except ImageError as error:
            if isinstance(image, bytes):
                raise
            hint = (
                error.hint if os.path.exists(image) else "check the path; a folder, or - for paths on stdin, also works"
            )
            raise ImageError(f"cannot read {os.fspath(image)}: {error.message}", hint=hint) from None

    def _embed(self, images: list[Pixels]) -> Floats:
        try:
            return self.embed(images)
        except VectorsError as error:  # a feature without direction: this picture has no answer, others may
            raise ImageError(f"cannot compare this picture: {error.message}") from None

    def _hits(self, images: list[Pixels], digests: list[str], k: int) -> list[list[Hit]]:
        scores, rows = self._nearest(self._embed(images), k)
        return [self._answer(*found) for found in zip(scores, rows, digests, strict=True)]

    def _nearest(self, embeddings: Floats, k: int) -> tuple[list[list[float]], list[list[int]]]:
        """Scores and rows of the k nearest of each embedding, nearest first."""
        scores, rows, widened = self._index.search(embeddings, k, self._search, deleted=self._deleted)
        self.widened_last = frozenset(widened.tolist())
        self.widened += len(widened)
        # Rounding and coded indexes lead a little beyond the range of a cosine.
        return scores.clip(-1, 1).tolist(), rows.tolist()

    def _needed_embedder(self) -> tuple[Preprocess, Runtime]:
        if self._embedder is None:
            raise RecipeError(
                f"build {self.build.name} was made from vectors: it has no embedder for images",
                hint=f"simsearch query --vectors FILE.npy --build {self.build.name}, or --build names another build",
            )
        return self._embedder

    def _answer(self, scores: list[float], rows: list[int], digest: str) -> list[Hit]:
        """Hits in order; among equal scores the query's own file stands before its pixel-identical twins."""
        found = [(score, row, self._records[row]) for score, row in zip(scores, rows, strict=True)]
        best = scores[0] - ROUNDING if scores else 0.0
        found.sort(key=lambda hit: hit[0] < best or hit[2].sha256 != digest)
        return [self._hit(rank, *hit, digest) for rank, hit in enumerate(found, 1)]

    def _hit(self, rank: int, score: float, row: int, record: ImageRecord, digest: str) -> Hit:
        path = None
        if self.build.record["root"] is not None:
            candidate = os.path.join(self.build.record["root"], record.image)
            path = candidate if os.path.isfile(candidate) else None
        rate = self.false_accept_rate(score)
        return Hit(rank, score, record.label, record.image, path, row, record.sha256 == digest, rate)


def _open_embedder(build: str, train: Artifact, again: str) -> tuple[Preprocess, Runtime]:
    bundle = json.loads(train.file("embedder.json").read_bytes())
    if bundle["preprocessing"].get("version") != PREPROCESS_VERSION:
        raise ArtifactError(
            f"build {build} was made with preprocessing version {bundle['preprocessing'].get('version')}, "
            f"this simsearch has version {PREPROCESS_VERSION}",
            hint=again,
        )
    return Preprocess.from_json(bundle["preprocessing"]), Runtime(train.file("embedder.onnx"), threads=usable_cores())
