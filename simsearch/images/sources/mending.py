"""dataset.labels = FILE: labels of single images, which win over folder and list; no photo is touched for it.

The file is a list with the columns image and label, as suspects.csv beside a report is; it may hold that one's other
columns too, which are not looked at. It is read anew each time that the source is opened.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

from simsearch.errors import LabelsError, SourceError, did_you_mean, near_path, near_words, nearest
from simsearch.images.sources.delimited import read_delimited
from simsearch.images.sources.source import FileSource

SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
NEEDED = ("image", "label")
COLUMNS = (*NEEDED, "says", "score", "why")  # those of suspects.csv
GONE = "bring it back, or give another: one that holds the line image,label alone mends nothing"

Lines = dict[str, tuple[int, str]]  # by image: the line of the file, and the label


def is_file_of_labels(text: str) -> bool:
    """Return whether the value of dataset.labels is meant as a file."""
    return text.lower().endswith(SUFFIXES)


def read_labels(path: str) -> Lines:
    """Return what a file of labels says, by image.

    Raises LabelsError for one that is not there or no such list, a column that it does not have, an image that it has
    twice or without a label.
    """
    if not is_file_of_labels(path):
        raise LabelsError(
            f"expected a file of labels ({' '.join(SUFFIXES)}), seen {path!r}", hint="save it as CSV with image,label"
        )
    try:
        open(path, "rb").close()
    except OSError as error:
        said, near = near_words(path, near_path(path)) if isinstance(error, FileNotFoundError) else ("", None)
        raise LabelsError(
            f"the labels in {path!r} cannot be read: {error.strerror}{said}", hint=GONE, near=near
        ) from None
    try:
        sheet = read_delimited(path, lambda names: set(NEEDED) <= set(_keys(names)))
    except SourceError as error:
        raise LabelsError(error.message, hint=error.hint) from None
    names = _keys(sheet.columns)
    for wrong in [name for name in names if name not in COLUMNS]:
        raise LabelsError(
            f"{path!r} has a column {wrong!r}, and a file of labels has {', '.join(COLUMNS)}"
            + did_you_mean(wrong, [one for one in COLUMNS if one not in names]),
            hint="take the column out, or call it by the name that is meant",
        )
    for wanted in NEEDED:
        if names.count(wanted) != 1:
            seen = "no column" if wanted not in names else f"{names.count(wanted)} columns"
            raise LabelsError(
                f"{path!r} has {seen} {wanted} (seen: {', '.join(sheet.columns) or 'nothing'})",
                hint="its first line is image,label; suspects.csv beside a report is such a list",
            )
    found: Lines = {}
    for line, fields in sheet.rows:
        image, label = (fields[at] if (at := names.index(name)) < len(fields) else "" for name in NEEDED)
        label = unicodedata.normalize("NFC", label.strip())
        if not label:
            raise LabelsError(
                f"{path!r} line {line}: {image!r} has no label",
                hint="write the label that the image shall have, or take the line out",
            )
        if image in found:
            raise LabelsError(
                f"{path!r} line {line}: {image!r} stands in line {found[image][0]} too",
                hint="leave one line for each image",
            )
        found[image] = line, label
    return found


def mended(source: FileSource, path: str, lines: Lines) -> FileSource:
    """Return the source with the labels that the file at `path` gives; `FileSource.mended` tells which differ.

    A label that is written as one that there is, but for how its accents are coded, is that one. Raises LabelsError
    for an image that the source does not have, with the nearest name, or that is used without a label.
    """
    if not source.labelled:
        raise LabelsError(
            f"{source.title!r} has no labels that {path!r} could mend",
            hint="put the pictures into folders, or build a list with the columns path,label",
        )
    known = {image.image: image for image in source.images}
    composed = {unicodedata.normalize("NFC", name): name for name in known}
    refused = dict(source.rejected)
    labels = {unicodedata.normalize("NFC", image.label): image.label for image in source.images}
    given: dict[str, str] = {}
    for name, (line, label) in lines.items():
        found = name if name in known else composed.get(unicodedata.normalize("NFC", name.strip()))
        if found is None and name in refused and not refused[name].startswith("no label"):
            continue  # it is said why it is set aside
        if found is None:
            raise _unknown(path, line, name, list(known), refused)
        given[found] = labels.get(label, label)
    changed = {name: label for name, label in given.items() if label != known[name].label}
    images = [
        replace(image, label=changed[image.image]) if image.image in changed else image for image in source.images
    ]
    notes = [*source.notes, *_alone(changed, labels, path)]
    return replace(source, images=images, mended=changed, notes=notes)


def _unknown(path: str, line: int, name: str, known: Sequence[str], refused: Mapping[str, str]) -> LabelsError:
    if name in refused:
        return LabelsError(
            f"{path!r} line {line}: {name!r} is set aside ({refused[name]}), so that it has no label to be mended",
            hint="put it into a folder, or give it a label in the list; or take the line out",
        )
    ends = [one for one in known if one.rpartition("/")[2] == name.rpartition("/")[2]]
    near = ends[0] if len(ends) == 1 else nearest(name, known)
    said, pair = near_words(name, near)
    return LabelsError(
        f"{path!r} line {line}: there is no image {name!r}{said}",
        hint="write the image as suspects.csv has it, by its path below the folder; or take the line out",
        near=pair,
    )


def _alone(changed: Mapping[str, str], labels: Mapping[str, str], path: str) -> list[str]:
    """Return what is said of labels that no other image has: a slip of the pen looks so."""
    fresh = sorted(set(changed.values()) - set(labels.values()))
    return [f"{path} gives a label that no folder or list has: {new}{did_you_mean(new, labels)}" for new in fresh[:3]]


def _keys(names: Sequence[str]) -> list[str]:
    return [unicodedata.normalize("NFC", name).strip().lower() for name in names]
