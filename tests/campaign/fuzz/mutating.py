"""Bytes and JSON values changed at random, all by the state of one generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

MOST_BYTES = 1 << 20  # of an input
HEAD = 256  # half of all changes fall here, where sizes and kinds stand
EDGES = (0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63)
TEXTS = (
    "", " ", "0", "-1", "1e309", "NaN", "null", "true", "\0", "\u202e", "é", "e\u0301", "\ud800", "../" * 9, "/", "~",
    "%s%n", "{}", "[]", "'", '"', "\n", "\x1b[31m", "a" * 5000, "9" * 5000, "[" * 2000, "2026-11-30T00:00:00Z", "1_000",
    "0x1F", "inf", "-0.0", ",", ";", "\t", "|", "#",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**63, 2**64, 10**40, 0.5, -0.0, 1e-320, 1e308, float("inf"), float("nan"),
    [], {}, [[]], [1], ["x"], {"a": 1}, *TEXTS,
)  # fmt: skip


def changed(chosen: Random, data: bytes, others: Sequence[bytes] = (), words: Sequence[bytes] = ()) -> bytes:
    """Return bytes that differ from `data`; pieces come from `others` too, and `words` are put in whole."""
    found = data
    while found == data:
        for _ in range(1 + min(int(chosen.expovariate(0.7)), 8)):
            found = chosen.choice(CHANGES)(chosen, found, others or (data,), words or _WORDS)[:MOST_BYTES]
    return found


def value(chosen: Random, given: Any) -> Any:
    """Return a JSON value in which one place differs."""
    if isinstance(given, dict) and given and chosen.random() < 0.85:
        key = chosen.choice(list(given))
        how = chosen.random()
        if how < 0.1:
            return {name: one for name, one in given.items() if name != key}
        if how < 0.2:
            return {**given, str(chosen.choice(TEXTS)): given[key]}
        return {**given, key: value(chosen, given[key])}
    if isinstance(given, list) and given and chosen.random() < 0.85:
        place = chosen.randrange(len(given))
        how = chosen.random()
        if how < 0.1:
            return given[:place] + given[place + 1 :]
        if how < 0.2:
            return given + given[place:] * chosen.choice((1, 3, 50))
        return [*given[:place], value(chosen, given[place]), *given[place + 1 :]]
    if isinstance(given, int | float) and not isinstance(given, bool) and chosen.random() < 0.5:
        return given + chosen.choice((-1, 1, 0.5, 2**32, -(2**31), given))
    if isinstance(given, str) and given and chosen.random() < 0.4:
        place = chosen.randrange(len(given))
        return given[:place] + chosen.choice(TEXTS) + given[place + chosen.randrange(2) :]
    return chosen.choice(VALUES)


def _place(chosen: Random, data: bytes) -> int:
    return int(chosen.random() * (min(len(data), HEAD) if chosen.random() < 0.5 else len(data)))


def _span(chosen: Random, data: bytes) -> tuple[int, int]:
    start = _place(chosen, data)
    return start, start + min(1 + int(chosen.expovariate(1 / 12)), len(data) - start)


def _bit(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    at = _place(chosen, data)
    return data[:at] + bytes([data[at] ^ 1 << chosen.randrange(8)]) + data[at + 1 :] if data else b"\0"


def _byte(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    at = _place(chosen, data)
    return data[:at] + bytes([chosen.choice((0, 1, 255, 127, 128, chosen.randrange(256)))]) + data[at + 1 :]


def _number(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    width, order = chosen.choice((1, 2, 4, 4, 8)), chosen.choice(("little", "big"))
    at = _place(chosen, data)
    old = int.from_bytes(data[at : at + width], order)
    new = chosen.choice((old + 1, old - 1, old * 2, -old, chosen.choice(EDGES), chosen.choice(EDGES), len(data)))
    return data[:at] + (new % 256**width).to_bytes(width, order) + data[at + width :]


def _cut(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    return data[: _place(chosen, data)] if chosen.random() < 0.5 else data[: -1 - chosen.randrange(16)]


def _without(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    start, stop = _span(chosen, data)
    return data[:start] + data[stop:]


def _twice(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    start, stop = _span(chosen, data)
    return data[:stop] + data[start:stop] * chosen.choice((1, 1, 4, 200)) + data[stop:]


def _zeros(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    start, stop = _span(chosen, data)
    return data[:start] + bytes([chosen.choice((0, 255))]) * (stop - start) + data[stop:]


def _random(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    start, stop = _span(chosen, data)
    return data[:start] + chosen.randbytes(stop - start) + data[stop - chosen.randrange(2) * (stop - start) :]


def _from_other(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    other = chosen.choice(others)
    (first, last), (start, stop) = _span(chosen, other), _span(chosen, data)
    if chosen.random() < 0.2:
        return data[:start] + other[first:]
    return data[:start] + other[first:last] + data[stop:]


def _word(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    start, stop = _span(chosen, data)
    return data[:start] + chosen.choice(words) + data[start if chosen.random() < 0.5 else stop :]


def _exchanged(chosen: Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    (a, b), (c, d) = sorted((_span(chosen, data), _span(chosen, data)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


_WORDS = tuple(text.encode("utf-8", "surrogatepass") for text in TEXTS)
CHANGES: tuple[Callable[[Random, bytes, Sequence[bytes], Sequence[bytes]], bytes], ...] = (
    _bit, _bit, _byte, _byte, _number, _number, _number, _cut, _without, _twice, _zeros, _random,
    _from_other, _word, _exchanged,
)  # fmt: skip
