"""folder:PATH: class/x.jpg, any depth below the class, with an optional train/val/test level on top."""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from simsearch.errors import SourceError
from simsearch.images.decoding import RULES
from simsearch.images.formats import suffixes
from simsearch.images.layout import label
from simsearch.images.source import FileSource

UNREADABLE_FOLDER = "folder cannot be read"


@dataclass
class _Scan:
    """What a walk through a folder saw, apart from the images: counted, not bad."""

    images: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    folders: int = 0
    hidden: int = 0
    excluded: int = 0
    linked: int = 0
    others: Counter[str] = field(default_factory=Counter)


def open_folder(
    path: str, *, spec: str, exclude: list[str], title: str | None = None, rules: int = RULES, labels: bool = True
) -> FileSource:
    """Return the source of a folder, read by `rules`; without `labels` all images are used, without one.

    Raises SourceError when it is missing or holds no image."""
    root = os.path.realpath(path)
    if not os.path.isdir(root):
        seen = "it is a file" if os.path.exists(root) else "no such folder"
        raise SourceError(f"cannot use the folder {path!r}: {seen}", hint="give a folder that holds class/x.jpg")
    scan = _walk(root, exclude, suffixes(rules))
    if not scan.images:
        raise SourceError(
            f"no images in {path!r}: {_seen(scan)}",
            hint=f"expected class/x.jpg with one of {' '.join(sorted(suffixes(rules)))}",
        )
    found = label(scan.images, rules, labels=labels)
    notes = [*found.notes, *_notes(scan)]
    return FileSource(
        spec=spec,
        title=title or os.path.basename(root) or root,
        root=root,
        identity=f"folder:{root}",
        images=sorted(found.images, key=lambda image: image.image),
        labelled=found.labelled,
        rejected=sorted(scan.rejected + found.rejected),
        notes=notes,
    )


def query_files(paths: Iterable[str], lines: Iterable[str]) -> Iterator[str]:
    """Yield the files that a query names: a folder gives its images by name, "-" gives `lines`, a file gives itself.

    Raises SourceError for a folder that holds no image.
    """
    for path in paths:
        if path == "-":
            yield from (line for line in lines if line)
        elif os.path.isdir(path):
            scan = _walk(path, [], suffixes())
            if not scan.images:
                raise SourceError(f"no images in {path!r}: {_seen(scan)}", hint="give an image, or a folder of images")
            yield from (os.path.join(path, image) for image in sorted(scan.images))
        else:
            yield path


def _walk(root: str, exclude: list[str], wanted: Collection[str]) -> _Scan:
    """Return what lies below `root`, images by their suffixes `wanted`, but for what `exclude` names.

    In its glob patterns * also matches "/".
    """
    excluded = re.compile("|".join(map(fnmatch.translate, exclude)) or "(?!)").match
    scan = _Scan()
    stack = [""]
    while stack:
        prefix = stack.pop()
        try:
            entries = os.scandir(os.path.join(root, prefix))
        except OSError as error:
            scan.rejected.append((prefix.rstrip("/"), f"{UNREADABLE_FOLDER}: {error.strerror}"))
            continue
        with entries:
            for entry in entries:
                name = entry.name
                # Most entries are plain image files: seen to be so at half the price of the whole account below.
                plain = not exclude and name[name.rfind(".") :].lower() in wanted and name[0] != "."
                if plain and entry.is_file(follow_symlinks=False):
                    scan.images.append(prefix + name)
                else:
                    _visit(entry, prefix, scan, stack, excluded, wanted)
    return scan


def _visit(
    entry: os.DirEntry[str],
    prefix: str,
    scan: _Scan,
    stack: list[str],
    excluded: Callable[[str], object],
    wanted: Collection[str],
) -> None:
    name = entry.name
    path = prefix + name
    if name.startswith("."):
        scan.hidden += 1
        return
    if entry.is_dir(follow_symlinks=False):
        # "masks/**" names what lies in masks, and with it masks itself.
        if excluded(path) or excluded(path + "/"):
            scan.excluded += 1
            return
        scan.folders += 1
        stack.append(path + "/")
        return
    if excluded(path):
        scan.excluded += 1
        return
    suffix = os.path.splitext(name)[1].lower()
    if entry.is_symlink() and os.path.isdir(entry):
        scan.linked += 1
    elif suffix not in wanted:
        scan.others[suffix[1:] or "no suffix"] += 1
    elif entry.is_file(follow_symlinks=False) or os.path.isfile(entry):
        scan.images.append(path)
    else:
        scan.rejected.append((path, "not a regular file" if os.path.exists(entry) else "leads nowhere (broken link)"))


def _notes(scan: _Scan) -> list[str]:
    notes = []
    counts = dict(sorted(scan.others.items(), key=lambda item: (-item[1], item[0])))
    if scan.hidden:
        counts["hidden"] = scan.hidden
    if counts:
        shown = [f"{name} {count:,}" for name, count in counts.items()]
        listed = ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")
        notes.append(f"{_files(sum(counts.values()))} ignored ({listed})")
    if scan.excluded:
        notes.append(f"{scan.excluded:,} left out by dataset.exclude")
    if scan.linked:
        notes.append(f"{scan.linked:,} linked {'folder' if scan.linked == 1 else 'folders'} not followed")
    return notes


def _files(count: int) -> str:
    return f"{count:,} other {'file' if count == 1 else 'files'}"


def _seen(scan: _Scan) -> str:
    seen = _notes(scan)
    if scan.folders:
        seen.insert(0, f"{scan.folders:,} {'folder' if scan.folders == 1 else 'folders'}")
    if scan.rejected:
        seen.append(f"{scan.rejected[0][0]!r} {scan.rejected[0][1]}")
    return "; ".join(seen) if seen else "the folder is empty"
