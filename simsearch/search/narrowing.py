"""What narrows a search down: the rows that pass a filter, and a query that is not to find itself."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from simsearch.home import Build
from simsearch.images.records import EXTRA, GROUP, ImageRecord, extra_columns, has_groups
from simsearch.search.corpus import Corpus
from simsearch.vectors.index import Deleted, Passing

if TYPE_CHECKING:
    from simsearch.search.filtering import Filters

_KEPT = 4  # filters, with the vectors that pass them

Found = list[tuple[float, int, ImageRecord]]  # score, row, and what the table says of it


class Own(NamedTuple):
    """What tells a query from the corpus: the digest of its file ("" without one, None for a vector), and its name."""

    digest: str | None
    image: str | None = None

    def is_of(self, record: ImageRecord) -> bool:
        """Return whether the query is this image: the same bytes, or the same file."""
        return (bool(self.digest) and record.sha256 == self.digest) or record.image == self.image


def name_under(build: Build, picture: object) -> str | None:
    """Return what a build calls a picture that is given by its path, None for another."""
    root = build.record.root
    if root is None or not isinstance(picture, str | os.PathLike):
        return None
    return os.path.relpath(os.path.realpath(os.fsdecode(picture)), root)


def others(found: Found, own: Own, count: int, more: Callable[[int], tuple[list[Found], object]]) -> Found:
    """Return the nearest `count` that are not the query itself, of those `found`; `more(n)[0][0]` are the n nearest.

    So many were asked for that one may be left out; where the query has copies of the same bytes, more are.
    """
    asked = count + 1
    while True:
        left = [one for one in found if not own.is_of(one[2])]
        if len(left) >= count or len(found) < asked:
            return left[:count]
        asked *= 2
        found = more(asked)[0][0]


class Narrowing:
    """The filters of an opened build; several threads may use it."""

    def __init__(self, build: Build, corpus: Corpus, rows: int, deleted: Deleted | None) -> None:
        self._build, self._corpus, self._rows, self._deleted = build, corpus, rows, deleted
        self._kept: dict[str, Passing] = {}
        self._filters: Filters | None = None
        self._reading = threading.Lock()

    def passing(self, where: str) -> Passing:
        """Return the rows of the index that pass a filter and are not deleted; raises what `Filters.passing` does."""
        with self._reading:
            passing = self._kept.pop(where, None)
            if passing is None:
                self._filters = self._filters or self._opened()
                flags = self._filters.passing(where)[: self._rows]
                passing = Passing(flags if self._deleted is None else flags & ~self._deleted.flags)
            self._kept[where] = passing
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]  # the one that was asked for the longest ago
            return passing

    def _opened(self) -> Filters:
        from simsearch.search.filtering import IMAGE, LABEL, Filters

        build = self._build
        folder, table = self._corpus.folder, build.record.recipe["dataset"]
        columns = {IMAGE: IMAGE, **({LABEL: LABEL} if build.record.labelled else {})}
        if has_groups(folder):
            columns[GROUP] = GROUP
            if re.fullmatch(r"[\w \-]*", named := table.get("group") or ""):  # a column, which a pattern is not
                columns.setdefault(named.strip(), GROUP)
        columns |= {name: EXTRA + name for name in extra_columns(folder)}
        return Filters(folder, columns, self._corpus.live, self._unknown(table.get("source", "")))

    def _unknown(self, source: str) -> str:
        """Return what to do about a column that there is not: a list may have it, which an older build did not keep."""
        if source.startswith("table:"):
            return f"where the list has that column, {self._build.retrain()} makes the build anew with it"
        return "further columns are those of a list: simsearch build list.csv, with path,label,price,..."
