"""Lists that a user writes: tables of images as CSV and parquet, and files of labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from campaign.fuzz.files import Files
from campaign.fuzz.parser import Parser, Wrong

NAMES = [f"{label}/{number} ä.png" for label in ("apple", "pear, green") for number in range(6)]
SPLITS = ("train", "val", "", "test")


def make_tables(folder: Path) -> None:
    """Write lists in several encodings, separators and columns, and the pictures that they name, which are empty."""
    for name in NAMES:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()
    rows = [(name, name.split("/")[0], SPLITS[at % 4], str(at * 1.5)) for at, name in enumerate(NAMES)]
    for kind, encoding, separator, end in (
        ("plain", "utf-8", ",", "\n"),
        ("marked", "utf-8-sig", ";", "\r\n"),
        ("wide", "utf-16", "\t", "\r\n"),
        ("wider", "utf-32", "|", "\n"),
        ("western", "cp1252", ";", "\r"),
    ):
        lines = [separator.join(("path", "label", "split", "weight"))]
        lines += [separator.join(f'"{field}"' if "," in field else field for field in row) for row in rows]
        text = f"sep={separator}{end}" if kind == "marked" else ""
        (folder / f"{kind}.csv").write_bytes((text + end.join(lines) + end).encode(encoding))


def make_parquet(folder: Path) -> None:
    """Write lists in parquet, of several types and codecs."""
    import pyarrow
    from pyarrow import parquet

    make_tables(folder)
    for path in folder.glob("*.csv"):
        path.unlink()
    columns: dict[str, Any] = {"path": NAMES, "label": [name.split("/")[0] for name in NAMES]}
    columns |= {"weight": [1.5] * len(NAMES), "pixels": [b"\0"] * len(NAMES), "lists": [[1, 2]] * len(NAMES)}
    for codec in ("NONE", "snappy", "gzip", "zstd"):
        for version, paged in (("1.0", False), ("2.6", True)):
            table = pyarrow.table(columns)
            if paged:
                table = table.set_column(1, "label", table["label"].dictionary_encode())
            out = folder / f"{codec}-{version}.parquet"
            parquet.write_table(table, out, compression=codec, version=version, data_page_version=version[:2] + "0")


def make_labels(folder: Path) -> None:
    """Write files of labels."""
    rows = [f'"{name}",kind {at % 3}' for at, name in enumerate(NAMES)]
    (folder / "labels.csv").write_text("\n".join(["image,label", *rows]), encoding="utf-8")
    (folder / "suspects.csv").write_text("\n".join(["image,label,why", *(f"{row}," for row in rows)]), encoding="utf-8")


class Tables(Files):
    """Opens a list; every image that it gives lies below its folder."""

    words = (b",", b";", b"\t", b"|", b'"', b"\r", b"\n", b"path", b"label", b"split", b"../x.png", b"/etc/passwd",
             b"sep=;\n", "é".encode("cp1252"), b"\xff\xfe", b"\0", b"apple/0 \xc3\xa4.png")  # fmt: skip

    def answer(self, path: Path) -> Any:
        from simsearch.images.sources.tables import open_table

        source = open_table(str(path), spec=f"table:{path}", root=None, base=str(self.folder))
        known = {str(one.relative_to(self.folder)) for one in self.folder.rglob("*") if one.is_file()}
        for image in source.images:
            if image.image not in known:
                raise Wrong(f"an image that is not there: {image.image!r}")
            if "\n" in image.label and path.suffix == ".csv" and b'"' not in path.read_bytes():
                raise Wrong(f"a label of several lines: {image.label!r}")
        return source.images, source.rejected, source.notes, source.columns, source.rows


class Labels(Files):
    """Reads a file of labels."""

    words = Tables.words

    def answer(self, path: Path) -> Any:
        from simsearch.images.sources.mending import read_labels

        found = read_labels(str(path))
        if not all(label.strip() and line > 1 for line, label in found.values()):
            raise Wrong(f"no label in {found}")
        return found


def _of(end: str) -> Any:
    return lambda path: path.suffix == end


PARSERS = (
    Parser("CSV", make_tables, partial(Tables, names=_of(".csv"))),
    Parser("parquet", make_parquet, partial(Tables, names=_of(".parquet")), "pyarrow"),
    Parser("labels", make_labels, Labels),
)
