"""Which images of a build pass a filter: its conditions, asked of the columns of the table of images.

A column is read once, as its different texts and which of them each row has: a condition looks at each text once. Names
that nothing has, as a label with a slip, are refused with the nearest one, so that no slip reads as an empty answer.
"""

from __future__ import annotations

import operator
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Flags
from simsearch.console import shorten, some
from simsearch.errors import FilterError, near_words, nearest
from simsearch.images.records import read_columns
from simsearch.search.where import NUMBER, All, Among, Column, Compared, Condition, Not, Under, Value, columns_of, parse

IMAGE, LABEL = "image", "label"

_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_NEAR = 10_000  # folders that a name is compared with at most


@dataclass(frozen=True)
class Cells:
    """A column: its different texts, composed (NFC), and which of them each row has, (rows,) int32."""

    texts: list[str]
    of_row: NDArray[np.int32]

    @classmethod
    def of(cls, fields: Iterable[str]) -> Cells:
        """Return the cells of fields in row order."""
        known: dict[str, int] = {}
        of_row = np.array([known.setdefault(one, len(known)) for one in fields], dtype=np.int32)
        return cls([unicodedata.normalize("NFC", text) for text in known], of_row)

    def where(self, test: Callable[[str], bool]) -> Flags:
        """Return which rows hold a text that passes a test, (rows,)."""
        passes = np.fromiter(map(test, self.texts), dtype=np.bool_, count=len(self.texts))
        return passes[self.of_row]


def number_of(text: str) -> float | None:
    """Return the number that a cell holds, None where it holds another text."""
    return float(text) if NUMBER.fullmatch(text) else None


def equals(text: str, value: Value) -> bool:
    """Return whether a cell is a value: the same text, or the same number where the value is one."""
    return text == value.text or (value.number is not None and number_of(text) == value.number)


def lies_under(text: str, folder: str) -> bool:
    """Return whether a path lies in a folder, at any depth."""
    folder = folder.removeprefix("./").rstrip("/")
    return text.startswith(f"{folder}/") if folder else True


def compares(text: str, sign: str, value: Value) -> bool:
    """Return whether a cell compares with a value as the sign says; by order, an empty cell never does.

    With a number only numbers do; texts are compared as they stand, which is right for dates as 2026-11-30.
    """
    if sign in ("=", "!="):
        return equals(text, value) == (sign == "=")
    if value.number is None:
        return text != "" and bool(_ORDER[sign](text, value.text))
    number = number_of(text)
    return number is not None and bool(_ORDER[sign](number, value.number))


class Filters:
    """What filters let pass of a table of images; columns are kept once they were read.

    `columns` are the names that a filter may say -> those of the table; `unknown` is what to do about another.
    `live` are the rows that are still there: a label or folder that only others have is unknown.
    """

    def __init__(self, folder: Path, columns: dict[str, str], live: Flags, unknown: str) -> None:
        self._folder, self._columns, self._live, self._unknown = folder, columns, live, unknown
        self._cells: dict[str, Cells] = {}

    def passing(self, where: str) -> Flags:
        """Return which rows pass a filter, (rows,), deleted ones among them.

        Raises FilterError for a text that is no filter, and for a column, label or folder that there is not.
        """
        condition = parse(where)
        wanted = {self._known(column, where) for column in columns_of(condition)} - self._cells.keys()
        names = sorted(wanted)
        for name, fields in zip(names, read_columns(self._folder, [self._columns[one] for one in names]), strict=True):
            self._cells[name] = Cells.of(fields)
        return self._passes(condition, where)

    def _known(self, column: Column, where: str) -> str:
        """Return the column that is meant, in any case of letters."""
        known = {name.lower(): name for name in self._columns}
        name = column.name.lower()
        if name in known:
            return known[name]
        there = some(list(self._columns), most=12)
        if name == LABEL:
            raise FilterError("this build has no labels", where, column.place, hint=f"filter by {there}")
        said, near = near_words(column.name, nearest(column.name, self._columns))
        why = f"no column {column.name!r} (seen: {there}){said}"
        raise FilterError(why, where, column.place, hint=self._unknown, near=near)

    def _passes(self, condition: Condition, where: str) -> Flags:
        if isinstance(condition, Not):
            return ~self._passes(condition.condition, where)
        if isinstance(condition, Compared | Among | Under):
            return self._tested(condition, where)
        join = np.logical_and if isinstance(condition, All) else np.logical_or
        flags: Flags = join.reduce([self._passes(one, where) for one in condition.conditions])
        return flags

    def _tested(self, condition: Compared | Among | Under, where: str) -> Flags:
        name = self._known(condition.column, where)
        cells, place = self._cells[name], condition.column.place
        if isinstance(condition, Under):
            flags = cells.where(lambda text: lies_under(text, condition.folder.text))
            if name == IMAGE and not (flags & self._live).any():
                self._refuse("lies in the folder", condition.folder.text, self._folders(cells), where, place)
            return flags
        if isinstance(condition, Among):
            for value in condition.values:
                self._check_label(name, cells, value, where, place)
            return cells.where(lambda text: any(equals(text, value) for value in condition.values))
        sign, value = condition.sign, condition.value
        if sign in ("=", "!="):
            self._check_label(name, cells, value, where, place)
        elif value.number is not None and not any(number_of(text) is not None for text in cells.texts):
            seen = shorten(repr(next(filter(None, cells.texts), "")), 40)
            why = f"{name} {sign} {value.text}: the column {name} holds no numbers, as {seen}"
            raise FilterError(why, where, place, hint=f"a value in quotes is compared as text: {name} {sign} '...'")
        return cells.where(lambda text: compares(text, sign, value))

    def _check_label(self, name: str, cells: Cells, value: Value, where: str, place: int) -> None:
        if name == LABEL:
            flags = cells.where(lambda text: equals(text, value))
            if not (flags & self._live).any():
                self._refuse("has the label", value.text, self._here(cells), where, place)

    def _refuse(self, what: str, seen: str, known: Iterable[str], where: str, place: int) -> None:
        said, near = near_words(seen, nearest(seen, known))
        hint = "simsearch query without the filter shows labels and names of images"
        place = max(place, where.find(seen, place))
        raise FilterError(f"no image {what} {seen!r}{said}", where, place, hint=hint, near=near)

    def _here(self, cells: Cells) -> list[str]:
        """Return the texts that live rows have."""
        return [cells.texts[i] for i in np.unique(cells.of_row[self._live]).tolist() if cells.texts[i]]

    def _folders(self, cells: Cells) -> list[str]:
        """Return the folders of the live images, at any depth, as they are written: with a slash at their end."""
        found: dict[str, None] = {}
        for text in self._here(cells):
            parts = text.split("/")[:-1]
            found |= {"/".join(parts[: depth + 1]) + "/": None for depth in range(len(parts))}
            if len(found) > _NEAR:
                break
        return list(found)
