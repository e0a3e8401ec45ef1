"""folder:PATH: class/x.jpg, any depth below the class, with an optional train/val/test level on top."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from simsearch.errors import SourceError, near_path, near_words
from simsearch.images.formats.formats import suffixes
from simsearch.images.sources.layout import label
from simsearch.images.sources.left_out import FOLLOW, TAKE_IN
from simsearch.images.sources.source import FileSource
from simsearch.images.sources.walk import Picking, Scan, walk

ALL = Picking()


def open_folder(
    path: str, *, spec: str, picking: Picking = ALL, title: str | None = None, labels: bool = True
) -> FileSource:
    """Return the source of a folder, of the files that `picking` takes; without `labels` all are used, without one.

    Raises SourceError when it is missing or holds no image.
    """
    root = os.path.realpath(path)
    if not os.path.isdir(root):
        said, near = near_words(path, None if os.path.exists(root) else near_path(path, os.path.isdir))
        seen = "it is a file" if os.path.exists(root) else f"no such folder{said}"
        raise SourceError(
            f"cannot use the folder {path!r}: {seen}", hint="give a folder that holds class/x.jpg", near=near
        )
    scan = walk(root, picking)
    return FileSource(
        spec=spec,
        title=title or os.path.basename(root) or root,
        root=root,
        identity=f"folder:{root}",
        **laid_out(scan, path, picking, labels=labels),
    )


def laid_out(scan: Scan, path: str, picking: Picking, *, labels: bool) -> dict[str, Any]:
    """Return what a walk through the folder `path` makes of a source: its images, labelled, and all that is said.

    Raises SourceError where it saw no image.
    """
    if not scan.images:
        raise SourceError(f"no images in {path!r}: {scan.seen()}", hint=_hint(scan, picking))
    found = label(scan.images, picking.rules, labels=labels)
    scan.left.aside = found.aside
    scan.left.said += found.said
    return {
        "images": sorted(found.images, key=lambda image: image.image),
        "labelled": found.labelled,
        "rejected": sorted(scan.rejected + found.rejected),
        "notes": [note for note in found.notes if note not in found.said],
        "left_out": scan.left,
    }


def query_files(paths: Iterable[str], lines: Iterable[str]) -> Iterator[str]:
    """Yield the files that a query names: a folder gives its images by name, "-" gives `lines`, a file gives itself.

    Raises SourceError for a folder that holds no image.
    """
    for path in paths:
        if path == "-":
            yield from (line for line in lines if line)
        elif os.path.isdir(path):
            scan = walk(os.path.realpath(path), ALL)
            if not scan.images:
                raise SourceError(f"no images in {path!r}: {scan.seen()}", hint="give an image, or a folder of images")
            yield from (os.path.join(path, image) for image in sorted(scan.images))
        else:
            yield path


def _hint(scan: Scan, picking: Picking) -> str:
    """What helps where no image was found."""
    if scan.left.linked:
        return FOLLOW.replace("them", "linked folders")
    if scan.left.machine:
        return TAKE_IN.replace("them", "folders that systems make")
    return f"expected class/x.jpg with one of {' '.join(sorted(suffixes(picking.rules)))}"
