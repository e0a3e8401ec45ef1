"""Files of settings that somebody else wrote, read strictly: JSON without NaN, numbers that are numbers, in bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from simsearch.errors import EmbedderError

MOST_BYTES = 1_000_000
SIDES = (8, 2048)  # px, as [images] size
LEAST, MOST = 1e-6, 1e6  # of a scale, a standard deviation and, up to its sign, a mean
LEAST_SHARE = 0.1  # as [images] crop_share
HINT = "--set images.size, resize, interpolation, mean and std say it instead"


def read_config(path: Path) -> dict[str, Any]:
    """Return the table of a file of settings; EmbedderError for one that cannot be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES:,} bytes")
        found = json.loads(path.read_bytes(), parse_constant=_no_number)
        if not isinstance(found, dict):
            raise ValueError("no table")
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise EmbedderError(f"cannot read {path}: {error}", hint=HINT) from None


def refuse(wrong: bool, where: str, seen: str, expected: str) -> None:
    """Raise EmbedderError, in one line, where something is wrong."""
    if wrong:
        raise EmbedderError(f"{where}: expected {expected}, seen {seen}", hint=HINT)


def number(value: Any, where: str, key: str, least: float, most: float) -> float:
    """Return a finite number of a file within bounds; EmbedderError for anything else, a truth value too."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    refuse(not fits, where, f"{key} {_short(value)}", f"a number of {least:g} to {most:g}")
    return float(value)


def side(value: Any, where: str, key: str) -> int:
    """Return a side in pixels, within those that [images] size may be."""
    fits = isinstance(value, int) and not isinstance(value, bool) and SIDES[0] <= value <= SIDES[1]
    refuse(not fits, where, f"{key} {_short(value)}", f"a side of {SIDES[0]} to {SIDES[1]} px")
    return int(value)


def numbers(values: Any, where: str, key: str, least: float = -MOST) -> list[float]:
    """Return a list of one number a channel, of a list or, as a library gives it, a tuple."""
    refuse(not isinstance(values, list | tuple), where, f"{key} {_short(values)}", "a list of numbers")
    return [number(value, where, key, least, MOST) for value in values]


def flag(config: Mapping[str, Any], where: str, key: str, usual: bool) -> bool:
    """Return a truth value of a file; `usual` where it says none."""
    value = config.get(key, usual)
    refuse(not isinstance(value, bool), where, f"{key} {_short(value)}", "true or false")
    return bool(value)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python writes
        return "more than can be shown"
    return text if len(text) <= 60 else f"{text[:60]}..."


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
