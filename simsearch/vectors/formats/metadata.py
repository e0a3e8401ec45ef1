"""What rows are called: image and label, as parquet or CSV beside the vectors."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from simsearch.console import safe
from simsearch.errors import VectorsError

COLUMNS = ("image", "label", "row")
NAMES = ("image", "image_path", "path", "name", "url", "key")  # the first that is there; clip-retrieval's among them
_MENDED = "mend the file, or take metadata/ away to go without names and labels"
_GROUP = 65_536  # rows of parquet at a time

# Names, labels where the file has any, and what is to be said of a file that has neither.
Named = tuple[list[str], list[str] | None, str | None]
SEPARATORS = ",;\t"  # of CSV; the first that gives the header a column that is read
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_ESCAPED = re.compile("[\udc80-\udcff]")  # bytes that are no UTF-8, as Python keeps them
Record = tuple[str, str, int]


def parquet_library() -> Any:
    """Return pyarrow.parquet, or None where pyarrow is not installed."""
    try:
        from pyarrow import parquet  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    return parquet


def write_metadata(stem: Path, records: Iterable[Record]) -> Path:
    """Write (image, label, row) records as STEM.parquet, or as STEM.csv without pyarrow; return which."""
    library = parquet_library()
    if library is None:
        path = stem.with_name(f"{stem.name}.csv")
        with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(records)
        return path
    import pyarrow  # type: ignore[import-not-found, unused-ignore]

    path = stem.with_name(f"{stem.name}.parquet")
    schema = pyarrow.schema([("image", pyarrow.string()), ("label", pyarrow.string()), ("row", pyarrow.int64())])
    with library.ParquetWriter(path, schema) as parquet:
        left = iter(records)
        while group := list(islice(left, _GROUP)):
            images, labels, rows = zip(*group, strict=True)
            columns = [[_utf8(text) for text in images], [_utf8(text) for text in labels], list(rows)]
            parquet.write_table(pyarrow.table(columns, schema=schema))
    return path


def read_metadata(path: Path) -> Named:
    """Return the names and labels of a .parquet or .csv file; names are "" where it has no column for them.

    CSV is UTF-8 with or without its mark (BOM), or UTF-16 with one, parted by `separator_of`. Bytes that are no UTF-8
    stay what they are, and are said. Raises VectorsError when it cannot be read, or needs pyarrow.
    """
    columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    height = max((len(values) for values in columns.values()), default=0)
    name = next((columns[key] for key in NAMES if key in columns), [""] * height)
    note = None
    if not {*NAMES, "label"} & set(columns):
        seen = safe(", ".join(columns))[:200] or "none"
        note = f"{safe(path.name)} names nothing: expected a column {', '.join(NAMES)} or label, seen {seen}"
    elif wrong := _not_utf8([*name, *columns.get("label", [])]):
        note = (
            f"{safe(path.name)} is not UTF-8, as {safe(wrong)[:60]!r}: its bytes are kept and not told as letters; if "
            "that looks wrong, save it as UTF-8"
        )
    return name, columns.get("label"), note


def _read_parquet(path: Path) -> Mapping[str, list[str]]:
    library = parquet_library()
    if library is None:
        raise VectorsError(
            f"{path} needs pyarrow, which is not installed",
            hint="pip install 'simsearch[parquet]', or take metadata/ away to go without names and labels",
        )
    try:
        known = library.read_schema(path).names
        wanted = [key for key in known if key.lower() in (*NAMES, "label")] or known[:1]
        data: Mapping[str, Sequence[object]] = library.read_table(path, columns=wanted).to_pydict()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VectorsError(f"{path} cannot be read as parquet: {type(error).__name__}", hint=_MENDED) from None
    return {key.lower(): ["" if value is None else str(value) for value in values] for key, values in data.items()}


def separator_of(path: Path) -> str:
    """Return what parts the columns of a CSV: the first of , ; and tab that makes one that is read, else the comma."""
    if path.suffix.lower() == ".parquet":
        return SEPARATORS[0]
    try:
        with _opened(path) as file:
            header = file.readline()
        wanted = {*NAMES, "label"}
        return next(
            (part for part in SEPARATORS if wanted & set(_names(next(csv.reader([header], delimiter=part))))), ","
        )
    except (OSError, csv.Error, UnicodeError, StopIteration):
        return SEPARATORS[0]  # and the reading says why


def _opened(path: Path) -> TextIO:
    with path.open("rb") as raw:
        start = raw.read(4)
    if b"\0" in start and not start.startswith(_UTF16):
        raise VectorsError(f"{path} cannot be read as CSV: seen NUL bytes", hint="write it as UTF-8")
    encoding, errors = ("utf-16", "strict") if start.startswith(_UTF16) else ("utf-8-sig", "surrogateescape")
    return path.open(newline="", encoding=encoding, errors=errors)


def _names(header: Iterable[str]) -> list[str]:
    return [name.strip().lower() for name in header]


def _read_csv(path: Path) -> Mapping[str, list[str]]:
    try:
        with _opened(path) as file:
            reader = csv.reader(file, delimiter=separator_of(path), strict=True)
            columns = _names(next(reader, []))
            found: dict[str, list[str]] = {name: [] for name in columns}
            for fields in filter(None, reader):
                if len(fields) != len(columns):
                    raise VectorsError(
                        f"{path} line {reader.line_num}: {len(fields)} fields, the header has {len(columns)}",
                        hint=_MENDED,
                    )
                for name, value in zip(columns, fields, strict=True):
                    found[name].append(value)
    except (OSError, csv.Error, UnicodeError) as error:
        raise VectorsError(f"{path} cannot be read as CSV: {error}", hint=_MENDED) from None
    return found


def _not_utf8(texts: Iterable[str]) -> str | None:
    return next((text for text in texts if not text.isascii() and _ESCAPED.search(text)), None)


def _utf8(text: str) -> str:
    """Return a name with escapes for bytes that are no UTF-8, which parquet cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()
