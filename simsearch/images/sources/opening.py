"""The entrance: a recipe's `dataset.source` -> an opened Source."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from simsearch.errors import SourceError
from simsearch.hashing import HashMemory
from simsearch.images.formats.decoding import PRESENT, Decoding
from simsearch.images.sources.digits import open_digits
from simsearch.images.sources.folders import open_folder
from simsearch.images.sources.groups import by_pattern, told
from simsearch.images.sources.left_out import unread
from simsearch.images.sources.mending import mended, read_labels
from simsearch.images.sources.remote import open_remote
from simsearch.images.sources.source import FileSource, Source
from simsearch.images.sources.tables import open_table
from simsearch.images.sources.torchvision_sets import open_torchvision
from simsearch.images.sources.urls import is_url
from simsearch.images.sources.walk import Picking

LEAVE_OUT = "leave it out"
# The keys of [dataset] that say how a source is opened; those that earlier builds do not know have defaults below.
OPENED_BY = ("options", "exclude", "root", "group", "columns", "labels", "follow_links", "machine_folders")


def open_source(spec: str, *, decoding: Decoding = PRESENT, labels: bool | str = True, **asked: Any) -> Source:
    """Return what `_open` gives, picked and to be decoded as `decoding` says, with the labels of a file of `labels`.

    Raises SourceError also for a file of labels that cannot be used.
    """
    path = labels if isinstance(labels, str) else None
    lines = None if path is None else read_labels(path)
    source = _open(spec, rules=decoding.rules, labels=bool(labels), mends=lines is not None, **asked)
    if path is not None and lines is not None:
        assert isinstance(source, FileSource)
        source = mended(source, path, lines)
    source.decoding = decoding
    if isinstance(source, FileSource):
        source.left_out.unread = unread(image.image for image in source.images)
    return source


def _open(
    spec: str,
    *,
    rules: int,
    home_datasets: Path,
    options: dict[str, Any],
    exclude: list[str],
    root: str | None,
    base: Path,
    memory: HashMemory,
    offline: bool = False,
    group: str | None = None,
    columns: dict[str, str] | None = None,
    labels: bool = True,
    mends: bool = False,
    follow_links: bool = False,
    machine_folders: bool = False,
) -> Source:
    """Return the source that `spec` names: digits, torchvision:NAME, folder:PATH, folder:URL or table:FILE.

    `group` is a pattern over paths that tells which images belong together (groups.py), or a table's column; `columns`
    are the names of a table's other columns, `rules` those of `Decoding`. Without `labels` every image is used,
    without one; `mends`: a file of labels is given.

    `follow_links` and `machine_folders` say what of a folder is walked through (images/sources/walk.py).

    Relative paths in `spec` and `root` start at `base`. `memory` spares hashing unchanged files of digits and
    torchvision sets.
    Raises SourceError when the source cannot be read, or is given what it does not know.
    """
    kind, _, rest = spec.partition(":")
    if spec == "digits":
        kind = "digits"
    elif kind not in ("torchvision", "folder", "table") or not rest:
        raise SourceError(f"dataset.source is {spec!r}: expected digits, torchvision:NAME, folder:PATH or table:FILE")
    if options and kind != "torchvision":
        raise SourceError(f"dataset.options is for torchvision:NAME, and the source is {spec!r}", hint=LEAVE_OUT)
    if root is not None and kind != "table":
        raise SourceError(f"dataset.root is for table:FILE, and the source is {spec!r}", hint=LEAVE_OUT)
    if columns and kind != "table":
        raise SourceError(f"dataset.columns is for table:FILE, and the source is {spec!r}", hint=LEAVE_OUT)
    if exclude and kind not in ("digits", "folder"):
        raise SourceError(f"dataset.exclude is for folder:PATH, and the source is {spec!r}", hint=LEAVE_OUT)
    for key, given in (("follow_links", follow_links), ("machine_folders", machine_folders)):
        if given and kind != "folder":
            raise SourceError(f"dataset.{key} is for folder:PATH, and the source is {spec!r}", hint=LEAVE_OUT)
    if group is not None and kind == "torchvision":
        raise SourceError(
            f"dataset.group is for folder:PATH and table:FILE, and the source is {spec!r}", hint=LEAVE_OUT
        )
    if (mends or not labels) and kind not in ("folder", "table"):
        raise SourceError(
            f"dataset.labels is for folder:PATH and table:FILE, and the source is {spec!r}", hint=LEAVE_OUT
        )
    path = os.path.join(base, os.path.expanduser(rest))
    if kind == "folder" and is_url(rest):
        if follow_links:
            raise SourceError(f"dataset.follow_links is for folders of this machine, and the source is {spec!r}")
        return _grouped(
            open_remote(rest, spec=spec, picking=Picking(tuple(exclude), rules, False, machine_folders), labels=labels),
            group,
        )
    if kind == "folder":
        picking = Picking(tuple(exclude), rules, follow_links, machine_folders)
        return _grouped(open_folder(path, spec=spec, picking=picking, labels=labels), group)
    if kind == "table":
        root = root and os.path.expanduser(root)
        return open_table(
            path, spec=spec, root=root, base=str(base), columns=columns, group=group, rules=rules, labels=labels
        )
    if kind == "digits":
        return _grouped(open_digits(home_datasets, exclude=exclude, memory=memory), group)
    return open_torchvision(rest, spec=spec, home=home_datasets, options=options, offline=offline, memory=memory)


def _grouped(source: FileSource, pattern: str | None) -> FileSource:
    """Return the source with the group of each image, and what is to be said of them."""
    if pattern is None:
        return source
    images = by_pattern(source.images, pattern)
    return replace(source, images=images, notes=[*source.notes, *told(images, f"dataset.group '{pattern}'")])
