"""The paths of a table on this machine: as they are written first, then as other systems would have written them."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice, product

MISSING = "file is missing"
SPELLINGS = 32  # of one path, at most, that are tried
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+://")


class Lookup:
    """Looks paths up below the real path `root`; `encoding` is that of the table, where it was a guess.

    `literal`: paths are taken as they are written and no other way, as the first rules did.
    """

    def __init__(self, root: str, encoding: str | None = None, *, literal: bool = False) -> None:
        self._root = root
        self._inside = os.path.join(root, "")
        self._encoding = encoding
        self._literal = literal
        self._folders: dict[str, str] = {}  # the folders on the way are resolved once each

    def find(self, path: str) -> tuple[str, str]:
        """Return why a path cannot be used ("" = it can) and the path of its file below the root."""
        reason, real = self._real_path(path)
        if reason == MISSING and not self._literal:
            tried = (self._real_path(other) for other in islice(self._spellings(path), SPELLINGS))
            reason, real = next((found for found in tried if found[0] != MISSING), (self._missing(path), real))
        if not reason and not real.startswith(self._inside):
            reason = f"lies outside of {self._root}"
        return reason, real[len(self._inside) :]

    def _spellings(self, path: str) -> Iterator[str]:
        """Yield the path without space around, with Windows' backslashes, other bytes, and accents coded otherwise."""
        forms = [path, path.strip()]
        if not _WINDOWS.match(path):
            forms += [form.replace("\\", "/") for form in forms]
        if self._encoding is not None:  # a name that was copied as bytes
            forms += [os.fsdecode(form.encode(self._encoding, "replace")) for form in forms]
        seen = {path}
        for form in forms:
            parts = [_accents(part) for part in form.split("/")] if not form.isascii() else [[form]]
            for other in map("/".join, product(*parts)):
                if other not in seen:
                    seen.add(other)
                    yield other

    @staticmethod
    def _missing(path: str) -> str:
        if _WINDOWS.match(path.strip()):
            return f"{MISSING}: an absolute path of Windows"
        return f"{MISSING}: an address, no path" if _URL.match(path.strip()) else MISSING

    def _real_path(self, path: str) -> tuple[str, str]:
        """Return a reason ("" = none) and the real path, which may lie outside of the root."""
        if not path or "\0" in path:
            return ("no path" if not path else "not a usable path"), ""
        head, name = os.path.split(os.path.join(self._root, path))
        try:
            if name in ("", ".", ".."):
                real = os.path.realpath(os.path.join(head, name))
            else:
                if head not in self._folders:
                    self._folders[head] = os.path.realpath(head)
                real = os.path.join(self._folders[head], name)
            status = os.lstat(real)
            if stat.S_ISLNK(status.st_mode):
                real = os.path.realpath(real)
                # Where a link leads is said before whether something is there, so that nothing outside is probed.
                if not real.startswith(self._inside):
                    return "", real
                status = os.lstat(real)
        except FileNotFoundError:
            return (MISSING if real.startswith(self._inside) else ""), real
        except (OSError, ValueError) as error:
            return f"cannot be read: {getattr(error, 'strerror', None) or 'not a usable path'}", ""
        if not real.startswith(self._inside):
            return "", real
        return ("" if stat.S_ISREG(status.st_mode) else "not a regular file"), real


def _accents(part: str) -> Iterable[str]:
    """Return a name as it is, and with its accents composed and decomposed."""
    return dict.fromkeys((part, unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part)))
