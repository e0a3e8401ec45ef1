"""The kernel's locks on files (flock): shared or exclusive, free as soon as their holder is gone, however it went.

A lock file is never deleted, and neither its existence nor its age means anything; the note in it is for people.
"""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from simsearch.durable import make_folder

NOTE_BYTES = 4096
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what file systems without locks say
_waited = threading.local()


def working_seconds() -> float:
    """Return a clock in seconds that stands still while this thread waits for a lock."""
    return time.perf_counter() - getattr(_waited, "seconds", 0.0)


@dataclass(frozen=True)
class Holder:
    """Who noted that a lock is theirs: a command, its process, and since when; None where that cannot be read."""

    who: str
    pid: int | None = None
    since: str | None = None

    def __str__(self) -> str:
        return self.who if self.pid is None else f"{self.who} (process {self.pid}, since {self.since})"


# What a wait is within; it is handed what tells who has the lock, which another may have after a while.
Waiting = Callable[[Callable[[], Holder]], AbstractContextManager[None]]


class Lock:
    """The lock of one file, which is opened here and held from `take` or `alone` on; its `with` lets go of it.

    `may_write` False opens a file that is there already, for a shared lock in a place that cannot be written.
    Raises OSError when the file cannot be opened; so do the others, by ENOLCK, where the file system has no locks.
    """

    def __init__(self, path: Path, *, may_write: bool = True) -> None:
        if may_write:
            make_folder(path.parent)
        flags = os.O_RDWR | os.O_CREAT if may_write else os.O_RDONLY
        self._path = path
        self._file = os.open(path, flags | os.O_CLOEXEC, 0o666)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)

    @property
    def holder(self) -> Holder:
        """Who noted last that the lock is theirs: right as long as the lock is held exclusively."""
        try:
            note = json.loads(os.pread(self._file, NOTE_BYTES, 0))
            return Holder(str(note["who"]), int(note["pid"]), str(note["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Holder("another process")

    @property
    def busy(self) -> bool:
        """Whether another has the lock, exclusively; not to be asked by who holds it."""
        if not self._tried(fcntl.LOCK_SH):
            return True
        self._flock(fcntl.LOCK_UN)
        return False

    def take(self, who: str, waiting: Waiting) -> None:
        """Take the lock exclusively; while others have it, be within `waiting`."""
        self._wait(fcntl.LOCK_EX, waiting)
        self._note(who)

    def share(self, waiting: Waiting) -> None:
        """Take the lock beside others that share it, in place of an exclusive hold where this one has it."""
        self._wait(fcntl.LOCK_SH, waiting)

    def alone(self, who: str) -> bool:
        """Take the lock exclusively if no other has it, and return whether so; if not, nothing is held afterwards."""
        free = self._tried(fcntl.LOCK_EX)
        if free:
            self._note(who)
        else:
            self._flock(fcntl.LOCK_UN)
        return free

    def _tried(self, kind: int) -> bool:
        try:
            self._flock(kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(self, kind: int, waiting: Waiting) -> None:
        if self._tried(kind):
            return
        with waiting(lambda: self.holder):
            started = time.perf_counter()
            try:
                self._flock(kind)
            finally:
                _waited.seconds = getattr(_waited, "seconds", 0.0) + time.perf_counter() - started

    def _flock(self, operation: int) -> None:
        try:
            fcntl.flock(self._file, operation)
        except OSError as error:
            if error.errno in NO_LOCKS:
                raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), str(self._path)) from None
            raise

    def _note(self, who: str) -> None:
        since = dt.datetime.now().astimezone().isoformat(timespec="seconds")
        note = json.dumps({"who": who, "pid": os.getpid(), "since": since}).encode()
        with suppress(OSError):  # a full disk
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, note, 0)
