"""The table of images: one record a row, kept as images.csv, read as a stream or row by row.

File names are bytes that need not be UTF-8; they are carried with `surrogateescape`, so that every name that the
file system can hold survives the round trip. Beside the table lies the byte offset of each record, so that a query
reads the ten records that it shows and not all of them.
"""

from __future__ import annotations

import csv
import io
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from simsearch.arrays import Integers

COLUMNS = ("row", "image", "label", "fit", "val", "gallery", "query", "sha256")
GROUP = "group"  # a ninth column, only where groups are in use
EXTRA = "list:"  # what the names of further columns of a list begin with, which stand at the end
RECORDS = "images.csv"
OFFSETS = "images.offsets.npy"
_KEPT = 1 << 15  # records that a table remembers


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image: its row (= FAISS id), its stable name, its label ("" when unlabelled), its four flags and its group.

    The group of an image that is one of its own is "". `extras` is what a list says of it in further columns.
    """

    row: int
    image: str
    label: str
    fit: bool
    val: bool
    gallery: bool
    query: bool
    sha256: str
    group: str = ""
    extras: tuple[str, ...] = ()


def write_records(
    folder: Path, records: Iterable[ImageRecord], *, groups: bool = False, columns: Sequence[str] = ()
) -> None:
    """Write images.csv (a header line, flags as 0 or 1) and the offsets of its records into `folder`.

    `groups`: with the column of groups; `columns` are the names of further ones, which each record has its extras in.
    """
    with (folder / RECORDS).open("wb") as file:
        lines = _Lines(file)
        head = (*COLUMNS, *((GROUP,) if groups else ()), *(EXTRA + name for name in columns))
        offsets = array("q", (lines.add(head),))
        for record in records:
            offsets.append(offsets[-1] + lines.add(_fields(record, groups)))
    np.save(folder / OFFSETS, np.asarray(offsets, dtype=np.int64))


def extend_records(old: Path, out: Path, replaced: Mapping[int, ImageRecord], added: Iterable[ImageRecord]) -> None:
    """Write into `out` the table of the folder `old` with some rows replaced and others added at its end.

    What stays is copied as bytes: 100,000 rows take a fiftieth of the time of writing each anew.
    """
    data = memoryview((old / RECORDS).read_bytes())
    offsets = np.load(old / OFFSETS, allow_pickle=False)
    lengths = np.diff(offsets)
    groups = has_groups(old)
    position = 0
    with (out / RECORDS).open("wb") as file:
        lines = _Lines(file)
        for row in sorted(replaced):
            file.write(data[position : offsets[row]])
            position, lengths[row] = int(offsets[row + 1]), lines.add(_fields(replaced[row], groups))
        file.write(data[position:])
        more = array("q", (lines.add(_fields(record, groups)) for record in added))
    lengths = np.concatenate((offsets[:1], lengths, np.asarray(more, dtype=np.int64)))
    np.save(out / OFFSETS, np.cumsum(lengths))


def has_groups(folder: Path) -> bool:
    """Return whether the table of a folder has the column of groups."""
    return GROUP in _head(folder)


def extra_columns(folder: Path) -> tuple[str, ...]:
    """Return the names of the further columns of a list that the table of a folder has."""
    return tuple(name.removeprefix(EXTRA) for name in _head(folder) if name.startswith(EXTRA))


def _head(folder: Path) -> list[str]:
    with _opened(folder / RECORDS) as file:
        return next(csv.reader(file))


def read_names(folder: Path) -> tuple[list[str], list[str], list[str], list[str] | None]:
    """Return image, label, SHA-256 and group of every row in row order: what two states of a source are compared by.

    The groups are None where none are in use.
    """
    with _opened(folder / RECORDS) as file:
        head, *whole = csv.reader(file)
    groups = [row[8] for row in whole] if GROUP in head else None
    return [row[1] for row in whole], [row[2] for row in whole], [row[7] for row in whole], groups


def read_columns(folder: Path, names: Sequence[str]) -> list[list[str]]:
    """Return the fields of some columns of the table, by their names in its first line, in row order."""
    with _opened(folder / RECORDS) as file:
        rows = csv.reader(file)
        head = next(rows)
        places = [head.index(name) for name in names]
        found: list[list[str]] = [[] for _ in names]
        pairs = list(zip(places, found, strict=True))
        for row in rows:
            for place, column in pairs:
                column.append(row[place])
    return found


def read_records(folder: Path) -> Iterator[ImageRecord]:
    """Yield the records in row order, without holding the table in memory."""
    with _opened(folder / RECORDS) as file:
        rows = csv.reader(file)
        grouped = GROUP in next(rows)
        for row in rows:
            yield _record(row, grouped)


def _opened(path: Path) -> IO[str]:
    return path.open(newline="", encoding="utf-8", errors="surrogateescape")


def spread(rows: int, most: int) -> Integers:
    """Return at most so many of `rows` rows (n,), evenly spread over all of them, ascending."""
    return np.unique(np.linspace(0, rows - 1, min(most, rows)).round().astype(np.int64))


class RecordTable:
    """Random access to the records of a folder; reads only what is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offsets: Integers = np.load(folder / OFFSETS, mmap_mode="r", allow_pickle=False)
        self._descriptor = os.open(folder / RECORDS, os.O_RDONLY)
        self._grouped: bool | None = None
        self._kept: dict[int, ImageRecord] = {}

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, row: int) -> ImageRecord:
        found = self._kept.get(row)
        if found is None:
            if self._grouped is None:
                self._grouped = GROUP in self._fields(0, int(self._offsets[0]))
            found = _record(self._fields(int(self._offsets[row]), int(self._offsets[row + 1])), self._grouped)
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[row] = found
        return found

    def span(self, start: int, stop: int) -> list[ImageRecord]:
        """Return the records of rows [start, stop), read at once."""
        grouped = GROUP in self._fields(0, int(self._offsets[0]))
        return [_record(row, grouped) for row in self._rows(int(self._offsets[start]), int(self._offsets[stop]))]

    def _fields(self, start: int, stop: int) -> list[str]:
        return next(self._rows(start, stop))

    def _rows(self, start: int, stop: int) -> Iterator[list[str]]:
        text = os.pread(self._descriptor, stop - start, start).decode("utf-8", "surrogateescape")
        return iter(csv.reader(io.StringIO(text, newline="")))

    def close(self) -> None:
        """Close the files; the table is then empty."""
        self._offsets = np.zeros(1, dtype=np.int64)
        self._kept.clear()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()


def _fields(r: ImageRecord, groups: bool) -> tuple[object, ...]:
    flags = (int(r.fit), int(r.val), int(r.gallery), int(r.query))
    return (r.row, r.image, r.label, *flags, r.sha256, *((r.group,) if groups else ()), *r.extras)


class _Lines:
    """Lines of CSV at the end of a file, whose lengths in bytes are told."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer = csv.writer(self)

    def add(self, values: Iterable[object]) -> int:
        """Write one line; returns its bytes."""
        written: int = self._writer.writerow(values)  # what `write` returns
        return written

    def write(self, text: str) -> int:
        """Write what the csv module made of a line, which it hands over whole."""
        return self._file.write(text.encode("utf-8", "surrogateescape"))


def _record(values: list[str], grouped: bool) -> ImageRecord:
    row, image, label, *flags, sha256 = values[: len(COLUMNS)]
    fit, val, gallery, query = (flag == "1" for flag in flags)
    group, extras = (values[8], values[9:]) if grouped else ("", values[8:])
    return ImageRecord(int(row), image, label, fit, val, gallery, query, sha256, group, tuple(extras))
