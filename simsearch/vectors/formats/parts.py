"""What every format comes to: parts of (n, D) numbers, joined into one table that is read in blocks as float32."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Floats
from simsearch.errors import VectorsError, first_line
from simsearch.vectors.normalize import norms

MOST_DIM = 16_384  # a block of 8,192 rows is then 512 MB
READABLE = "give a plain file that may be read"
NUMBERS = "fiu"  # kinds of dtype that are taken: float, int, unsigned


class Part(ABC):
    """One table of numbers in a file: `shape` (n, D), read in rows."""

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path = path
        self.shape = shape
        if not shape[0] or not 1 <= shape[1] <= MOST_DIM:
            raise VectorsError(
                f"{path}: expected at least one vector of 1 to {MOST_DIM:,} numbers, seen {shape[0]:,} of {shape[1]:,}",
                hint="vectors are rows: (N, D)",
            )

    @abstractmethod
    def raw(self, start: int, stop: int) -> NDArray[np.generic]:
        """Return rows [start, stop), (stop - start, D), as they are stored; OSError or ValueError when they are not."""

    def close(self) -> None:  # noqa: B027 - most files are open only while they are read
        """Close the file."""

    def stored(self, start: int, stop: int) -> NDArray[np.generic]:
        """Return what `raw` does. Raises VectorsError when the rows cannot be read."""
        try:
            return self.raw(start, stop)
        except (OSError, ValueError, RuntimeError) as error:
            raise VectorsError(
                f"{self.path}: rows {start:,} to {stop:,} cannot be read: {first_line(error)}",
                hint="is the file complete?",
            ) from error

    def read(self, start: int, stop: int) -> Floats:
        """Return rows [start, stop) as (stop - start, D) float32. Raises VectorsError when they cannot be read."""
        block = self.stored(start, stop)
        # What is beyond float32 becomes infinite, and a NaN of any kind NaN: both are refused by the row's number.
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(block, dtype=np.float32)


class Vectors:
    """Parts of one width, one after the other: raw vectors (N, D), with the `shape` and `read` of a feature file."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self._starts = np.cumsum([0, *(part.shape[0] for part in parts)]).tolist()
        for part in parts:
            if part.shape[1] != parts[0].shape[1]:
                raise VectorsError(
                    f"{part.path}: expected {parts[0].shape[1]}-d vectors as in {parts[0].path.name}, "
                    f"seen {part.shape[1]}-d",
                    hint="all parts of one set have one width",
                )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dim, (N, D)."""
        return self._starts[-1], self.parts[0].shape[1]

    def read(self, start: int, stop: int) -> Floats:
        """Return rows [start, stop) as (stop - start, D) float32."""
        found = []
        for part, first in zip(self.parts, self._starts[:-1], strict=True):
            inside = max(start - first, 0), min(stop - first, part.shape[0])
            if inside[0] < inside[1]:
                found.append(part.read(*inside))
        return found[0] if len(found) == 1 else np.concatenate(found)

    def blocks(self, size: int = 8192) -> Iterator[tuple[int, Floats]]:
        """Yield (first row, (n, D) float32) over all rows, each checked.

        Raises VectorsError that names the file and the first row that is zero, NaN or infinite: it has no direction.
        """
        for start in range(0, self.shape[0], size):
            block = self.read(start, min(start + size, self.shape[0]))
            lengths = norms(block)
            usable = np.isfinite(lengths) & (lengths > 0)
            if not usable.all():
                row = int(np.argmin(usable))
                raise self._refused(start + row, "zero" if lengths[row] == 0 else "NaN or infinite")
            yield start, block

    def _refused(self, row: int, seen: str) -> VectorsError:
        i = int(np.searchsorted(self._starts, row, side="right")) - 1
        return VectorsError(
            f"{self.parts[i].path}: row {row - self._starts[i]:,} is {seen} (as float32): it has no direction",
            hint="remove such rows, or mend what made them",
        )

    def close(self) -> None:
        """Close the files."""
        for part in self.parts:
            part.close()


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading: a FIFO that pretends to be one would hold up the command. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not a regular file")
    return os.fdopen(descriptor, "rb")
