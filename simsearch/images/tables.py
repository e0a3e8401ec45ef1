"""table:FILE: a CSV or parquet file with the columns path, label and, if it likes, split."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence

from simsearch.errors import SourceError
from simsearch.images.groups import HINT as PATTERN
from simsearch.images.groups import by_pattern, tidy, told
from simsearch.images.source import SPLIT_NAMES, FileSource, SourceImage

SPLITS = {**SPLIT_NAMES, "fit": "train", "query": "test"}
HINT = "a table has the columns path, label and, if you like, split"

Row = tuple[int, str, str, str, str]  # line, path, label, split, group


def open_table(path: str, *, spec: str, root: str | None, base: str, group: str | None = None) -> FileSource:
    """Return the source of a table; relative paths in it lie under `root` (itself under `base`) or the table's folder.

    `group` is the column that tells which images belong together, else a pattern over their paths.

    Raises SourceError when the table cannot be read, names no usable image, or holds a split that does not exist.
    """
    table = os.path.realpath(path)
    if not os.path.isfile(table):
        raise SourceError(f"cannot use the table {path!r}: no such file", hint=HINT)
    folder = os.path.realpath(os.path.join(base, root) if root else os.path.dirname(table))
    if not os.path.isdir(folder):
        raise SourceError(
            f"the table's root {folder!r} is no folder", hint="set dataset.root to the folder of its images"
        )
    columns, rows = (_read_parquet if table.lower().endswith(".parquet") else _read_csv)(table, group)
    in_column = is_column(group, columns)
    kept, rejected = _resolve(rows, folder)
    labelled = any(label for _, _, label, _, _ in rows)
    any_split = any(split for _, _, _, split, _ in rows)
    images = []
    for line, name, label, split, of_group in kept:
        place = _split(split, line, table) if any_split else None
        if labelled and not label:
            rejected.append((name, "no label"))
        else:
            images.append(SourceImage(name, label, place, tidy(of_group)))
    if not images:
        first = f": {rejected[0][0]!r} {rejected[0][1]}" if rejected else ""
        raise SourceError(f"no image can be used of {len(rows):,} rows in {path!r}{first}", hint=HINT)
    notes = []
    if not labelled:
        seen = "every label is empty" if "label" in columns else f"no column label (seen: {', '.join(columns)})"
        notes.append(f"{seen}: building without labels")
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
        rows=_canonical(rows if in_column else [row[:4] for row in rows], rejected),
    )


def is_column(group: str | None, columns: Sequence[str]) -> bool:
    """Return whether `group` is one of the columns of a table, as they are compared."""
    return group is not None and group.strip().lower() in columns


def _read_csv(table: str, group: str | None) -> tuple[list[str], list[Row]]:
    line = 0
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip().lower() for name in next(reader, [])]
            line = reader.line_num
            places = _places(columns, table, group)
            rows: list[Row] = []
            for fields in reader:
                line = reader.line_num
                if not fields:
                    continue
                if len(fields) > len(columns):
                    raise SourceError(
                        f"{table!r} line {line}: {len(fields)} fields, the header has {len(columns)}",
                        hint='put a field that holds a comma into quotes: "a, b.jpg"',
                    )
                path, label, split, of_group = (_field(fields, place) for place in places)
                # A file's name may begin or end with a space; a label that does is a slip.
                rows.append((line, path, label.strip(), split.strip(), of_group.strip()))
    except (csv.Error, UnicodeDecodeError) as error:
        what = f"not UTF-8 text ({error.reason})" if isinstance(error, UnicodeDecodeError) else str(error)
        raise SourceError(
            f"{table!r} line {line + 1}: {what}", hint=f"save the table as CSV in UTF-8; {HINT}"
        ) from None
    except OSError as error:
        raise SourceError(f"{table!r} cannot be read: {error.strerror}") from None
    return columns, rows


def _read_parquet(table: str, group: str | None) -> tuple[list[str], list[Row]]:
    try:
        from pyarrow import parquet  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise SourceError(
            f"{table!r} needs pyarrow, which is not installed",
            hint="pip install 'simsearch[parquet]', or save it as CSV",
        ) from None
    try:
        columns = [str(name) for name in parquet.read_schema(table).names]
        wanted = _places([name.strip().lower() for name in columns], table, group)
        named = dict.fromkeys(columns[place] for place in wanted if place is not None)
        data: Mapping[str, Sequence[object]] = parquet.read_table(table, columns=list(named)).to_pydict()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{table!r} cannot be read as parquet: {type(error).__name__}", hint=HINT) from None
    height = len(next(iter(data.values())))
    paths, labels, splits, groups = (
        ["" if value is None else str(value) for value in data[columns[place]]] if place is not None else [""] * height
        for place in wanted
    )
    rows = list(zip(range(1, height + 1), paths, labels, splits, groups, strict=True))
    return [name.strip().lower() for name in columns], rows


def _places(columns: list[str], table: str, group: str | None) -> tuple[int | None, ...]:
    """Return the positions of path, label, split and group, None for one that is not there."""
    if "path" not in columns:
        seen = ", ".join(columns) or "nothing"
        raise SourceError(f"{table!r} has no column path (seen: {seen})", hint=HINT)
    if group is not None and not is_column(group, columns) and re.fullmatch(r"[\w \-]*", group):
        raise SourceError(
            f"dataset.group is {group!r}, and {table!r} has no such column (seen: {', '.join(columns)})",
            hint=f"name a column that tells what belongs together, or give a pattern: {PATTERN}",
        )
    wanted = ("path", "label", "split", *([] if group is None else [group.strip().lower()]))
    places = [columns.index(name) if name in columns else None for name in wanted]
    return (*places, None) if group is None else tuple(places)


def _field(fields: list[str], place: int | None) -> str:
    return fields[place] if place is not None and place < len(fields) else ""


def _split(value: str, line: int, table: str) -> str:
    name = SPLITS.get(value.lower() or "train")
    if name is None:
        raise SourceError(
            f"{table!r} line {line}: split is {value!r}",
            hint=f"expected one of {', '.join(sorted(SPLITS))}, or nothing",
        )
    return name


def _resolve(rows: Iterable[Row], root: str) -> tuple[list[Row], list[tuple[str, str]]]:
    """Return the rows with the real path below `root` in place of the path, and (path, reason) of the others."""
    kept: list[Row] = []
    rejected: list[tuple[str, str]] = []
    seen: set[str] = set()
    folders: dict[str, str] = {}
    inside = os.path.join(root, "")
    for line, path, *others in rows:
        reason, real = _real_path(path, root, folders)
        if not reason:
            if not real.startswith(inside):
                reason = f"lies outside of {root}"
            elif real in seen:
                reason = "listed twice"
        if reason:
            rejected.append((path, reason))
        else:
            seen.add(real)
            label, split, group = others
            kept.append((line, real[len(inside) :], label, split, group))
    return kept, rejected


def _real_path(path: str, root: str, folders: dict[str, str]) -> tuple[str, str]:
    """Return a reason ("" = none) and the real path; the folders on the way are resolved once each."""
    if not path or "\0" in path:
        return ("no path" if not path else "not a usable path"), ""
    head, name = os.path.split(os.path.join(root, path))
    try:
        if name in ("", ".", ".."):
            real = os.path.realpath(os.path.join(head, name))
        else:
            if head not in folders:
                folders[head] = os.path.realpath(head)
            real = os.path.join(folders[head], name)
        status = os.lstat(real)
        if stat.S_ISLNK(status.st_mode):
            real = os.path.realpath(real)
            # Where a link leads is said before whether something is there, so that nothing outside is probed.
            if not real.startswith(os.path.join(root, "")):
                return "", real
            status = os.lstat(real)
    except FileNotFoundError:
        real = os.path.realpath(os.path.join(head, name))
        return ("file is missing", real) if real.startswith(os.path.join(root, "")) else ("", real)
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or 'not a usable path'}", ""
    if not real.startswith(os.path.join(root, "")):
        return "", real
    return ("" if stat.S_ISREG(status.st_mode) else "not a regular file"), real


def _canonical(rows: Sequence[tuple[int | str, ...]], rejected: Iterable[tuple[str, str]]) -> tuple[int, str]:
    """Return the number of rows and the SHA-256 of what they say, in any order, without absolute places."""

    def lines() -> Iterator[str]:
        yield from sorted(json.dumps(["row", *row[1:]]) for row in rows)
        yield from sorted(json.dumps(["rejected", name, reason.split(" outside of ")[0]]) for name, reason in rejected)

    return len(rows), hashlib.sha256("\n".join(lines()).encode()).hexdigest()
