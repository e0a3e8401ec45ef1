"""Defects by patches: maps of a data set's pictures by the inner stages of its network, and a bank of normal ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsearch.arrays import Floats, Integers, Labels, Pixels
from simsearch.artifacts import Artifact
from simsearch.console import Progress
from simsearch.defects.bank import Choice, PatchBank
from simsearch.defects.maps import Mapper
from simsearch.embedder.bundle.inner import inner_maps
from simsearch.embedder.bundle.inner_network import InnerNetwork
from simsearch.embedder.bundle.trained import BACKBONE, WHOLE, backbone_of, preprocess_of
from simsearch.images.records import RecordTable
from simsearch.recipe.defects import Patch
from simsearch.stages.common import THREADS, Data

MOST_KEPT = 2 << 30  # bytes of maps that are kept on the disk until the detector is finished


def network_below(trained: Artifact, strides: list[int]) -> bytes:
    """Return the ONNX model of the inner maps of a train artifact's network; EmbedderError where it has none."""
    below = backbone_of(trained)
    bundle = trained.file(WHOLE) if below is None else below.file(BACKBONE)
    return inner_maps(bundle.read_bytes(), strides)


def mapper_of(model: bytes, trained: Artifact, patch: Patch) -> Mapper:
    """Return what makes the maps of pictures that a recipe asks for."""
    network = InnerNetwork(model, threads=1)
    return Mapper(network, preprocess_of(trained), patch.sides, local=patch.local, threads=THREADS)


def choice_of(patch: Patch) -> Choice:
    """Return how the bank is made."""
    return Choice(bank=patch.bank, per_image=patch.per_image, worst=patch.worst, fusion=patch.fusion)


@dataclass(frozen=True)
class PatchMaps:
    """Maps of the pictures of a data set, kept in `folder` while there is room, from where a killed fit goes on."""

    data: Data
    mapper: Mapper
    folder: Path
    progress: Progress

    def of(self, rows: Integers, title: str) -> Iterator[list[Floats]]:
        """Yield the maps of pictures in order; SourceError for one that is not what its record says."""
        table = RecordTable(self.data.artifact.path)
        kept = sum(path.stat().st_size for path in self.folder.glob("*.npz"))
        missing = [int(row) for row in rows if not self._place(row).exists()]
        fresh = self.mapper.each(self.picture(row, table) for row in missing)
        for done, row in enumerate(rows.tolist(), 1):
            if (place := self._place(row)).exists():
                with np.load(place, allow_pickle=False) as arrays:
                    yield [arrays[f"arr_{side}"] for side in range(len(arrays.files))]
            else:
                maps = next(fresh)
                if kept < MOST_KEPT:
                    partial = place.with_suffix(".partial")
                    with partial.open("wb") as file:
                        np.savez(file, *maps, allow_pickle=False)
                    kept += partial.stat().st_size
                    partial.rename(place)
                yield maps
            self.progress.tell(f"{title}: {done:,} of {len(rows):,} images")

    def _place(self, row: int) -> Path:
        return self.folder / f"{row}.npz"

    def picture(self, row: int, table: RecordTable | None = None) -> Pixels:
        """Return a picture, (H, W) or (H, W, 3) uint8; SourceError where it is not what its record says."""
        record = (table or RecordTable(self.data.artifact.path))[row]
        return self.data.reader.array(record.image, None, record.sha256)


def bank_of(maps: PatchMaps, rows: Integers, groups: Labels | None, patch: Patch) -> PatchBank:
    """Return the bank of normal pictures."""
    known = np.full(len(rows), -1, dtype=np.int64) if groups is None else groups
    return PatchBank.fit(maps.of(rows, "normal patches"), known, choice_of(patch))
