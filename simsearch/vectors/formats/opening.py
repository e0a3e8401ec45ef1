"""Which format a file or folder is in, and what it holds."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from simsearch.console import safe
from simsearch.errors import VectorsError, near_path, near_words
from simsearch.vectors.formats.flat import NpyPart, VecsPart
from simsearch.vectors.formats.metadata import SEPARATORS, read_metadata, separator_of
from simsearch.vectors.formats.parts import Part, Vectors

FORMATS_HINT = "give a .npy file, a folder of .npy parts, an ann-benchmarks .hdf5 or a .fvecs file"
_EMBEDDINGS, _METADATA = "img_emb", "metadata"


@dataclass(frozen=True)
class VectorFile:
    """Opened vectors (N, D), with query vectors (Q, D) where the format has them.

    `neighbours` (at most Q, k) are the rows that the file itself holds for nearest to its queries, by its `distance`.
    `files` are all that decide what it holds; `names` and `labels` (N each) are None where nothing names the rows.
    `separators`: what parts the columns of its CSV where that is not the comma; a part of what the files hold.
    """

    path: Path
    vectors: Vectors
    files: list[Path]
    queries: Vectors | None = None
    names: list[str] | None = None
    labels: list[str] | None = None
    notes: list[str] = field(default_factory=list)
    neighbours: Part | None = None
    distance: str | None = None
    separators: str = ""

    def __post_init__(self) -> None:
        dims = self.vectors.shape[1], self.vectors.shape[1] if self.queries is None else self.queries.shape[1]
        if dims[0] != dims[1]:
            self.close()
            raise VectorsError(
                f"{self.path}: its queries are {dims[1]}-d, its vectors {dims[0]}-d",
                hint="what is searched with has the width of what is searched in",
            )

    def close(self) -> None:
        """Close the files."""
        self.vectors.close()


def open_vectors(place: str | Path) -> VectorFile:
    """Return what a file or folder holds. Raises VectorsError that says what was expected and seen.

    A .npy file; a folder of .npy parts, in it or in its img_emb/ (autofaiss and embedding-reader), with metadata/ or
    metadata_N beside them; an ann-benchmarks .hdf5 (train, test); a .fvecs file, or a folder of *base.fvecs and
    *query.fvecs.
    """
    if not str(place):
        raise VectorsError("expected a file or folder of vectors, seen an empty name", hint=FORMATS_HINT)
    path = Path(os.path.abspath(place))
    kind = path.suffix.lower()
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        said, near = near_words(str(path), near_path(path))
        raise VectorsError(f"no file or folder {path}{said}", hint=FORMATS_HINT, near=near)
    if kind == ".npy":
        return VectorFile(path, Vectors([NpyPart(path)]), [path])
    if kind == ".fvecs":
        return VectorFile(path, Vectors([VecsPart(path)]), [path])
    if kind in (".hdf5", ".h5"):
        return _open_hdf5(path)
    raise VectorsError(f"{path}: expected vectors, seen a file {kind or 'without a suffix'}", hint=FORMATS_HINT)


def _open_hdf5(path: Path) -> VectorFile:
    from simsearch.vectors.formats.hdf5 import open_hdf5  # h5py takes 119 ms, which a query from .npy need not pay

    train, test, known, distance = open_hdf5(path)
    notes = []
    if distance not in (None, "angular", "cosine"):
        notes.append(f"made for the distance {distance}; simsearch searches by angle, so its own neighbours differ")
    queries = None if test is None else Vectors([test])
    if isinstance(known, str):
        notes.append(known)
        known = None
    return VectorFile(path, Vectors([train]), [path], queries, notes=notes, neighbours=known, distance=distance)


def _open_folder(folder: Path) -> VectorFile:
    base = _files(folder, "base.fvecs")
    if base:
        return _open_vecs_folder(folder, base)
    parts = _files(folder / _EMBEDDINGS, ".npy") or _files(folder, ".npy")
    if not parts:
        raise VectorsError(f"{folder}: no .npy in it or in its {_EMBEDDINGS}/, and no base.fvecs", hint=FORMATS_HINT)
    vectors = Vectors([NpyPart(part) for part in parts])
    tables, notes = _tables(folder, parts)
    if not tables:
        return VectorFile(folder, vectors, parts, notes=notes)
    if len(tables) != len(parts):
        raise VectorsError(
            f"{folder}: {len(parts)} parts of vectors, {len(tables)} of {_METADATA}",
            hint="each part of vectors has one of metadata, in the order of their names",
        )
    _check_pairs(parts, tables)
    names: list[str] = []
    labels: list[str] = []
    separators = [separator_of(table) for table in tables]
    for part, table in zip(vectors.parts, tables, strict=True):
        found, given, note = read_metadata(table)
        notes += [note] if note else []
        if len(found) != part.shape[0]:
            raise VectorsError(
                f"{table}: {len(found):,} rows, {part.path.name} has {part.shape[0]:,}", hint="one row for each vector"
            )
        names += found
        labels += [""] * len(found) if given is None else given
    return VectorFile(
        folder,
        vectors,
        [*parts, *tables],
        names=names if any(names) else None,
        labels=labels if any(labels) else None,
        notes=notes[:1],
        separators="" if all(part == SEPARATORS[0] for part in separators) else "".join(separators),
    )


def _tables(folder: Path, parts: list[Path]) -> tuple[list[Path], list[str]]:
    """Return the metadata of the parts, in metadata/ or else beside them by that name, and what is said without any."""
    inside = folder / _METADATA
    if found := _files(inside, ".parquet") or _files(inside, ".csv"):
        return found, []
    if other := sorted(path.name for path in inside.glob("*")) if inside.is_dir() else []:
        seen = safe(", ".join(other))[:200]
        return [], [f"{_METADATA}/ names nothing: expected .parquet or .csv, seen {seen}"]
    places = dict.fromkeys([folder, parts[0].parent])
    beside = [path for end in (".parquet", ".csv") for place in places for path in _files(place, end)]
    named = [path for path in beside if path.name.lower().startswith(_METADATA)]
    found = [path for path in named if path.suffix.lower() == named[0].suffix.lower()]
    if len(found) == len(parts):
        return found, []
    if beside:
        seen = safe(", ".join(path.name for path in beside))[:200]
        return [], [f"rows have no names: {seen} not read, expected a {_METADATA}_N.csv or .parquet for each part"]
    return [], []


def _check_pairs(parts: list[Path], tables: list[Path]) -> None:
    """Raise VectorsError where a table's name says that it belongs to another part than the one in its place."""
    stems = [path.stem for path in parts], [path.stem for path in tables]
    numbers = [_telling([[int(n) for n in re.findall(r"\d+", stem)] for stem in group]) for group in stems]
    alike = set(stems[0]) & set(stems[1])
    for i, (part, table) in enumerate(zip(parts, tables, strict=True)):
        first, second = numbers[0][i], numbers[1][i]
        count = min(len(first), len(second)) if len(parts) > 1 or len(first) == len(second) else 0
        other = first[len(first) - count :] != second[len(second) - count :]
        if other or (alike and part.stem != table.stem):
            raise VectorsError(
                f"{table}: expected the metadata of {part.name}, seen by its name that of another part",
                hint="give each part and its metadata the same number: img_emb_2.npy, metadata_2.parquet",
            )


def _telling(numbers: list[list[int]]) -> list[list[int]]:
    """Return the numbers of each name without those that all names share, as a width."""
    if len(numbers) < 2 or len({len(row) for row in numbers}) > 1:
        return numbers
    kept = [i for i, column in enumerate(zip(*numbers, strict=True)) if len(set(column)) > 1]
    return [[row[i] for i in kept] for row in numbers]


def _open_vecs_folder(folder: Path, base: list[Path]) -> VectorFile:
    query = base[0].with_name(base[0].name[: -len("base.fvecs")] + "query.fvecs")
    if len(base) > 1:
        raise VectorsError(f"{folder}: expected one *base.fvecs, seen {len(base)}", hint="give the file itself")
    queries = Vectors([VecsPart(query)]) if query.is_file() else None
    return VectorFile(folder, Vectors([VecsPart(base[0])]), [*base, *([query] if queries else [])], queries)


def _files(folder: Path, end: str) -> list[Path]:
    """Return the files in a folder with that end, numbers in names compared as numbers: part_2 before part_10."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.name.lower().endswith(end) and not path.name.startswith(".")]
    return sorted(found, key=lambda path: [(text, int(n or -1)) for text, n in re.findall(r"(\D*)(\d*)", path.name)])
