"""Whether a folder is still the one that was looked at first."""

from __future__ import annotations

import os

from simsearch.changes.look import NOTHING_DELETED
from simsearch.errors import SourceError
from simsearch.images.sources.source import FileSource


def identity(root: str) -> tuple[int, int]:
    """Return device and inode of a folder or file; (-1, -1) for what is not there."""
    try:
        status = os.stat(root)
    except OSError:
        return -1, -1
    return status.st_dev, status.st_ino


def check_place(source: FileSource, place: tuple[int, int]) -> None:
    """Raise SourceError when the folder is not the one that was looked at first: what vanished may not be deleted."""
    if place == (-1, -1) or identity(source.root) != place:
        raise SourceError(
            f"{source.root!r} vanished while it was being read; {NOTHING_DELETED}",
            hint="run the same command again when the folder is there",
        )
