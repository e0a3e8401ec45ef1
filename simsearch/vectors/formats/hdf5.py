"""The HDF5 of ann-benchmarks: train, test, and for each test vector the exact neighbours in train, with distances."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Floats, Integers
from simsearch.errors import VectorsError
from simsearch.vectors.features import plain
from simsearch.vectors.formats.parts import NUMBERS, Part

TRAIN, TEST = "train", "test"
_AROUND = 1 << 16  # bytes of HDF5 around the numbers, at most


class Hdf5Part(Part):
    """A plain data set of numbers (N, D) in an open HDF5 file.

    Raises VectorsError for a virtual, external or linked one: it can read any file of this machine.
    """

    def __init__(self, path: Path, file: h5py.File, name: str) -> None:
        data, seen = plain(file, name, NUMBERS)
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


def open_hdf5(path: Path) -> tuple[Part, Part | None, str | None]:
    """Return train, test (None without one) and the distance that the file is made for (None where it does not say)."""
    try:
        if not path.is_file():
            raise OSError("no such file" if not path.exists() else "not a regular file")
        file = h5py.File(path, "r")
    except (OSError, ValueError) as error:
        raise VectorsError(
            f"cannot read {path}: expected an HDF5 file, seen: {error}",
            hint="the file is cut off, damaged or no HDF5: copy or write it again",
        ) from None
    try:
        names = sorted(file)
        if TRAIN not in names:
            raise VectorsError(
                f'{path}: expected the data sets "train" and maybe "test", seen {", ".join(names)[:200] or "none"}',
                hint="ann-benchmarks lays such files out: https://github.com/erikbern/ann-benchmarks",
            )
        test = Hdf5Part(path, file, TEST) if TEST in names else None
        return Hdf5Part(path, file, TRAIN), test, _distance(file)
    except BaseException:
        file.close()
        raise


def _distance(file: h5py.File) -> str | None:
    try:
        value = file.attrs.get("distance")
    except (OSError, KeyError, ValueError, RuntimeError, TypeError):
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

    `neighbours` (Q, k) are rows of train, nearest first, `distances` (Q, k) are 1 - cosine. Raises OSError before
    anything is written where the disk has no room for it.
    """
    _reserve(path, 4 * (shape[0] * shape[1] + test.size + neighbours.size + distances.size) + _AROUND)
    with h5py.File(path, "w") as file:
        attributes: dict[str, Any] = {"type": "dense", "distance": "angular", "dimension": shape[1]}
        for key, value in {**attributes, "point_type": "float"}.items():
            file.attrs[key] = value
        data, start = file.create_dataset(TRAIN, shape, np.float32), 0
        for block in train:
            data[start : start + len(block)] = block
            start += len(block)
        file.create_dataset(TEST, data=test.astype(np.float32, copy=False))
        file.create_dataset("neighbors", data=neighbours.astype(np.int32))
        file.create_dataset("distances", data=distances.astype(np.float32, copy=False))


def _reserve(path: Path, size: int) -> None:
    """Ask the system for `size` bytes: HDF5 on a full disk raises RuntimeError and prints tracebacks to the end."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
