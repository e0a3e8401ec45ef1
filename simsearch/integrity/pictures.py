"""Are the pictures of a build still those that it was made from? Their bytes are read, whatever their times say."""

from __future__ import annotations

import os

from simsearch.artifacts import Artifact
from simsearch.changes.state import DELETED, rows_of
from simsearch.console import Progress, safe
from simsearch.errors import SourceError
from simsearch.home import Build, Home
from simsearch.images.records import read_names
from simsearch.versions import usable_cores

BATCH = 512  # pictures between two reports
SHOWN = 3
GONE = (FileNotFoundError, NotADirectoryError, PermissionError)  # not here, or not for us: no damage of a build


def pictures(build: Build, dataset: Artifact, progress: Progress) -> str | None:
    """Hash every picture of a build of files; returns what was seen, None where not one of them is on this machine.

    What is learnt is remembered, so that the next sync knows it too. Raises SourceError when a picture holds other
    bytes than the build was made from, or cannot be read.
    """
    root = str(build.record.root)
    images, _, digests, _ = read_names(dataset.path)
    deleted = set(rows_of(dataset, DELETED).tolist())
    rows = [row for row in range(len(images)) if row not in deleted]
    other, unreadable, gone = [], [], 0
    with Home(build.home).memory as memory, progress.stage("Pictures", line=False) as stage:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            paths = (os.path.join(root, images[row]) for row in batch)
            found = memory.many(paths, threads=2 * usable_cores(), again=True)
            for row, seen in zip(batch, found, strict=True):
                if isinstance(seen, GONE):
                    gone += 1
                elif isinstance(seen, OSError):
                    unreadable.append(f"{images[row]} ({seen.strerror or 'not a regular file'})")
                elif seen[1] != digests[row]:
                    other.append(images[row])
            stage(start + len(batch), len(rows))
    if gone == len(rows):
        return None
    away = f", {gone:,} {'is' if gone == 1 else 'are'} not here" if gone else ""
    faults = [
        f"{_count(len(names))} {fault}: {', '.join(map(safe, names[:SHOWN]))}{', ...' if len(names) > SHOWN else ''}"
        for names, fault in ((other, "not what the build was made from"), (unreadable, "not readable"))
        if names
    ]
    if faults:
        raise SourceError(f"of {len(rows):,} pictures {'; '.join(faults)}{away}", hint=_mend(build))
    return f"{len(rows) - gone:,} below {root}, byte for byte as the build was made from{away}"


def _count(number: int) -> str:
    return f"{number:,} {'is' if number == 1 else 'are'}"


def _mend(build: Build) -> str:
    if build.of_files:
        return f"simsearch sync --build {build.name} --rehash takes in what the pictures hold now"
    return "the same simsearch build again makes the pictures anew"
