"""SHA-256 of files, and a memory that spares reading again what has not changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

CHUNK_BYTES = 1 << 20
RACY_NS = 2_000_000_000
MANY = 1000  # from so many files on, reading what is remembered at once is faster than asking for each

Stamp = tuple[int, int, int, int]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, sha256 BLOB
) WITHOUT ROWID
"""
_BETWEEN = "SELECT path, size, mtime_ns, ctime_ns, inode, sha256 FROM files WHERE path BETWEEN ? AND ?"


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a regular file as 64 hex digits, read in pieces of 1 MiB.

    Raises OSError when the file cannot be read or is no regular file.
    """
    return _hash(os.fspath(path))[1]


def _hash(path: str) -> tuple[Stamp | None, str]:
    """Return the stamp (None when the file changed while it was read) and the SHA-256 of a file."""
    # O_NONBLOCK: a FIFO that pretends to be a file must not hold up the build.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(f"not a regular file: {path}")
        digest = hashlib.sha256()
        while piece := os.read(descriptor, CHUNK_BYTES):
            digest.update(piece)
        same = stamp_of(before) == stamp_of(os.fstat(descriptor))
        return (stamp_of(before) if same else None), digest.hexdigest()
    finally:
        os.close(descriptor)


def _absolute(path: str | os.PathLike[str]) -> str:
    """os.path.abspath, which takes a fifth of the time of a hundred thousand look-ups where it changes nothing."""
    name = os.fspath(path)
    return name if name.startswith("/") and "//" not in name and "/." not in name else os.path.abspath(name)


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what changes with every write to a file: size, mtime and ctime in ns, inode."""
    # ctime: a program that edits in place may put size and mtime back, but nobody can put back this one.
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


class HashMemory:
    """Hashes remembered by (absolute path, size, mtime_ns, ctime_ns, inode) in a small SQLite file; safe for threads.

    A file that changed less than 2 s ago is not remembered, as its next change may leave the same time stamp
    (git calls it racily clean). A memory that is damaged or cannot be written costs time, never the answer.
    Without a path nothing outlives the object.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = None if path is None else Path(path)
        self._lock = threading.Lock()
        self._new: dict[bytes, tuple[Stamp, bytes]] = {}
        self._database: sqlite3.Connection | None = None
        self._opened = False  # only when something is asked: most queries never do, and a look must not write

    def __enter__(self) -> HashMemory:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def sha256(self, path: str | os.PathLike[str]) -> str:
        """Return the SHA-256 of a file; raises OSError when it cannot be read."""
        return self.size_and_sha256(path)[1]

    def size_and_sha256(self, path: str | os.PathLike[str]) -> tuple[int, str]:
        """Return the size in bytes and the SHA-256 of a file; raises OSError when it cannot be read."""
        name = os.path.abspath(path)
        key = os.fsencode(name)
        found = self._recall(key, name)
        return found if found is not None else self._learn(key, name)

    def many(self, paths: Iterable[str], *, threads: int = 2, again: bool = False) -> list[tuple[int, str] | OSError]:
        """Return (size in bytes, SHA-256) of each file in order, or the OSError that kept it from being read.

        With `again` every file is read, whatever is remembered of it.
        """
        names = [_absolute(path) for path in paths]
        ask = len(names) > MANY and not again
        known = self._remembered(os.fsencode(min(names)), os.fsencode(max(names))) if ask else {}
        results: list[tuple[int, str] | OSError | None] = []
        unknown: list[int] = []
        for position, name in enumerate(names):
            try:
                key = os.fsencode(name)
                found = known.get(key)
                if again:
                    results.append(None)
                elif found is None:
                    results.append(self._recall(key, name))
                else:
                    stamp = stamp_of(os.stat(name))
                    results.append((stamp[0], found[1].hex()) if stamp == found[0] else None)
            except OSError as error:
                results.append(error)
            if results[-1] is None:
                unknown.append(position)

        def learn(position: int) -> tuple[int, str] | OSError:
            try:
                return self._learn(os.fsencode(names[position]), names[position])
            except OSError as error:
                return error

        if unknown:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(threads) as pool:
                for position, result in zip(unknown, pool.map(learn, unknown), strict=True):
                    results[position] = result
        return [result for result in results if result is not None]

    def close(self) -> None:
        """Write what was learnt in one transaction, and close the file."""
        with self._lock:
            database, self._database, self._opened = self._database, None, False
            if database is None:
                return
            import sqlite3

            rows = [(key, *stamp, digest) for key, (stamp, digest) in self._new.items()]
            with contextlib.suppress(sqlite3.Error), database:
                database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", rows)
            database.close()
            self._new.clear()

    def _open(self) -> sqlite3.Connection | None:
        import sqlite3  # here, so that a query that checks small files only does not pay for it

        if self._path is None or (self._path.exists() and not self._path.is_file()):
            return None
        for attempt in range(2):
            database = None
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                database = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
                database.execute(_SCHEMA)
                database.execute(_BETWEEN, (b"", b"")).fetchone()
                return database
            except (sqlite3.Error, OSError) as error:
                if database is not None:
                    database.close()
                # Locked or unwritable (OperationalError): another process may be using it, leave it alone.
                damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
                wrong_table = isinstance(error, sqlite3.OperationalError) and "no such column" in str(error)
                if attempt or not (damaged or wrong_table):
                    return None
                with contextlib.suppress(OSError):
                    self._path.unlink()
        return None

    def _remembered(self, first: bytes, last: bytes) -> dict[bytes, tuple[Stamp, bytes]]:
        """What is remembered of all files from the first path to the last, read at once."""
        import sqlite3

        with self._lock:
            if not self._opened:
                self._database, self._opened = self._open(), True
            found: dict[bytes, tuple[Stamp, bytes]] = {}
            if self._database is not None:
                with contextlib.suppress(sqlite3.Error):
                    for path, size, mtime_ns, ctime_ns, inode, digest in self._database.execute(
                        _BETWEEN, (first, last)
                    ):
                        if isinstance(digest, bytes) and len(digest) == 32:
                            found[path] = (size, mtime_ns, ctime_ns, inode), digest
            return found if first == last else found | self._new

    def _recall(self, key: bytes, name: str) -> tuple[int, str] | None:
        stamp = stamp_of(os.stat(name))
        known = self._new.get(key) or self._remembered(key, key).get(key)
        return (stamp[0], known[1].hex()) if known is not None and known[0] == stamp else None

    def _learn(self, key: bytes, name: str) -> tuple[int, str]:
        stamp, digest = _hash(name)
        if stamp is None:
            return os.stat(name).st_size, digest
        if max(stamp[1], stamp[2]) < time.time_ns() - RACY_NS:
            with self._lock:
                if not self._opened:  # else nothing is written when all was read again
                    self._database, self._opened = self._open(), True
                self._new[key] = stamp, bytes.fromhex(digest)
        return stamp[0], digest
