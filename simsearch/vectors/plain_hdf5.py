"""HDF5 files of plain data sets: opened whoever else has them, written so that HDF5 never meets a full disk.

A full disk that HDF5 meets in closing a file ends the process with SIGSEGV. So HDF5 writes its few kilobytes of
headers into memory, with the places of the data sets in them; those and the numbers are written here, to a file whose
room was asked for before.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from simsearch.durable import reserve, writing
from simsearch.errors import LockedError, VectorsError
from simsearch.locks import NO_LOCKS

UNREADABLE = (OSError, KeyError, ValueError, RuntimeError, TypeError)  # what h5py raises in a file that is damaged


def open_to_read(path: Path, **options: Any) -> h5py.File:
    """Return an HDF5 file open for reading; where the file system has no locks, it is read without one.

    Raises LockedError when another process has it open for writing, OSError or ValueError for what is no HDF5 file.
    """
    try:
        return h5py.File(path, "r", **options)
    except OSError as error:
        said = str(error)
        # The second: this process has it open without a lock already.
        if error.errno in NO_LOCKS or "locking flag values" in said:
            return h5py.File(path, "r", locking=False, **options)
        if error.errno in (errno.EAGAIN, errno.EACCES) and "unable to lock" in said:
            raise LockedError(f"cannot read {path}: another process holds it open for writing") from None
        if "already open for write" in said:
            raise LockedError(
                f"cannot read {path}: it is marked as open for writing, by a process that has it open or died so",
                hint=f"close it there, or wait; if nothing has it open, h5clear -s {path} takes the mark away",
            ) from None
        raise


@dataclass(frozen=True)
class Table:
    """A data set to be: its shape, its dtype, and the blocks of rows that make it."""

    name: str
    shape: tuple[int, int]
    dtype: DTypeLike
    blocks: Iterable[NDArray[np.generic]]


def write_tables(path: Path, tables: Iterable[Table], attributes: Mapping[str, str | int] | None = None) -> None:
    """Write an HDF5 file of contiguous data sets, one after the other, not flushed.

    Raises DiskError before anything is written where the disk has no room, VectorsError for blocks that make another
    shape.
    """
    tables = list(tables)
    headers = _Sparse()
    places = []
    with h5py.File(headers, "w") as file:
        for key, value in (attributes or {}).items():
            file.attrs[key] = value
        for table in tables:
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_layout(h5py.h5d.CONTIGUOUS)
            plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # so that its place is known
            plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            plan.set_obj_track_times(False)
            space, dtype = h5py.h5s.create_simple(table.shape), h5py.h5t.py_create(np.dtype(table.dtype))
            places.append(h5py.h5d.create(file.id, table.name.encode(), dtype, space, plan).get_offset())
    with writing(path, headers.size), path.open("wb") as out:
        reserve(out.fileno(), headers.size)
        out.truncate(headers.size)
        for start, piece in headers.pieces:
            out.seek(start)
            out.write(piece)
        for table, place in zip(tables, places, strict=True):
            out.seek(place)
            _write_rows(out, table, path)


def _write_rows(out: BinaryIO, table: Table, path: Path) -> None:
    start = 0
    for block in table.blocks:
        if block.shape[1:] != table.shape[1:] or start + len(block) > table.shape[0]:
            raise VectorsError(f"{table.name} {path}: expected {table.shape}, seen {block.shape} at row {start}")
        out.write(np.ascontiguousarray(block, dtype=table.dtype).data)
        start += len(block)
    if start != table.shape[0]:
        raise VectorsError(f"{table.name} {path}: expected {table.shape[0]} rows, seen {start}")


class _Sparse:
    """A file in memory of the few pieces that were written to it; the rest reads as zeros."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, bytes]] = []
        self.size = self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        found = bytearray(max(0, min(count, self.size - self._at)))
        for start, piece in self.pieces:
            first, last = max(start, self._at), min(start + len(piece), self._at + len(found))
            if first < last:
                found[first - self._at : last - self._at] = piece[first - start : last - start]
        self._at += len(found)
        return bytes(found)

    def write(self, data: bytes) -> int:
        piece = bytes(data)
        self.pieces.append((self._at, piece))
        self._at += len(piece)
        self.size = max(self.size, self._at)
        return len(piece)

    def truncate(self, size: int) -> int:
        self.size = size
        self.pieces = [(start, piece[: size - start]) for start, piece in self.pieces if start < size]
        return size

    def flush(self) -> None:
        """Nothing waits to be written."""
