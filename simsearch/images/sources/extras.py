"""The further columns of a list, which are kept beside each image, for searches to be filtered by."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from simsearch.images.sources.columns import Places
from simsearch.images.sources.source import FileSource, SourceImage

LONGEST = 10_000  # characters of a cell; longer ones, as pictures written as text, are no values to filter by
NAMED_OTHERWISE = ("image", "label", "group")  # words that a filter has for other things


@dataclass(frozen=True)
class Extras:
    """Names of the columns that are kept, the values of each row by its line, and what is to be said of others."""

    columns: tuple[str, ...]
    values: Mapping[int, tuple[str, ...]]
    notes: list[str] = field(default_factory=list)


def read_extras(names: Sequence[str], rows: Sequence[tuple[int, list[str]]], places: Places) -> Extras:
    """Return what a table says besides path, label, split and group; of two columns with one name the first."""
    taken, notes = {places.path, places.label, places.split, places.group}, []
    kept: dict[str, int] = {}
    known = {*NAMED_OTHERWISE, *(_tidy(names[at]).lower() for at in taken if at is not None)}
    for at, name in enumerate(map(_tidy, names)):
        if at in taken or not name or name.lower() in known:
            continue
        longest = max((len(fields[at]) for _, fields in rows if at < len(fields)), default=0)
        if longest > LONGEST:
            notes.append(f"the column {name} is not kept: a cell of it has {longest:,} characters")
            continue
        known.add(name.lower())
        kept[name] = at
    values = {
        line: tuple(_tidy(fields[at]) if at < len(fields) else "" for at in kept.values()) for line, fields in rows
    }
    return Extras(tuple(kept), values if kept else {}, notes)


def digest_of_extras(columns: Sequence[str], images: Sequence[SourceImage]) -> tuple[int, str]:
    """Return the number of columns and the SHA-256 of what they say of images, in any order of these."""
    lines = [json.dumps(columns), *sorted(json.dumps([image.image, *image.extras]) for image in images)]
    return len(columns), hashlib.sha256("\n".join(lines).encode()).hexdigest()


def without_extras(source: FileSource) -> FileSource:
    """Return a source as it was before its further columns were kept."""
    return replace(source, columns=(), extra_rows=None, images=[replace(image, extras=()) for image in source.images])


def in_columns(source: FileSource, columns: Sequence[str]) -> list[SourceImage]:
    """Return the images with their values in these columns alone, "" in one that the list has no longer."""
    if tuple(columns) == source.columns:
        return source.images
    places = [source.columns.index(name) if name in source.columns else None for name in columns]
    return [
        replace(image, extras=tuple("" if at is None else image.extras[at] for at in places)) for image in source.images
    ]


def _tidy(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()
