"""Which column of a table is which, and the setting that would say so where it does not."""

from __future__ import annotations

import json
import os
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simsearch.errors import SourceError, did_you_mean, nearest
from simsearch.images.formats.formats import suffixes
from simsearch.images.sources.groups import HINT as PATTERN

KEYS = ("path", "label", "split")
HINT = "a table has the columns path, label and, if you like, split; dataset.columns names others"
# What other tools call them, the likeliest first.
PATHS = ("filename", "filepath", "file_path", "file_name", "file", "image_path", "image_name", "image", "img_path",
         "img", "image_id", "name", "id")  # fmt: skip
LABELS = (
    "class",
    "category",
    "target",
    "y",
    "label_name",
    "class_name",
    "labels",
    "classes",
    "species",
    "tag",
    "kategorie",
    "klasse",
    "categorie",
    "classe",
    "categoria",
    "clase",
)


@dataclass(frozen=True)
class Places:
    """The positions of the columns of a table, None for one that it does not have."""

    path: int
    label: int | None
    split: int | None
    group: int | None


def find_columns(
    table: str, names: Sequence[str], first: Sequence[str], given: Mapping[str, str], group: str | None
) -> Places:
    """Return where the columns of a table are; `given` are the names of those that are called otherwise.

    `first` are fields of its first row, which a guess goes by. Raises SourceError for columns that are not there.
    """
    known = [_key(name) for name in names]
    seen = f"(seen: {', '.join(names) or 'nothing'})"
    for key, name in given.items():
        if _key(name) not in known:
            raise SourceError(
                f"{table!r} has no column {name!r} for dataset.columns.{key} {seen}{did_you_mean(name, names)}",
                hint=_hint(names, first, given),
            )
    path = _key(given.get("path", "path"))
    if path not in known:
        raise SourceError(f"{table!r} has no column path {seen}", hint=_hint(names, first, given))
    if group is not None and not is_column(group, names) and re.fullmatch(r"[\w \-]*", group):
        raise SourceError(
            f"dataset.group is {group!r}, and {table!r} has no such column {seen}",
            hint=f"name a column that tells what belongs together, or give a pattern: {PATTERN}",
        )

    def place(name: str | None) -> int | None:
        return known.index(_key(name)) if name is not None and _key(name) in known else None

    label, split = (place(given.get(key, key)) for key in ("label", "split"))
    return Places(known.index(path), label, split, place(group))


def is_column(group: str | None, names: Sequence[str]) -> bool:
    """Return whether `group` is one of the columns of a table, as they are compared."""
    return group is not None and _key(group) in map(_key, names)


def likely_label(names: Sequence[str]) -> str | None:
    """Return the column that others would call the label, if any."""
    return _likely(names, LABELS)


def setting(columns: Mapping[str, str]) -> str:
    """Return the option of a command that calls columns so."""
    inner = ", ".join(f"{key}={json.dumps(name, ensure_ascii=False)}" for key, name in columns.items())
    return f"--set {shlex.quote(f'dataset.columns={{{inner}}}')}"


def only_one(names: Sequence[str]) -> str:
    """Return the hint where the header has one field, as a title or a comment has."""
    return f"its first line has one field, {names[0][:60]!r}: the header, as path,label, is expected there"


def doubled(places: Places, names: Sequence[str]) -> list[str]:
    """Return what is to be said of columns that are there twice, or that are both path and label."""
    notes = []
    for key in ("path", "label", "split", "group"):
        at = getattr(places, key)
        if at is not None and (count := list(map(_key, names)).count(_key(names[at]))) > 1:
            notes.append(f"warning: {count} columns are called {names[at]}: the first is taken for {key}")
    if places.path == places.label:
        notes.append(f"warning: the column {names[places.path]} is taken for both path and label")
    return notes


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().lower()


def _likely(names: Sequence[str], called: Sequence[str]) -> str | None:
    keys = {re.sub(r"[\s\-.]+", "_", _key(name)): name for name in reversed(names)}
    return next((keys[name] for name in called if name in keys), None)


def _hint(names: Sequence[str], first: Sequence[str], given: Mapping[str, str]) -> str:
    """Return what would mend it: `given`, with a guess for what is no column, or is missing in it."""
    if not any(names):
        return "it is empty: expected a header, as path,label, and a row for each image"
    if names[0].startswith("#") or "path" in map(_key, first):
        return "its first line seems to be a title or a comment: the header, as path,label, is expected there"
    if any(_is_image(word) for name in names for word in name.split()):
        return "its first line seems to be no header: put one above it, as path,label (parted by , ; | or tab)"
    known = set(map(_key, names))
    nearest_name = {key: name if _key(name) in known else nearest(name, names) for key, name in given.items()}
    wanted = {key: name for key, name in nearest_name.items() if name is not None}
    if "path" not in wanted and ("path" not in known or "path" in given):
        by_value = [name for name, value in zip(names, first, strict=False) if _is_image(value)]
        path = _likely(by_value, PATHS) or next(iter(by_value), None) or _likely(names, PATHS)
        if path is None:
            example, *others = filter(None, names)
            if not others:
                return only_one([example])
            return f"say which column is the path, as {setting({'path': example})}"
        wanted = {"path": path, **wanted}
    if (
        "label" not in wanted
        and "label" not in known
        and (label := likely_label(names) or _only_other(names, first, wanted))
    ):
        wanted["label"] = label
    return f"say which column is which: {setting(wanted)}" if wanted else HINT


def _only_other(names: Sequence[str], first: Sequence[str], wanted: Mapping[str, str]) -> str | None:
    """Return the one column of words that is none of the others, if there is one alone."""
    taken = {_key(name) for name in (*wanted.values(), *KEYS)}
    others = [
        name
        for name, value in zip(names, first, strict=False)
        if name and _key(name) not in taken and re.search(r"[^\W\d_]", value) and not _is_image(value)
    ]
    return others[0] if len(others) == 1 else None


def _is_image(value: str) -> bool:
    return os.path.splitext(value.strip())[1].lower() in suffixes()
