"""Vectors that other tools made: .npy, .fvecs, HDF5, and folders of them with lists of names."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from campaign.fuzz.files import Files
from campaign.fuzz.mutating import value
from campaign.fuzz.parser import Input, Parser, Wrong

ROWS = np.random.default_rng(7).standard_normal((40, 8)).astype(np.float32)
MOST_ROWS = 100_000  # of an answer that are read


def make_npy(folder: Path) -> None:
    """Write rows in several types and orders."""
    for kind in ("<f4", "<f8", ">f2", "<i2", "|u1"):
        np.save(folder / f"{kind[1:]}.npy", (ROWS * 30 + 90).astype(kind))
    np.save(folder / "columns.npy", np.asfortranarray(ROWS))
    with (folder / "second.npy").open("wb") as file:
        np.lib.format.write_array(file, ROWS, version=(2, 0))


def make_fvecs(folder: Path) -> None:
    """Write rows with their widths."""
    from simsearch.vectors.formats.flat import write_vecs

    write_vecs(folder / "base.fvecs", [ROWS], "<f4")
    write_vecs(folder / "wide.fvecs", [ROWS.reshape(2, -1)], "<f4")


def make_hdf5(folder: Path) -> None:
    """Write data sets as we do, and as others may: in chunks, compressed, of other numbers, by newer headers."""
    import h5py

    from simsearch.vectors.formats.hdf5 import write_hdf5

    queries, near = ROWS[:5], np.arange(15, dtype=np.int32).reshape(5, 3)
    write_hdf5(folder / "ours.hdf5", ROWS.shape, [ROWS], queries, near, near.astype(np.float32))
    for name, version, options in (
        ("plain", "earliest", {}),
        ("new", "latest", {}),
        ("chunks", "earliest", {"chunks": (16, 8), "compression": "gzip", "shuffle": True}),
        ("sums", "latest", {"chunks": (7, 8), "compression": "lzf", "fletcher32": True}),
    ):
        with h5py.File(folder / f"{name}.hdf5", "w", libver=version) as file:
            file.create_dataset("train", data=ROWS.astype("<f8" if name == "new" else "<f4"), **options)
            file.create_dataset("test", data=queries)
            file.create_dataset("neighbors", data=near.astype(">i8" if name == "plain" else "<i4"))
            file.attrs["distance"] = "angular"


def make_named(folder: Path) -> None:
    """Write folders of parts with lists of names, in CSV and in parquet."""
    for end in ("csv", "parquet"):
        for part in range(2):
            place = folder / end
            (place / "img_emb").mkdir(parents=True, exist_ok=True)
            (place / "metadata").mkdir(exist_ok=True)
            np.save(place / "img_emb" / f"img_emb_{part}.npy", ROWS[part::2])
            _write_names(place / "metadata" / f"metadata_{part}.{end}", part)


def _write_names(path: Path, part: int) -> None:
    names = [f"ä {row}, x.jpg" for row in range(20)]
    labels = [f"kind {row % 3}" if row else None for row in range(20)]
    if path.suffix == ".csv":
        file = io.StringIO(newline="")
        csv.writer(file, delimiter=",;"[part]).writerows([("image_path", "label"), *zip(names, labels, strict=True)])
        path.write_bytes(file.getvalue().encode("utf-16" if part else "utf-8-sig"))
        return
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"image_path": names, "label": labels, "number": list(range(20)), "lists": [[1]] * 20})
    parquet.write_table(table, path, compression="snappy" if part else "NONE", use_dictionary=bool(part))


class Vectors(Files):
    """Reads all rows of what is opened; each answer is finite and has a direction."""

    def answer(self, path: Path) -> Any:
        from simsearch.vectors.formats import open_vectors

        file = open_vectors(self.place(path))
        try:
            found: list[Any] = [file.vectors.shape, file.names, file.labels, file.notes, file.distance]
            found += [_rows(table) for table in (file.vectors, file.queries) if table is not None]
            if file.neighbours is not None:
                found.append(file.neighbours.stored(0, min(file.neighbours.shape[0], 256)).tobytes())
            for column in (file.names, file.labels):
                if column is not None and len(column) != file.vectors.shape[0]:
                    raise Wrong(f"{len(column)} words for {file.vectors.shape[0]} rows")
            return found
        finally:
            file.close()

    def place(self, path: Path) -> Path:
        """Return what is opened where a file was changed."""
        return path


class Headers(Vectors):
    """Changes the words in the header of .npy files too, under a length that is right."""

    def changed(self, chosen: Random) -> Input:
        if chosen.random() < 0.6:
            return super().changed(chosen)
        name = chosen.choice(list(self.files))
        data = self.files[name]
        start = 12 if data[6] == 2 else 10
        end = data.index(b"\n") + 1
        kinds = ["<f4", "<f8", "|O", "<U3", "|V8", "<c8", "<M8[s]", "|b1", [["a", "<f4"]], "f4,f4"]
        header = {"descr": "<f4", "fortran_order": False, "shape": (40, 8)}
        header["descr"] = chosen.choice(kinds)
        shape = value(chosen, [40, 8])
        header["shape"] = tuple(shape) if isinstance(shape, list) else shape
        text = repr(value(chosen, header) if chosen.random() < 0.5 else header).encode("utf-8", "replace")
        text = text[: 2**15].ljust(end - start - 1) + b"\n"
        length = len(text).to_bytes(start - 8, "little")
        return Input(name, data[:8] + length + text + data[end:])


class Named(Vectors):
    """Opens the whole folder of a list."""

    words = (
        b",",
        b";",
        b"\t",
        b'"',
        b"\r\n",
        b"\n",
        b"image",
        b"label",
        b"url",
        "é".encode("cp1252"),
        b"\xff\xfe",
        b"\0",
    )

    def place(self, path: Path) -> Path:
        return path.parent.parent


def _rows(table: Any) -> bytes:
    if table.shape[0] > MOST_ROWS:
        table.read(0, 10), table.read(table.shape[0] - 10, table.shape[0])
        return b"many"
    blocks = [block for _, block in table.blocks()]
    for block in blocks:
        if block.dtype != np.float32 or not np.isfinite(block).all() or not block.any(axis=1).all():
            raise Wrong(f"rows {block.dtype} {block.shape} without a direction")
    return json.dumps([sum(map(len, blocks)), table.shape[1]]).encode() + b"".join(map(np.ndarray.tobytes, blocks))


PARSERS = (
    Parser("npy", make_npy, Headers),
    Parser("fvecs", make_fvecs, Vectors),
    Parser("HDF5", make_hdf5, Vectors, megabytes=800),
    Parser(
        "names-of-vectors", make_named, partial(Named, names=lambda path: path.parent.name == "metadata"), "pyarrow"
    ),
)
