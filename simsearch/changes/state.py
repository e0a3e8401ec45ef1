"""What a build holds: the images of its rows, which rows are deleted, which images were set aside."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simsearch.arrays import Integers
from simsearch.artifacts import Artifact, unescaped
from simsearch.images.quarantine import SetAside, read_quarantine
from simsearch.images.records import EXTRA, extra_columns, read_columns, read_names

DELETED = "deleted.npy"  # in a dataset artifact: rows whose images are gone, (n,) int64 ascending
MASKED = "masked.npy"  # in an index artifact: rows that no search may find: those, and query-only rows where asked


def rows_of(artifact: Artifact, name: str) -> Integers:
    """Deleted or masked rows of an artifact, (n,) int64 ascending; none where it has no such file."""
    if name not in artifact.manifest["files"]:
        return np.empty(0, dtype=np.int64)
    rows: Integers = np.load(artifact.file(name), allow_pickle=False)
    return rows


@dataclass
class State:
    """The images of a dataset artifact; `rows` gives the row of each that is not deleted, by name."""

    images: list[str]
    labels: list[str]
    digests: list[str]
    deleted: Integers
    set_aside: dict[str, SetAside]
    groups: list[str] | None = None  # of each row, where groups are in use
    columns: tuple[str, ...] = ()  # names of further columns of a list that are kept
    extras: list[tuple[str, ...]] = field(default_factory=list)  # what each row has in them, where there are any
    mended: frozenset[str] = frozenset()  # the images that have their label of a file of labels
    rows: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        gone = set(self.deleted.tolist())  # a name may have had other rows before
        self.rows = {image: row for row, image in enumerate(self.images) if row not in gone}

    @classmethod
    def of(cls, dataset: Artifact) -> State:
        """The state that a dataset artifact stands for."""
        images, labels, digests, groups = read_names(dataset.path)
        aside = {one.image: one for one in read_quarantine(dataset.path)}
        columns = extra_columns(dataset.path)
        extras = list(zip(*read_columns(dataset.path, [EXTRA + name for name in columns]), strict=True))
        mended = frozenset(map(unescaped, dataset.facts.get("mended", ())))
        return cls(images, labels, digests, rows_of(dataset, DELETED), aside, groups, columns, extras, mended)
