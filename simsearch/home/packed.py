"""Packs below a home: each is unpacked once, into a folder that its digest names, and is a small home there.

Opening one again reads its list alone, some kilobytes; what a query then reads is checked as in any home. Its lock is
held as long as the build is used, so that `clean` leaves what is open.
"""

from __future__ import annotations

import os
import shutil
import time
import weakref
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path

from simsearch.artifacts import GRACE_SECONDS
from simsearch.console import Progress
from simsearch.durable import fsync
from simsearch.errors import ArtifactError, near_path, near_words
from simsearch.locks import Lock
from simsearch.names import PACK
from simsearch.packs import contents_of, unpack

FOLDER = "packs"  # of a home
LOCK = ".lock"
PARTIAL = ".partial-"


def checked_pack(path: Path) -> Path:
    """Return the path of a pack that is there; ArtifactError for one that is not."""
    if path.exists():
        return path
    near = near_path(str(path), lambda one: one.endswith(PACK))
    said, words = near_words(str(path), near)
    raise ArtifactError(
        f"no pack {path}{said}", hint="simsearch export BUILD --format pack --out FILE.pack makes one", near=words
    )


def unpacked(path: Path, home: Path, progress: Progress) -> tuple[str, Path, AbstractContextManager[object]]:
    """Return the name of the build in a pack, the folder that it is unpacked in, and what holds that folder's lock.

    Raises ArtifactError for a file that is none of ours, or differs from what it lists.
    """
    contents = contents_of(checked_pack(path))
    folder = home / FOLDER / contents.digest
    while True:
        with ExitStack() as held, suppress(FileNotFoundError):
            held.enter_context(Lock(folder / LOCK, may_write=False)).share(lambda who: nullcontext())
            if folder.is_dir():  # nobody removed it before the lock was ours
                with suppress(OSError):
                    os.utime(folder)
                return contents.build, folder, held.pop_all()
        _unpack(path, folder, progress)


def hold(build: object, held: AbstractContextManager[object]) -> None:
    """Keep a lock as long as an object is used."""
    weakref.finalize(build, held.__exit__, None, None, None)


def _unpack(path: Path, folder: Path, progress: Progress) -> None:
    """Unpack into a folder of its own, renamed at the end; one process at a time, which removes what dead ones left."""
    with Lock(folder.parent / LOCK) as lock:
        lock.take(f"unpacking {path}", lambda who: nullcontext())
        for left in folder.parent.glob(f"{PARTIAL}*"):
            shutil.rmtree(left, ignore_errors=True)
        if folder.is_dir():
            return
        partial = folder.with_name(f"{PARTIAL}{folder.name}")
        try:
            with progress.stage("Unpacked") as line:
                seen = unpack(path, partial, lambda done, whole: line(done, whole, "bytes"))
                line.detail = f"{len(seen.members):,} files, {seen.size:,} bytes"
            if seen.digest != folder.name:
                raise ArtifactError(f"{path} changed while it was read", hint="run the same command again")
            (partial / LOCK).touch()
            os.rename(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        fsync(folder.parent)


def unpacked_before(home: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders of packs that were not opened for a day and are not open, and the others."""
    old: list[Path] = []
    used: list[Path] = []
    for folder in sorted((home / FOLDER).glob("[0-9a-f]*")):
        (used if time.time() - folder.stat().st_mtime < GRACE_SECONDS or _is_open(folder) else old).append(folder)
    return old, used


def put_away(folder: Path) -> Path | None:
    """Rename the folder of a pack to where nobody looks for it, and return that place; None where it is open by now."""
    with Lock(folder / LOCK, may_write=False) as lock:
        if not lock.alone("clean"):
            return None
        away = folder.with_name(f"{PARTIAL}old-{folder.name}-{time.time_ns()}")
        os.rename(folder, away)
    return away


def _is_open(folder: Path) -> bool:
    with suppress(FileNotFoundError), Lock(folder / LOCK, may_write=False) as lock:
        return not lock.alone("clean")
    return False
