"""The HDF5 of ann-benchmarks: train, test, and for each test vector the exact neighbours in train, with distances."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Floats, Integers
from simsearch.errors import VectorsError, first_line
from simsearch.vectors.features import plain
from simsearch.vectors.formats.parts import MOST_DIM, NUMBERS, Part
from simsearch.vectors.plain_hdf5 import UNREADABLE, Table, open_to_read, write_tables

TRAIN, TEST, NEIGHBOURS = "train", "test", "neighbors"


class Hdf5Part(Part):
    """A plain data set of numbers (N, D) in an open HDF5 file.

    Raises VectorsError for a virtual, external or linked one: it can read any file of this machine.
    """

    def __init__(self, path: Path, file: h5py.File, name: str, kinds: str = NUMBERS) -> None:
        data, seen = plain(file, name, kinds)
        if seen is not None:
            raise VectorsError(
                f'{path}: expected "{name}" as one plain data set of numbers (N, D), seen {seen}',
                hint="write it anew as a plain data set: h5py's create_dataset(name, data=array)",
            )
        self._file, self._data = file, data
        super().__init__(path, (int(data.shape[0]), int(data.shape[1])))

    def raw(self, start: int, stop: int) -> NDArray[np.generic]:
        block: NDArray[np.generic] = self._data[start:stop]
        return block

    def close(self) -> None:
        self._file.close()


def open_hdf5(path: Path) -> tuple[Part, Part | None, Part | str | None, str | None]:
    """Return train, test, its neighbours and the distance that the file is made for; None for what it does not have.

    Neighbours that cannot be used are a sentence instead: the vectors themselves are good without them.

    Raises LockedError while another process writes to it, VectorsError for what cannot be used.
    """
    try:
        if not path.is_file():
            raise OSError("no such file" if not path.exists() else "not a regular file")
        file = open_to_read(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None
    try:
        try:
            names = sorted(map(os.fsdecode, file))  # bytes where they are no UTF-8
        except UNREADABLE as error:
            raise _damaged(path, error) from None
        if TRAIN not in names:
            raise VectorsError(
                f'{path}: expected the data sets "train" and maybe "test", seen {", ".join(names)[:200] or "none"}',
                hint="ann-benchmarks lays such files out: https://github.com/erikbern/ann-benchmarks",
            )
        test = Hdf5Part(path, file, TEST) if TEST in names else None
        known = _neighbours(path, file, test) if NEIGHBOURS in names else None
        return Hdf5Part(path, file, TRAIN), test, known, _distance(file)
    except BaseException:
        file.close()
        raise


def _damaged(path: Path, error: Exception) -> VectorsError:
    return VectorsError(
        f"cannot read {path}: expected an HDF5 file, seen: {first_line(error)}",
        hint="the file is cut off, damaged or no HDF5: copy or write it again",
    )


def _neighbours(path: Path, file: h5py.File, test: Part | None) -> Part | str | None:
    if test is None:
        return None
    data, seen = plain(file, NEIGHBOURS, "iu")
    if seen is None and not len(data) <= test.shape[0]:
        seen = f"{len(data):,} rows for {test.shape[0]:,} to search with"
    if seen is None and data.shape[1] > MOST_DIM:
        seen = f"{data.shape[1]:,} for each"
    if seen is not None:
        return f"its neighbours are not compared: expected whole numbers (Q, k), seen {seen}"
    return Hdf5Part(path, file, NEIGHBOURS, "iu")


def _distance(file: h5py.File) -> str | None:
    try:
        value = file.attrs.get("distance")
    except UNREADABLE:
        return None
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return value if isinstance(value, str) else None


def write_hdf5(
    path: Path,
    shape: tuple[int, int],
    train: Iterable[Floats],
    test: Floats,
    neighbours: Integers,
    distances: Floats,
) -> None:
    """Write an angular data set as ann-benchmarks does: `train` blocks make `shape` (N, D), `test` (Q, D), both unit.

    `neighbours` (Q, k) are rows of train, nearest first, `distances` (Q, k) are 1 - cosine. Raises DiskError
    before anything is written where the disk has no room for it.
    """
    attributes: dict[str, str | int] = {
        "type": "dense",
        "distance": "angular",
        "dimension": shape[1],
        "point_type": "float",
    }
    tables = [
        Table(TRAIN, shape, np.float32, train),
        *(
            Table(name, (len(values), values.shape[1]), dtype, [values])
            for name, values, dtype in (
                (TEST, test, np.float32),
                ("neighbors", neighbours, np.int32),
                ("distances", distances, np.float32),
            )
        ),
    ]
    write_tables(path, tables, attributes)
