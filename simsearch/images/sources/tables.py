"""table:FILE: a list of images as CSV or parquet, with the columns path, label and, if it likes, split."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from simsearch.errors import SourceError, near_path, near_words
from simsearch.images.formats.decoding import RULES
from simsearch.images.sources.columns import HINT, doubled, find_columns, is_column, likely_label, setting
from simsearch.images.sources.delimited import Sheet, read_delimited
from simsearch.images.sources.doubts import look_alike
from simsearch.images.sources.extras import Extras, digest_of_extras, read_extras
from simsearch.images.sources.groups import by_pattern, tidy, told
from simsearch.images.sources.lookup import MISSING, Lookup
from simsearch.images.sources.source import SPLIT_NAMES, UNLABELLED, FileSource, SourceImage

SPLITS = {**SPLIT_NAMES, "fit": "train", "query": "test"}

WITH_LABELS = ", with labels "
_DETAILS = f" outside of |{WITH_LABELS}"  # what follows in a reason is a place, or said by the rows

Row = tuple[int, str, str, str, str]  # line, path, label, split, group


def open_table(
    path: str,
    *,
    spec: str,
    root: str | None,
    base: str,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    rules: int = RULES,
    labels: bool = True,
) -> FileSource:
    """Return the source of a table; relative paths in it lie under `root` (itself under `base`) or the table's folder.

    `columns` says what path, label and split are called, where it is not that. `group` is the column that tells which
    images belong together, else a pattern over their paths. By `rules` 1, rows of nothing are rows without a path,
    paths are found only as they are written, and labels are told apart however their accents are coded. Without
    `labels` every image is used, without one.

    Raises SourceError when the table cannot be read, names no usable image, or holds a split that does not exist.
    """
    table = os.path.realpath(path)
    if not os.path.isfile(table):
        said, near = near_words(path, near_path(path, os.path.isfile))
        raise SourceError(f"cannot use the table {path!r}: no such file{said}", hint=HINT, near=near)
    folder = os.path.realpath(os.path.join(base, root) if root else os.path.dirname(table))
    if not os.path.isdir(folder):
        raise SourceError(
            f"the table's root {folder!r} is no folder", hint="set dataset.root to the folder of its images"
        )
    given, is_parquet = columns or {}, table.lower().endswith(".parquet")
    sheet = (_read_parquet if is_parquet else _read_text)(table, given, group, rules)
    in_column = is_column(group, sheet.columns)
    extras = Extras((), {}) if rules == 1 else _extras(sheet, table, given, group)
    rows, notes = _rows(sheet, table, given, group, rules, stripped=not is_parquet)
    kept, rejected = _resolve(rows, Lookup(folder, sheet.encoding, literal=rules == 1))
    labelled = labels and any(label for _, _, label, _, _ in rows)
    any_split = any(split for _, _, _, split, _ in rows)
    images = []
    notes += extras.notes
    for line, name, label, split, of_group in kept:
        place = _split(split, line, table) if any_split else None
        if labelled and not label:
            rejected.append((name, "no label"))
        else:
            beside = extras.values.get(line, ())
            images.append(SourceImage(name, label if labels else "", place, tidy(of_group), beside))
    if not images:
        first = f": {rejected[0][0]!r} {rejected[0][1]}" if rejected else ""
        lost = any(reason.startswith((MISSING, "lies outside")) for _, reason in rejected)
        raise SourceError(
            f"no image can be used of {len(rows):,} rows in {path!r}{first}",
            hint=f"its paths start at {folder}; --set dataset.root=FOLDER starts them elsewhere" if lost else HINT,
        )
    if not labels:
        notes.append(UNLABELLED)
    elif not labelled:
        notes.append(_why_unlabelled(sheet.columns, given))
    images.sort(key=lambda image: image.image)
    if group is not None:
        images = images if in_column else by_pattern(images, group)
        notes += told(images, f"the column {group.strip()}" if in_column else f"dataset.group '{group}'")
    return FileSource(
        spec=spec,
        title=os.path.splitext(os.path.basename(table))[0],
        root=folder,
        identity=f"table:{table}",
        images=images,
        labelled=labelled,
        rejected=sorted(rejected),
        notes=notes,
        columns=extras.columns,
        extra_rows=digest_of_extras(extras.columns, images) if extras.columns else None,
        rows=_canonical(rows if in_column else [row[:4] for row in rows], rejected),
    )


def _read_text(table: str, given: Mapping[str, str], group: str | None, rules: int) -> Sheet:
    return read_delimited(table, lambda names: is_column(given.get("path", "path"), names), tidy=rules > 1)


def _read_parquet(table: str, given: Mapping[str, str], group: str | None, rules: int) -> Sheet:
    """Return the columns of a parquet file that are wanted, each row at its number."""
    try:
        from pyarrow import parquet  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise SourceError(
            f"{table!r} needs pyarrow, which is not installed",
            hint="pip install 'simsearch[parquet]', or save it as CSV",
        ) from None
    try:
        schema = parquet.read_schema(table)
        names = [str(name) for name in schema.names]
        places = find_columns(table, names, (), given, group)
        wanted = {names[at] for at in (places.path, places.label, places.split, places.group) if at is not None}
        if rules > 1:  # a column of lists or of bytes is as if it were not there: no filter could name it
            wanted |= {str(field.name) for field in schema if _holds_values(field.type)}
            names = [name for name in names if name in wanted]
        data: Mapping[str, Sequence[object]] = parquet.read_table(table, columns=sorted(wanted)).to_pydict()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{table!r} cannot be read as parquet: {type(error).__name__}", hint=HINT) from None
    data = {name: data[name] for name in wanted}
    height = len(next(iter(data.values())))
    texts = [
        ["" if value is None or value != value else str(value) for value in data[name]]
        if name in wanted
        else [""] * height
        for name in names
    ]
    return Sheet(names, [(line, list(fields)) for line, fields in enumerate(zip(*texts, strict=True), 1)])


def _holds_values(kind: Any) -> bool:
    """Whether the cells of a column of parquet are words, numbers or dates, no lists and no bytes, as of pictures."""
    from pyarrow import types  # type: ignore[import-not-found, unused-ignore]

    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean)
    return any(test(kind) for test in (*tests, types.is_decimal, types.is_date, types.is_timestamp))


def _extras(sheet: Sheet, table: str, given: Mapping[str, str], group: str | None) -> Extras:
    first = sheet.rows[0][1] if sheet.rows else ()
    return read_extras(sheet.columns, sheet.rows, find_columns(table, sheet.columns, first, given, group))


def _rows(
    sheet: Sheet, table: str, given: Mapping[str, str], group: str | None, rules: int, *, stripped: bool
) -> tuple[list[Row], list[str]]:
    """Return the rows, and what is to be said of how they were read."""
    first = sheet.rows[0][1] if sheet.rows else ()
    places = find_columns(table, sheet.columns, first, given, group)
    notes = [*sheet.notes, *doubled(places, sheet.columns)]
    rows: list[Row] = []
    for line, fields in sheet.rows:
        path, label, split, of_group = (
            fields[at] if at is not None and at < len(fields) else ""
            for at in (places.path, places.label, places.split, places.group)
        )
        # A file's name may begin or end with a space; a label that does is a slip.
        label = label.strip() if stripped or rules > 1 else label
        rows.append((line, path, label, split.strip(), of_group.strip()))
    if rules == 1:
        return rows, notes
    forms = {label: unicodedata.normalize("NFC", label) for label in {row[2] for row in rows}}
    merged = sorted(form for form, count in Counter(forms.values()).items() if count > 1)
    if merged:
        several = f"{len(merged):,} {'label is' if len(merged) == 1 else 'labels are'}"
        notes.append(f"{several} written in ways that look the same, as {merged[0]!r}: taken as one")
    notes += look_alike(forms.values())
    return [(line, path, forms[label], split, of) for line, path, label, split, of in rows], notes


def _why_unlabelled(names: Sequence[str], given: Mapping[str, str]) -> str:
    if is_column(given.get("label", "label"), names):
        return "every label is empty: building without labels"
    likely = likely_label(names)
    offer = f"; {setting({**given, 'label': likely})} takes {likely}" if likely else ""
    return f"no column label (seen: {', '.join(names)}): building without labels{offer}"


def _split(value: str, line: int, table: str) -> str:
    name = SPLITS.get(value.lower() or "train")
    if name is None:
        raise SourceError(
            f"{table!r} line {line}: split is {value!r}",
            hint="expected train, val, test, another usual name of these, or nothing (train)",
        )
    return name


def _resolve(rows: Iterable[Row], lookup: Lookup) -> tuple[list[Row], list[tuple[str, str]]]:
    """Return the rows with the real path below the root in place of the path, and (path, reason) of the others."""
    kept: list[Row] = []
    rejected: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    for line, path, *others in rows:
        reason, found = lookup.find(path)
        if not reason and found in seen:
            reason = "listed twice"
            if seen[found] != others[0]:
                reason += f"{WITH_LABELS}{seen[found]!r} and {others[0]!r}"
        if reason:
            rejected.append((path, reason))
        else:
            label, split, group = others
            seen[found] = label
            kept.append((line, found, label, split, group))
    return kept, rejected


def _canonical(rows: Sequence[tuple[int | str, ...]], rejected: Iterable[tuple[str, str]]) -> tuple[int, str]:
    """Return the number of rows and the SHA-256 of what they say, in any order, without absolute places."""

    def lines() -> Iterator[str]:
        yield from sorted(json.dumps(["row", *row[1:]]) for row in rows)
        yield from sorted(json.dumps(["rejected", name, re.split(_DETAILS, reason)[0]]) for name, reason in rejected)

    return len(rows), hashlib.sha256("\n".join(lines()).encode()).hexdigest()
