"""The images that a build searches, row by row: what its table says of them, their thumbnails and their files."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from simsearch.arrays import Flags, Integers
from simsearch.artifacts import Artifact
from simsearch.changes.state import DELETED, rows_of
from simsearch.errors import ImageError
from simsearch.home import Build
from simsearch.images.formats.decode import read_bytes
from simsearch.images.records import RecordTable, extra_columns, has_groups, read_columns
from simsearch.images.sources.urls import is_url
from simsearch.images.thumbnails import ThumbnailReader


class Corpus:
    """The table of a build's images, opened; several threads may use it until `close`.

    `indexed`: how many rows the index has; `masked`: those of them that no search may find.
    """

    def __init__(self, build: Build, dataset: Artifact, indexed: int, masked: Integers) -> None:
        self._build, self._dataset, self._indexed, self.masked = build, dataset, indexed, masked
        self.folder: Path = dataset.path
        self.records = RecordTable(dataset.path)
        self._thumbnails: ThumbnailReader | None = None
        self._opening = threading.Lock()

    def path(self, image: str) -> str | None:
        """Return the path of the file of an image; None where it is not on this machine."""
        root = self._build.record.root
        if root is None or is_url(root):
            return None
        path = os.path.join(root, image)
        return path if os.path.isfile(path) else None

    def original(self, row: int) -> bytes | None:
        """Return the bytes of the file of a row; None where it is not here, unreadable or another by now."""
        record = self.records[row]
        path = self.path(record.image)
        if path is not None:
            with suppress(ImageError):
                data = read_bytes(path)
                if hashlib.sha256(data).hexdigest() == record.sha256:
                    return data
        return None

    def thumbnail(self, row: int) -> bytes:
        """Return the stored thumbnail of a row, the bytes of a WebP file; ArtifactError where a build has none."""
        with self._opening:
            if self._thumbnails is None:
                self._thumbnails = ThumbnailReader(self.folder)
        return self._thumbnails[row]

    @cached_property
    def live(self) -> Flags:
        """Which rows of the table are there, (rows,): not deleted."""
        flags = np.ones(len(self.records), dtype=np.bool_)
        flags[rows_of(self._dataset, DELETED)] = False
        return flags

    @cached_property
    def searched(self) -> Integers:
        """The rows that a search may find, ascending."""
        flags = self.live[: self._indexed].copy()
        flags[self.masked] = False
        return np.flatnonzero(flags)

    @cached_property
    def names(self) -> dict[str, int]:
        """The row of each image that is there, by its name."""
        images, live = read_columns(self.folder, ["image"])[0], self.live
        return {image: row for row, image in enumerate(images) if live[row]}

    @cached_property
    def labels(self) -> list[str]:
        """The label of each row, deleted ones too."""
        return read_columns(self.folder, ["label"])[0]

    def counts(self) -> dict[str, int]:
        """Return how many images that are searched each label has, labels sorted; those without one are left out."""
        counted = Counter(self.labels[row] for row in self.searched.tolist())
        return {label: counted[label] for label in sorted(counted) if label}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What a filter may name: image, label, group where there are groups, and the further columns of a list."""
        labels = ("label",) if self._build.record.labelled else ()
        return ("image", *labels, *(("group",) if has_groups(self.folder) else ()), *extra_columns(self.folder))

    def said(self, row: int) -> dict[str, str]:
        """Return what the table says of a row, by column, as `columns` has them."""
        record = self.records[row]
        own = {"image": record.image, "label": record.label, "group": record.group}
        own |= dict(zip(extra_columns(self.folder), record.extras, strict=False))
        return {name: own[name] for name in self.columns}

    def beside(self, row: int) -> Iterator[int]:
        """Yield the other rows that are searched whose images lie in the same folder, by name."""
        folder = os.path.dirname(self.records[row].image)
        for other in self._folders.get(folder, ()):
            if other != row:
                yield other

    @cached_property
    def _folders(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        images, searched = read_columns(self.folder, ["image"])[0], self.searched.tolist()
        for row in sorted(searched, key=images.__getitem__):
            found.setdefault(os.path.dirname(images[row]), []).append(row)
        return found

    def close(self) -> None:
        """Close the files."""
        self.records.close()
        if self._thumbnails is not None:
            self._thumbnails.close()
