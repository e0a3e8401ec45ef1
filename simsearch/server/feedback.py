"""What people say of hits: rows of a list, with the pictures that were searched with kept beside it."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import unicodedata
from collections import OrderedDict
from pathlib import Path

from simsearch.durable import write_durably
from simsearch.errors import SimsearchError, SourceError
from simsearch.images.formats.formats import media_type
from simsearch.server.problems import Problem

HEADER = ("path", "label", "split", "said", "when")
SPLIT = "test"  # of the list that the rows are for: they are searched with, and nothing is trained on them
RIGHT, WRONG = "right", "wrong"
FORMULA = ("=", "+", "-", "@", "\t")  # what a cell begins with that a spreadsheet would run
_HELD_BYTES = 256 * 2**20
_SUFFIXES = {"image/jpeg": ".jpg", "image/tiff": ".tif"}


class Feedback:
    """The file of what was said, and the pictures of late searches, which it may be said of."""

    def __init__(self, path: str) -> None:
        """Read what the file holds already. Raises SourceError for one that is not written by this."""
        self.path = Path(os.path.abspath(path))
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._held = 0
        self._rows: dict[str, tuple[str, ...]] = {}
        if not self.path.parent.is_dir():
            raise SourceError(f"there is no folder {self.path.parent} for {self.path.name}", hint="make it first")
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                head, *rows = csv.reader(file)
            if tuple(head) != HEADER or any(len(row) != len(HEADER) for row in rows):
                raise ValueError
        except (OSError, ValueError, csv.Error):
            hint = f"another name makes a new file; its first line is {','.join(HEADER)}"
            raise SourceError(f"{self.path} is no file that simsearch serve --feedback wrote", hint=hint) from None
        self._rows = {row[0]: tuple(row) for row in rows}

    def keep(self, name: str, picture: bytes) -> None:
        """Remember the picture of an answer for a while: of the latest, 256 MB."""
        if name in self._pictures:
            self._pictures.move_to_end(name)
            return
        self._pictures[name] = picture
        self._held += len(picture)
        while self._held > _HELD_BYTES:
            self._held -= len(self._pictures.popitem(last=False)[1])

    def picture(self, name: str) -> bytes:
        """Return the picture of an answer; Problem (404) where it is not remembered any more."""
        found = self._pictures.get(name)
        if found is None:
            raise Problem(404, f"the picture of the answer {name[:40]!r} is not remembered", "search again")
        return found

    def say(self, name: str, picture: bytes, label: str, said: str) -> None:
        """Write what a picture is; of one that something was said of before, the last word stands."""
        kind = media_type(picture)
        suffix = _SUFFIXES.get(kind, f".{kind.partition('/')[2]}")
        folder = self.path.with_suffix("").name + "-pictures"
        place = f"{folder}/{name}{suffix}"
        file = self.path.with_name(folder) / f"{name}{suffix}"
        when = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        rows = {**self._rows, place: (place, label, SPLIT, said, when)}
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([HEADER, *rows.values()])
        try:
            file.parent.mkdir(exist_ok=True)
            if not file.exists():
                write_durably(file, picture)
            write_durably(self.path, text.getvalue().encode())
        except (OSError, SimsearchError) as error:
            raise Problem(507, f"feedback cannot be written: {error}", "free some space, and say it again") from None
        self._rows = rows


def checked_label(text: str) -> str:
    """Return a label that somebody typed; Problem (422) for none, and for what a spreadsheet would run."""
    label = text.strip()
    if not label or not label.isprintable() or unicodedata.normalize("NFKC", label).startswith(FORMULA):
        raise Problem(422, f"said: expected {RIGHT!r} or a label, seen {label[:40]!r}", "as apple")
    return label
