"""The language of filters, as `label in (apple, pear) and image under 'shelf-3/' and price < 3`: text -> conditions.

    filter      = part ("or" part)*
    part        = condition ("and" condition)*
    condition   = "not" condition | "(" filter ")" | column test
    test        = ("=" | "!=" | "<" | "<=" | ">" | ">=") value | ["not"] "in" "(" value ("," value)* ")"
                | ["not"] "under" value
    column, value: a word without spaces and ( ) , = < > ! ' ", or anything in quotes; a quote in it is doubled

Words of the language are written in any case. A value that is a number without quotes is compared as one. Nothing of a
filter is run as a program: what is not in the grammar is refused, and the place marked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from simsearch.errors import FilterError

SIGNS = ("=", "!=", "<", "<=", ">", ">=")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WORDS = ("and", "or", "not", "in", "under")
DEEPEST = 100  # conditions in one another

_KINDS = ("quoted", "sign", "word")
_TOKEN = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|(<=|>=|!=|==|[=<>(),])|([^\s(),=<>!'"]+)""")
_END = "the end"
_HINT = "as --where \"label in (apple, pear) and price < 3\"; what holds spaces, as 'class 1', stands in quotes"


@dataclass(frozen=True, slots=True)
class Value:
    """What a cell is compared with: its text, composed (NFC), and its number where it is one without quotes."""

    text: str
    number: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """The name of a column, and where in the text of the filter it stands."""

    name: str
    place: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """A cell that compares with a value as the sign says."""

    column: Column
    sign: str
    value: Value


@dataclass(frozen=True, slots=True)
class Among:
    """A cell that equals one of several values."""

    column: Column
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Under:
    """A cell that is a path in a folder, at any depth."""

    column: Column
    folder: Value


@dataclass(frozen=True, slots=True)
class Not:
    """What does not pass."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class All:
    """What passes each of two conditions or more."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """What passes one of two conditions or more."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Compared | Among | Under | Not | All | Any


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # quoted, sign, word, or end
    text: str
    place: int

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words

    def is_sign(self, *signs: str) -> bool:
        return self.kind == "sign" and self.text in signs

    def seen(self) -> str:
        return _END if self.kind == "end" else self.text


def parse(text: str) -> Condition:
    """Return the condition that a filter stands for; FilterError, with the place, for what is none."""
    return _Parser(text).whole()


def with_labels(where: str | None, labels: Sequence[str]) -> str | None:
    """Return the filter that also asks for one of the `labels`, None for neither; FilterError for what is no filter."""
    if where is not None:
        parse(where)
    if not labels:
        return where
    quoted = ", ".join("'" + label.replace("'", "''") + "'" for label in labels)
    short = f"label = {quoted}" if len(labels) == 1 else f"label in ({quoted})"
    return short if where is None else f"{short} and ({where})"


def columns_of(condition: Condition) -> list[Column]:
    """Return every column that a condition names, in the order of the text."""
    if isinstance(condition, Not):
        return columns_of(condition.condition)
    if isinstance(condition, All | Any):
        return [column for one in condition.conditions for column in columns_of(one)]
    return [condition.column]


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._read()
        self._at = 0
        self._depth = 0

    def whole(self) -> Condition:
        if self._now.kind == "end":
            self._refuse("a filter that is empty")
        found = self._filter()
        if self._now.kind != "end":
            self._expected("and, or, or the end")
        return found

    @property
    def _now(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _filter(self) -> Condition:
        parts = [self._part()]
        while self._now.is_word("or"):
            self._next()
            parts.append(self._part())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _part(self) -> Condition:
        conditions = [self._condition()]
        while self._now.is_word("and"):
            self._next()
            conditions.append(self._condition())
        return conditions[0] if len(conditions) == 1 else All(tuple(conditions))

    def _condition(self) -> Condition:
        self._depth += 1
        if self._depth > DEEPEST:
            self._refuse(f"more than {DEEPEST} conditions in one another")
        found: Condition
        if self._now.is_word("not"):
            self._next()
            found = Not(self._condition())
        elif self._now.is_sign("("):
            self._next()
            found = self._filter()
            self._take(")", "and, or, or )")
        else:
            found = self._test()
        self._depth -= 1
        return found

    def _test(self) -> Condition:
        token = self._now
        if token.kind in ("sign", "end") or token.is_word(*WORDS):
            self._expected("a column, as label or image")
        column = Column(self._value().text, token.place)
        negated = self._now.is_word("not")
        if negated:
            self._next()
        found: Condition
        if self._now.is_word("in"):
            self._next()
            self._take("(", "( after in")
            values = [self._value()]
            while self._now.is_sign(","):
                self._next()
                values.append(self._value())
            self._take(")", ", or )")
            found = Among(column, tuple(values))
        elif self._now.is_word("under"):
            self._next()
            found = Under(column, self._value())
        elif not negated and self._now.is_sign("==", *SIGNS):
            sign = self._next().text
            found = Compared(column, "=" if sign == "==" else sign, self._value())
        else:
            self._expected("in or under" if negated else "=, !=, <, <=, >, >=, in or under")
        return Not(found) if negated else found

    def _value(self) -> Value:
        token = self._now
        if token.kind in ("sign", "end") or token.is_word(*WORDS):
            self._expected("a value")
        self._next()
        text = token.text
        if token.kind == "quoted":
            text = text[1:-1].replace(text[0] * 2, text[0])
        number = float(text) if token.kind == "word" and NUMBER.fullmatch(text) else None
        return Value(unicodedata.normalize("NFC", text), number)

    def _take(self, sign: str, wanted: str) -> None:
        if not self._now.is_sign(sign):
            self._expected(wanted)
        self._next()

    def _expected(self, what: str) -> NoReturn:
        self._refuse(f"expected {what}, seen {self._now.seen()}")

    def _refuse(self, why: str) -> NoReturn:
        raise FilterError(why, self._text, self._now.place, hint=_HINT)

    def _read(self) -> list[_Token]:
        tokens, place = [], 0
        while place < len(self._text):
            if self._text[place].isspace():
                place += 1
                continue
            found = _TOKEN.match(self._text, place)
            if found is None:
                seen = self._text[place]
                why = "a quote that is left open" if seen in "'\"" else f"expected !=, seen {seen}"
                raise FilterError(why, self._text, place, hint=_HINT)
            tokens.append(_Token(_KINDS[(found.lastindex or 1) - 1], found[0], place))
            place = found.end()
        return [*tokens, _Token("end", "", len(self._text.rstrip()))]
