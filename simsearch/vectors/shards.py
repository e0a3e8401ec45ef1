"""The shards of one embed run: files that survive a kill, listed once they are whole, joined into features.h5.

A shard holds the features of some rows, and behind them those of a few canaries: images that every machine embeds
beside its own, so that shards of machines which compute otherwise are told apart before they are joined.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simsearch.arrays import Floats
from simsearch.durable import fsync, replaced, writing
from simsearch.errors import VectorsError
from simsearch.hashing import sha256_file
from simsearch.versions import cpu, versions

SHARD_ROWS = 8192
LIST = "shards.jsonl"
MOST_APART = 1e-6  # of a component of a canary's feature, as a share of that feature's length


@dataclass(frozen=True)
class Shard:
    """A line of the list: rows [start, start + n) of `dim` numbers, its file, and the machine that made it."""

    start: int
    n: int
    canaries: int
    dim: int
    size: int
    sha256: str
    machine: dict[str, Any]


def this_machine() -> dict[str, Any]:
    """Return the CPU and the versions of this process: where they differ, features may."""
    return {"cpu": cpu(), **versions()}


class Shards:
    """The (rows, dim) float32 features of one embed run below a folder, in files until they are joined.

    The list has a line for each shard, written after its file. One process writes at a time.
    """

    def __init__(self, folder: Path, rows: int, dim: int, shard_rows: int = SHARD_ROWS, canaries: int = 0) -> None:
        if rows < 1:
            raise VectorsError(f"features of {rows} rows cannot be written", hint="give at least one readable image")
        self.folder = folder
        self.rows = rows
        self.dim = dim
        self.shard_rows = shard_rows
        self.canaries = canaries
        self._read: dict[int, str] = {}  # the sha256 of files that were read or written here

    def __len__(self) -> int:
        return -(-self.rows // self.shard_rows)

    def spans(self) -> list[tuple[int, int]]:
        """Return the (start, stop) rows of each shard."""
        return [(start, min(start + self.shard_rows, self.rows)) for start in range(0, self.rows, self.shard_rows)]

    def missing(self) -> list[tuple[int, int]]:
        """Return the (start, stop) rows of each shard that is not there whole; damaged ones are removed."""
        listed = self._listed()
        missing = []
        for start, stop in self.spans():
            if not self._whole(listed.get(start), start, stop):
                self._path(start).unlink(missing_ok=True)
                missing.append((start, stop))
        return missing

    def write(
        self, start: int, features: Floats, canaries: Floats | None = None, machine: dict[str, Any] | None = None
    ) -> None:
        """Keep the shard that begins at row `start`, durably: (n, dim) features, and (c, dim) of the canaries.

        `machine` made it, else this one. NaN passes here; normalization names the image later. Raises VectorsError for
        another shape or dtype.
        """
        behind = np.empty((0, self.dim), np.float32) if canaries is None else canaries
        n, seen = min(self.shard_rows, self.rows - start), [(one.dtype.name, one.shape) for one in (features, behind)]
        if start % self.shard_rows or seen != [("float32", (rows, self.dim)) for rows in (n, self.canaries)]:
            raise VectorsError(
                f"shard of features at row {start}: expected float32 {(n, self.dim)} at a multiple of "
                f"{self.shard_rows} and {self.canaries} canaries, seen {seen}"
            )
        path = self._path(start)
        with writing(path, features.nbytes), replaced(path) as temporary:
            with temporary.open("wb") as file:
                np.save(file, np.concatenate((features, behind)), allow_pickle=False)
            size, sha256 = temporary.stat().st_size, sha256_file(temporary)
        self._list(Shard(start, n, self.canaries, self.dim, size, sha256, machine or this_machine()))
        self._read[start] = sha256

    def join(self, out: Path) -> None:
        """Write all shards to the HDF5 file `out` (one plain contiguous data set), flush it, then remove the shards.

        Memory: one shard. Raises as `parts` does, and when the file cannot be written.
        """
        from simsearch.vectors.features import write_features  # h5py, which an unchanged build does without

        write_features(out, (self.rows, self.dim), self.parts())
        for start, _ in self.spans():
            self._path(start).unlink()
        (self.folder / LIST).unlink()

    def parts(self) -> Iterator[Floats]:
        """Yield the features of the shards in order.

        Raises VectorsError before the first where one is missing, or where canaries tell that two of them are of
        machines that compute otherwise.
        """
        if missing := self.missing():
            raise VectorsError(
                f"{len(missing)} shards of features are missing, the first is rows {missing[0]} in {self.folder}"
            )
        self._refuse_unlike()
        return (self._load(start)[: stop - start] for start, stop in self.spans())

    def _refuse_unlike(self) -> None:
        listed = self._listed()
        shards = [listed[start] for start, _ in self.spans()]
        first, seen = shards[0], [shards[0].machine]
        for shard in shards:
            if shard.machine in seen:
                continue
            seen.append(shard.machine)
            a, b = (self._load(one.start)[one.n :] for one in (first, shard))
            if (most := apart(a, b)) > MOST_APART:
                keys = [key for key in shard.machine if shard.machine[key] != first.machine.get(key)]
                ways = (", ".join(f"{key} {one.machine.get(key)}" for key in keys) for one in (first, shard))
                raise VectorsError(
                    f"two machines give other features of the same {self.canaries} images, {most:.1e} of their length "
                    f"apart (expected at most {MOST_APART}): rows from {first.start} and from {shard.start} on were "
                    f"made with {' and with '.join(ways)}",
                    hint=f"embed on machines of one kind, with the same versions; remove {self.folder} to begin anew",
                )

    def _whole(self, shard: Shard | None, start: int, stop: int) -> bool:
        if shard is None or (shard.n, shard.canaries, shard.dim) != (stop - start, self.canaries, self.dim):
            return False
        path = self._path(start)
        with suppress(OSError):
            if path.stat().st_size == shard.size:
                if start not in self._read:
                    self._read[start] = sha256_file(path)
                return self._read[start] == shard.sha256
        return False

    def _load(self, start: int) -> Floats:
        shard: Floats = np.load(self._path(start), allow_pickle=False)
        return shard

    def _path(self, start: int) -> Path:
        return self.folder / f"shard-{start:010d}.npy"

    def _listed(self) -> dict[int, Shard]:
        """The shards of the list by their first rows, the last line of each; half a line, as a kill leaves, is none."""
        found = {}
        with suppress(FileNotFoundError):
            for line in (self.folder / LIST).read_bytes().splitlines():
                with suppress(ValueError, TypeError):
                    shard = Shard(**json.loads(line))
                    found[shard.start] = shard
        return found

    def _list(self, shard: Shard) -> None:
        path = self.folder / LIST
        with writing(path), path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            else:
                fsync(self.folder)
            file.write(json.dumps(asdict(shard), sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def apart(one: Floats, other: Floats) -> float:
    """Return the largest difference of a component of two (n, dim) features, as a share of the length of its row.

    Rows of NaN are of images that could not be read there, and tell nothing.
    """
    told = ~(np.isnan(one).all(axis=1) | np.isnan(other).all(axis=1))
    one, other = one[told], other[told]
    alike = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        lengths = np.maximum(np.linalg.norm(one, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        shares = np.where(alike, 0, np.abs(one - other) / lengths)
    return float(np.nan_to_num(shares, nan=np.inf).max(initial=0))
