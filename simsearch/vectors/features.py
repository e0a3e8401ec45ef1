"""The HDF5 file of raw features: written and read in blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.durable import replaced
from simsearch.errors import VectorsError, disk_error
from simsearch.vectors.plain_hdf5 import UNREADABLE, Table, open_to_read, write_tables

DATASET = "features"
_CHUNK_BYTES = 1 << 20  # of the cache of chunks, which grows to 8 MB by default; files of before are in chunks


def write_features(out: Path, shape: tuple[int, int], blocks: Iterable[Floats]) -> None:
    """Write the (rows, dim) features that `blocks` hold in order to the HDF5 file `out`, flushed to the disk.

    Raises DiskError on a full disk, VectorsError when the blocks hold other than `shape` or the file cannot be made.
    """
    try:
        with replaced(out) as temporary:
            write_tables(temporary, [Table(DATASET, shape, np.float32, blocks)])
    except OSError as error:
        raise disk_error(error, out) or VectorsError(f"cannot write features {out}: {error}") from error


class FeatureFile:
    """An open features.h5: raw float32 features (N, D) in row order.

    Raises LockedError while another process writes to it, and VectorsError, with path, expected and seen, for anything
    but one plain, whole data set: virtual, external and linked ones can read other files, and all of them read what is
    missing as zeros without an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mapped: Floats | None = None
        try:
            self._file = open_to_read(path, rdcc_nbytes=_CHUNK_BYTES)
        except (OSError, ValueError) as error:
            raise VectorsError(f"cannot read features {path}: expected an HDF5 file, seen: {error}") from error
        self._data, seen = plain(self._file, DATASET)
        if seen is not None:
            self._file.close()
            expected = f'one plain float32 data set "{DATASET}" (N, D)'
            raise VectorsError(f"cannot read features {path}: expected {expected}, seen {seen}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dim, (N, D)."""
        rows, dim = self._data.shape
        return int(rows), int(dim)

    def read(self, start: int, stop: int) -> Floats:
        """Return rows [start, stop) as (stop - start, D) float32. Raises VectorsError for rows that are not there."""
        if not 0 <= start <= stop <= self.shape[0]:
            raise VectorsError(
                f"features {self.path}: expected rows within 0 to {self.shape[0]}, seen {start} to {stop}"
            )
        try:
            block: Floats = self._data[start:stop]
        except UNREADABLE as error:
            raise VectorsError(f"cannot read features {self.path}, rows {start} to {stop}: {error}") from error
        return block

    def at(self, rows: Integers) -> Floats:
        """Return the features of ascending rows, (n, D) float32, read where they lie.

        Raises VectorsError for rows that are not there.
        """
        if len(rows) and not 0 <= rows[0] <= rows[-1] < self.shape[0]:
            raise VectorsError(
                f"features {self.path}: expected rows within 0 to {self.shape[0]}, seen {rows[0]} to {rows[-1]}"
            )
        offset = self._data.id.get_offset()
        if offset is None:  # files of before are in chunks
            return np.concatenate([self.read(row, row + 1) for row in rows.tolist()] or [self.read(0, 0)])
        if self._mapped is None:
            self._mapped = np.memmap(self.path, self._data.dtype, "r", offset, self.shape)
        found: Floats = np.asarray(self._mapped[rows], dtype=np.float32)
        return found

    def blocks(self, start: int, stop: int, size: int = 65536) -> Iterator[Floats]:
        """Yield rows [start, stop) in blocks of at most `size` rows, (n, D) float32."""
        for first in range(start, stop, size):
            yield self.read(first, min(first + size, stop))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> FeatureFile:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def plain(file: h5py.File, name: str, kinds: str | None = None) -> tuple[Any, str | None]:
    """Return a data set, and what keeps it from being plain and whole, (N, D) of float32 or of `kinds` of dtype."""
    try:
        link = file.get(name, getlink=True)
        data = file[name] if isinstance(link, h5py.HardLink) else None
        return data, _refusal(data, kinds)
    except UNREADABLE as error:
        return None, str(error).strip("'\"")


def _refusal(data: Any, kinds: str | None) -> str | None:
    if not isinstance(data, h5py.Dataset):
        return "no such data set, or a link"
    if data.is_virtual or data.external:
        return "a virtual or external data set"
    fits = data.dtype == np.float32 if kinds is None else data.dtype.kind in kinds
    if not fits or data.ndim != 2 or 0 in data.shape:
        return f"{data.dtype} {data.shape}"
    # A chunk or a tail that was never written reads as fill values; only the storage shows it.
    if data.chunks is None:
        whole = data.id.get_storage_size() == data.size * data.dtype.itemsize
    else:
        whole = data.id.get_num_chunks() == -(-data.shape[0] // data.chunks[0]) * -(-data.shape[1] // data.chunks[1])
    return None if whole else "a data set with parts that were never written"
