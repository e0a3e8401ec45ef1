"""What stages hand to one another: the data, a trained bundle, the cached features of a frozen backbone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.artifacts import Artifact
from simsearch.console import safe
from simsearch.images.preprocess import Preprocess
from simsearch.images.records import ImageRecord, RecordTable, read_records
from simsearch.images.source import Reader
from simsearch.versions import usable_cores

THREADS = usable_cores()
BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Data:
    """The dataset artifact and the reader of the source that it was made from."""

    artifact: Artifact
    reader: Reader

    @property
    def facts(self) -> dict[str, Any]:
        """Counts and views, as make_dataset returned them."""
        return self.artifact.facts

    def view(self, view: str) -> dict[str, str]:
        """A reference to the part of the dataset that a stage looks at: its digest is a digest of that content."""
        digest = str(self.facts["views"][view])
        return {"digest": digest, "content": digest}

    def records(self) -> Iterator[ImageRecord]:
        """The table of images, streamed."""
        return read_records(self.artifact.path)

    def name(self, row: int) -> str:
        """The image in a row, safe to show."""
        return safe(RecordTable(self.artifact.path)[row].image)


def bundle_of(trained: Artifact) -> tuple[dict[str, Any], Preprocess]:
    """embedder.json of a train artifact, and its preprocessing."""
    bundle = json.loads(trained.file("embedder.json").read_bytes())
    return bundle, Preprocess.from_json(bundle["preprocessing"])


@dataclass(frozen=True)
class Frozen:
    """The frozen backbone's artifacts: its bundle, and its features of every row."""

    trained: Artifact
    embedded: Artifact

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing that the cached features were made with."""
        return bundle_of(self.trained)[1]

    def features(self, rows: Integers) -> Floats:
        """The cached features (n, width) float32 of ascending `rows` (n,)."""
        from simsearch.vectors.features import FeatureFile

        with FeatureFile(self.embedded.file("features.h5")) as file:
            parts = []
            for start in range(0, file.shape[0], BLOCK_ROWS):
                inside = rows[(rows >= start) & (rows < start + BLOCK_ROWS)]
                if len(inside):
                    parts.append(file.read(start, min(start + BLOCK_ROWS, file.shape[0]))[inside - start])
        return np.concatenate(parts)
