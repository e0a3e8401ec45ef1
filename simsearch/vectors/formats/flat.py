"""Formats that are rows after a header: .npy, and .fvecs and .ivecs (each row with its width before it)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Floats
from simsearch.errors import VectorsError, first_line
from simsearch.vectors.formats.parts import NUMBERS, READABLE, Part, open_regular

_WIDTH = np.dtype("<i4")


class NpyPart(Part):
    """A .npy file of numbers (N, D). Raises VectorsError for any other; nothing in it is unpickled."""

    def __init__(self, path: Path) -> None:
        try:
            with open_regular(path) as file:
                shape, by_columns, dtype = _npy_header(file)
                self._offset, size = file.tell(), os.fstat(file.fileno()).st_size
        except OSError as error:
            raise VectorsError(f"cannot read {path}: {error.strerror or error}", hint=READABLE) from None
        except Exception as error:  # the header is read as Python, whose tokenizer and parser have errors of their own
            raise VectorsError(
                f"cannot read {path}: expected a .npy file, seen: {first_line(error)[:100]}",
                hint="numpy.save writes one",
            ) from None
        self._dtype = dtype
        if dtype.hasobject or dtype.kind not in NUMBERS or len(shape) != 2:
            raise VectorsError(
                f"{path}: expected numbers of the shape (N, D), seen {dtype} {shape}",
                hint="save vectors as rows of float32; one vector is numpy.save(FILE, v[None])",
            )
        expected = self._offset + shape[0] * shape[1] * dtype.itemsize
        if size != expected:
            raise VectorsError(
                f"{path}: its header promises {shape} {dtype}, that is {expected:,} bytes, seen {size:,}",
                hint="the file is cut off or damaged: copy or write it again",
            )
        self._by_columns = by_columns and min(shape) > 1
        super().__init__(path, shape)

    def raw(self, start: int, stop: int) -> NDArray[np.generic]:
        (rows, width), item = self.shape, self._dtype.itemsize
        with open_regular(self.path) as file:
            if self._by_columns:  # Fortran order, as numpy saves a transposed array: a part of each column
                ends = range(self._offset + start * item, self._offset + rows * width * item, rows * item)
                columns = []
                for offset in ends:
                    file.seek(0)
                    columns.append(np.fromfile(file, self._dtype, stop - start, offset=offset))
                return np.stack(columns, axis=1)
            count, offset = (stop - start) * width, self._offset + start * width * item
            return np.fromfile(file, self._dtype, count, offset=offset).reshape(stop - start, width)


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # headers that Python 2 wrote
        shape, by_columns, dtype = readers[version](file)
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"shape {shape}")
    return shape, by_columns, dtype


class VecsPart(Part):
    """A .fvecs file: for each row its width as int32, then so many float32, little-endian."""

    def __init__(self, path: Path) -> None:
        try:
            with open_regular(path) as file:
                head, size = file.read(4), os.fstat(file.fileno()).st_size
        except OSError as error:
            raise VectorsError(f"cannot read {path}: {error.strerror or error}", hint=READABLE) from None
        width = int(np.frombuffer(head, _WIDTH)[0]) if len(head) == 4 else 0
        record = 4 + 4 * width
        if width < 1 or size % record:
            raise VectorsError(
                f"{path}: expected rows of {width} float32, each after its width, seen {size:,} bytes",
                hint="the file is cut off, damaged or no .fvecs",
            )
        super().__init__(path, (size // record, width))

    def raw(self, start: int, stop: int) -> NDArray[np.generic]:
        width = self.shape[1]
        with open_regular(self.path) as file:
            count, offset = (stop - start) * (width + 1), start * 4 * (width + 1)
            rows = np.fromfile(file, _WIDTH, count, offset=offset).reshape(stop - start, width + 1)
        wrong = np.flatnonzero(rows[:, 0] != width)
        if len(wrong):
            raise ValueError(f"row {start + wrong[0]:,} says that it has {rows[wrong[0], 0]} numbers, not {width}")
        return rows[:, 1:].view("<f4")


def write_npy(path: Path, shape: tuple[int, int], blocks: Iterable[Floats]) -> None:
    """Write float32 blocks that make `shape` (N, D) to a .npy file, a block at a time."""
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype="<f4").data)


def write_vecs(path: Path, blocks: Iterable[NDArray[Any]], dtype: str) -> None:
    """Write blocks (n, D) as .fvecs (`dtype` "<f4") or .ivecs ("<i4"), a block at a time."""
    with path.open("wb") as file:
        for block in blocks:
            rows = np.empty((len(block), block.shape[1] + 1), dtype=_WIDTH)
            rows[:, 0] = block.shape[1]
            rows[:, 1:].view(dtype)[...] = block
            file.write(rows.data)
