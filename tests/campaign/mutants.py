"""The product broken on purpose, in children alone: each has to turn the campaign red, or it proves nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def fsync_off() -> None:
    """Nothing is made durable."""
    os.fsync = lambda descriptor: None


def folder_unsynced() -> None:
    """Files are made durable, and their names are not."""
    real = os.fsync
    os.fsync = lambda descriptor: None if stat.S_ISDIR(os.fstat(descriptor).st_mode) else real(descriptor)


def rename_first() -> None:
    """A file gets its name before its bytes are durable."""
    from simsearch import durable

    @contextmanager
    def replaced(path: Path) -> Iterator[Path]:
        durable.make_folder(path.parent)
        temporary = path.with_name(f".{path.name}.tmp")
        yield temporary
        os.replace(temporary, path)
        durable.fsync(path.parent)
        durable.fsync(path)

    durable.replaced = replaced


def manifest_first() -> None:
    """An artifact is in its place, its manifest durable, before its files are."""
    from simsearch import artifacts

    real_commit, real_fsync = artifacts.Store.commit, artifacts.fsync

    def commit(store: Any, stage: str, digest: str, workspace: Any, manifest: Any) -> Any:
        artifacts.fsync = lambda path: None if path.is_file() else real_fsync(path)
        try:
            done = real_commit(store, stage, digest, workspace, manifest)
        finally:
            artifacts.fsync = real_fsync
        for path in done.path.iterdir():
            real_fsync(path)
        return done

    artifacts.Store.commit = commit


def sqlite_off() -> None:
    """SQLite does not wait for the disk."""
    from simsearch.bench.history import history

    real = history.History._prepare

    def prepare(self: Any) -> None:
        real(self)
        self._database.execute("PRAGMA synchronous = OFF")

    history.History._prepare = prepare


def seal_unchecked() -> None:
    """The file of a build is believed whatever it says."""
    from simsearch.home import build

    build._has_seal = lambda found: True


def lock_not_taken() -> None:
    """Nobody waits for anybody."""
    from simsearch.locks import Lock

    Lock._flock = lambda self, operation: None


def hash_too_early() -> None:
    """The hash of a file is remembered with the stamp that the file has afterwards."""
    from simsearch import hashing

    real = hashing._hash

    def late(path: str) -> Any:
        digest = real(path)[1]
        return hashing.stamp_of(os.stat(path)), digest

    hashing._hash = late
    hashing.RACY_NS = -(10**15)


# Each with the trials that find it: of an operation and a fault, or of a kind of its own.
MUTANTS: dict[str, tuple[Callable[[], None], str]] = {
    "fsync-off": (fsync_off, "sync/cut"),
    "folder-unsynced": (folder_unsynced, "export/cut"),
    "rename-first": (rename_first, "switch/journal"),
    "manifest-first": (manifest_first, "sync/journal"),
    "sqlite-off": (sqlite_off, "accept/cut"),
    "seal-unchecked": (seal_unchecked, "record"),
    "lock-not-taken": (lock_not_taken, "together"),
    "hash-too-early": (hash_too_early, "edit"),
}
