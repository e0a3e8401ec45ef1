"""Delimited text (CSV and its kin) as columns and rows: encoding, separator and padding are told from the file."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simsearch.errors import SourceError
from simsearch.images.sources.columns import only_one

SEPARATORS = ",;\t|"
FALLBACK = "cp1252"  # what Excel writes in the West where it is not asked for UTF-8
UTF8_HINT = "save the table as CSV in UTF-8"
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # begins as UTF-16's does
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\s,;|]*', re.IGNORECASE)  # as Excel writes on top


@dataclass(frozen=True)
class Sheet:
    """A table of text: its columns as they are written, and (line, fields) of each row; fields may be fewer or more.

    `encoding` is None for UTF-8, UTF-16 and UTF-32, else the one that was fallen back to, which `notes` say.
    """

    columns: list[str]
    rows: list[tuple[int, list[str]]]
    encoding: str | None = None
    notes: list[str] = field(default_factory=list)


def read_delimited(table: str, fits: Callable[[Sequence[str]], bool], *, tidy: bool = True) -> Sheet:
    """Return what a delimited text holds; of its possible separators, one whose header `fits` is preferred.

    `tidy`: rows of nothing but separators are padding, and a quote may stand after spaces. Raises SourceError, with
    the line, for what is no such text.
    """
    try:
        with open(table, "rb") as raw:
            data = raw.read()
    except OSError as error:
        raise SourceError(f"{table!r} cannot be read: {error.strerror}") from None
    if data.startswith(_WORKBOOKS):
        raise SourceError(f"{table!r} is a workbook of a spreadsheet, no text", hint=UTF8_HINT)
    text, encoding, notes = _decoded(data, table)
    file = io.StringIO(text.rstrip("\x1a"), newline="")  # DOS ended texts with it
    separator, skipped = _skip_to_header(file)
    start = file.tell()
    if separator is None:
        separator = _separator(file, fits)
    spaces = tidy and re.search(rf'{re.escape(separator)} +"', text) is not None
    file.seek(start)
    reader = csv.reader(file, delimiter=separator, strict=True, skipinitialspace=spaces)
    line = skipped
    try:
        columns = [name.strip() for name in next(reader, [])]
        line = skipped + reader.line_num
        rows: list[tuple[int, list[str]]] = []
        for fields in reader:
            line = skipped + reader.line_num
            if not fields or (tidy and not any(map(str.strip, fields))):
                continue
            if any(map(str.strip, fields[len(columns) :])):
                what = {",": "a comma", "\t": "a tab"}.get(separator, repr(separator))
                quote = f'put a field that holds {what} into quotes: "a{separator} b.jpg"'
                raise SourceError(
                    f"{table!r} line {line}: {len(fields)} fields, the header has {len(columns)}",
                    hint=only_one(columns) if len(columns) == 1 else quote,
                )
            rows.append((line, fields))
    except csv.Error as error:
        long = f"a field holds at most {csv.field_size_limit():,} characters: is a quote in it left open?"
        hint = long if "field limit" in str(error) else UTF8_HINT
        raise SourceError(f"{table!r} line {line + 1}: {error}", hint=hint) from None
    return Sheet(columns, rows, encoding, notes)


def _decoded(data: bytes, table: str) -> tuple[str, str | None, list[str]]:
    """Return the text, the encoding that was fallen back to, and what is to be said of it."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding, table), None, []
    if data[:4].count(0) == 3 and data[0] | data[3]:  # so begins ASCII in four bytes a character
        return _strict(data, "utf-32-be" if data[0] == 0 else "utf-32-le", table), None, []
    if b"\0" in data[:2]:  # no name of a column begins so, but for two bytes a character
        return _strict(data, "utf-16-be" if data[0] == 0 else "utf-16-le", table), None, []
    try:
        return data.decode("utf-8"), None, []
    except UnicodeDecodeError as error:
        line = _lines(data[: error.start].decode("latin-1"))
    if re.search("[^\0-\x7f\udc80-\udcff]", data.decode("utf-8", "surrogateescape")):
        raise SourceError(f"{table!r} line {line}: not UTF-8 text, as other lines are", hint=UTF8_HINT)
    text = _strict(data, FALLBACK, table, f"neither UTF-8 nor {FALLBACK}")
    seen = re.split(r"\r\n|\r|\n", text)[line - 1][:60]
    note = (
        f"{os.path.basename(table)} is not UTF-8: read as {FALLBACK} (Western European), as {seen!r} in line {line}; "
        "if that looks wrong, save it as UTF-8"
    )
    return text, FALLBACK, [note]


def _strict(data: bytes, encoding: str, table: str, what: str | None = None) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = _lines(data[: error.start].decode(encoding, "replace"))
        raise SourceError(
            f"{table!r} line {line}: {what or f'not {encoding.upper()} text'} ({error.reason})", hint=UTF8_HINT
        ) from None


def _lines(before: str) -> int:
    return len(re.findall(r"\r\n|\r|\n", before)) + 1


def _skip_to_header(file: io.StringIO) -> tuple[str | None, int]:
    """Leave the file at its header; return the separator that stands above it, if any, and how many lines do."""
    separator, skipped, start = None, 0, 0
    while line := file.readline():
        if told := _SEPARATOR_LINE.fullmatch(line.rstrip("\r\n")):
            separator = told[1]
        elif line.strip(SEPARATORS + " \r\n"):
            break
        skipped, start = skipped + 1, file.tell()
    file.seek(start)
    return separator, skipped


def _separator(file: io.StringIO, fits: Callable[[Sequence[str]], bool]) -> str:
    start = file.tell()
    best, found = SEPARATORS[0], (False, 0)
    for separator in SEPARATORS:
        file.seek(start)
        try:
            columns = next(csv.reader(file, delimiter=separator, strict=True), [])
        except csv.Error:
            continue
        seen = fits([name.strip() for name in columns]), len(columns)
        if seen > found:
            best, found = separator, seen
    return best
