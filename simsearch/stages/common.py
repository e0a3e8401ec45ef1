"""What stages hand to one another: the data, a trained bundle, the cached features of a frozen backbone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from simsearch.arrays import Floats, Integers
from simsearch.artifacts import Artifact
from simsearch.console import safe
from simsearch.images.records import ImageRecord, RecordTable, read_records, spread
from simsearch.images.sources.source import Reader
from simsearch.versions import usable_cores

THREADS = usable_cores()
BLOCK_ROWS = 8192
CURVES = "training.svg"  # of a train artifact; those made before have a training.png


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

    def spread(self, most: int) -> list[ImageRecord]:
        """At most so many records, evenly spread over all rows."""
        table = RecordTable(self.artifact.path)
        return [table[row] for row in spread(len(table), most).tolist()]

    def name(self, row: int) -> str:
        """The image in a row, safe to show."""
        return safe(RecordTable(self.artifact.path)[row].image)


@dataclass(frozen=True)
class Frozen:
    """A frozen backbone's artifacts: the network, the embedder that it is by itself, and its features of every row."""

    backbone: Artifact | None  # None: `trained` holds it, as it did before it was an artifact of its own
    trained: Artifact
    embedded: Artifact

    def features(self, rows: Integers) -> Floats:
        """The cached features (n, width) float32 of `rows` (n,)."""
        from simsearch.evaluation.systems import gather
        from simsearch.vectors.features import FeatureFile

        with FeatureFile(self.embedded.file("features.h5")) as file:
            return gather(file, rows)
