"""When large files were last hashed whole: what lets a query believe them for some days, and no other command.

One flipped bit of an index puts a foreign row first and changes neither size nor time of the file. Reading it all
finds that, and takes longer than a query, so it is done at every build and sync, at every verify, when a server opens
a build, and by a query when the last time was too long ago, or before the machine was started.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from simsearch.hashing import sha256_file, stamp_of

DAYS = 7.0
DAY = 86_400.0
BOOT = Path("/proc/sys/kernel/random/boot_id")


class Checked:
    """The memory of whole hashes of large files, in a small JSON file; without a path nothing outlives the object.

    A memory that is damaged or cannot be written costs time, never the answer. Safe for threads.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._days: float | None = DAYS
        self._hashed: dict[str, list[Any]] = {}  # by this object
        self._lock = threading.Lock()

    @contextmanager
    def believing(self, days: float | None) -> Iterator[None]:
        """Believe files for so many days after they were hashed whole in the block; None: not at all."""
        before, self._days = self._days, days
        try:
            yield
        finally:
            self._days = before

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file, remembered or read; raises OSError when it cannot be read."""
        stamp = _stamp(path)
        own = self._hashed.get(str(path))
        known = own if own is not None or self._days is None else self._remembered().get(str(path))
        if _of(known, stamp) and (own is not None or self._lately(known)):
            return str(known[1])  # type: ignore[index]
        digest = sha256_file(path)
        if _stamp(path) == stamp:
            with self._lock:
                self._hashed[str(path)] = [stamp, digest, time.time(), _boot()]
                self._write()
        return digest

    def when(self, path: Path) -> float | None:
        """Return when a file, as it is now, was last hashed whole, in seconds since 1970; None: not known."""
        known = self._hashed.get(str(path)) or self._remembered().get(str(path))
        with suppress(OSError):
            return float(known[2]) if known is not None and _of(known, _stamp(path)) else None
        return None

    def _lately(self, known: Any) -> bool:
        age = time.time() - known[2]
        return self._days is not None and 0 <= age < self._days * DAY and known[3] == _boot()

    def _remembered(self) -> dict[str, list[Any]]:
        with suppress(OSError, ValueError, RecursionError):
            found = json.loads(self._path.read_bytes()) if self._path is not None else {}
            if isinstance(found, dict):
                return {path: entry for path, entry in found.items() if _sound(entry)}
        return {}

    def _write(self) -> None:
        """Write what is known of files that are there; another process that writes meanwhile costs a hash again."""
        if self._path is None:
            return
        known = {path: entry for path, entry in {**self._remembered(), **self._hashed}.items() if os.path.exists(path)}
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            try:
                temporary.write_text(json.dumps(known))
                os.replace(temporary, self._path)
            finally:
                temporary.unlink(missing_ok=True)


def _stamp(path: Path) -> list[int]:
    return list(stamp_of(path.stat()))  # as JSON gives it back


def _of(known: list[Any] | None, stamp: list[int]) -> bool:
    return known is not None and known[0] == stamp


def _sound(entry: Any) -> bool:
    """Whether a remembered entry is one of ours: stamp, digest, time and boot."""
    if not isinstance(entry, list) or [type(value) for value in entry] != [list, str, float, str]:
        return False
    return len(entry[1]) == 64 and bool(entry[3])


def _boot() -> str:
    """Return what tells one start of this machine from the next; the same word where the system does not say."""
    with suppress(OSError):
        return BOOT.read_text().strip() or "unknown"
    return "unknown"
