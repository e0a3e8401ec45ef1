"""Small pieces of pages: escaped text, numbers in words, pictures that are embedded once."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from markupsafe import Markup

from simsearch.console import safe

NONE = "–"
_MOST_PICTURE_BYTES = 2_400_000  # 3.2 MB as base64: the page stays below 4 MB whatever the pictures are


def text(value: object) -> Markup:
    """Return `value` for HTML: markup as it is, else escaped, control and bidirectional characters made visible."""
    return value if isinstance(value, Markup) else Markup(escape(safe(str(value))))


def breakable(words: object) -> Markup:
    """Return words for HTML that may be broken after a slash or an underscore, as in a path, never inside a word."""
    return Markup(re.sub(r"([/_])(?=\w)", r"\1<wbr>", str(text(words))))


def seconds(milliseconds: float) -> str:
    """Return 31.2 milliseconds as "0.03 s", 253 as "0.25 s"."""
    took = milliseconds / 1000
    return f"{took:.0f}\u00a0s" if took >= 10 else f"{float(f'{took:.{1 if took < 0.1 else 2}g}'):.6g}\u00a0s"


def number(value: float | None, digits: int = 3) -> str:
    """Return 0.9694 as "0.969", and a dash for no value."""
    return NONE if value is None else f"{value:.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Return 0.386 as "38.6 %"."""
    return NONE if share is None else f"{100 * share:.{digits}f}\u00a0%"


def interval(ends: Sequence[float] | None, show: Callable[[float], str] = number) -> str:
    """Return [0.95, 0.98] as "[0.950, 0.980]"; nothing for no interval."""
    return "" if ends is None else f"[{show(ends[0])}, {show(ends[1])}]"


def points(share: float) -> str:
    """Return 0.012 as "+1.2": percentage points of a difference."""
    return f"{'' if share <= 0 else '+'}{100 * share:.1f}"


def p_value(value: float | None) -> str:
    """Return "p < .001" or "p = .024"; None, as of differences that are all the same, is no test."""
    if value is None:
        return "no test"
    return "p < .001" if value < 0.001 else f"p = {value:.3f}".replace("0.", ".", 1)


def count(value: float | None, one: str = "", many: str = "") -> str:
    """Return 1234 as "1,234", followed by the word for one or for many."""
    if value is None:
        return NONE
    return f"{value:,} {one if value == 1 else many}".rstrip()


def get(tree: Any, *keys: object) -> Any:
    """Return tree[key][key]..., or None where a step is missing; keys are tried as strings, as JSON has them."""
    for key in keys:
        tree = tree.get(str(key)) if isinstance(tree, dict) else None
    return tree


@dataclass
class Pictures:
    """Thumbnails of rows, each embedded once however often it is shown: a symbol that the places refer to.

    `link(row)` is where the whole picture lies, as an address for the page, or None; `look(row)` is a larger picture of
    it and another of its places, or None.
    """

    picture: Callable[[int], bytes | None]
    name: Callable[[int], str]
    labels: Sequence[str]
    link: Callable[[int], str | None] = lambda row: None
    look: Callable[[int], tuple[bytes, bytes] | None] = lambda row: None
    _sources: dict[str, str | None] = field(default_factory=dict)
    _bytes: int = 0
    left_out: int = 0

    def alt(self, row: int) -> str:
        """Return what the picture shows, in words: label, file name."""
        label = self.labels[row] if 0 <= row < len(self.labels) else ""
        return ", ".join(part for part in (label, self.name(row)) if part)

    def base(self, row: int) -> str:
        """Return the last part of the image's name."""
        return self.name(row).rpartition("/")[2]

    def has(self, row: int) -> bool:
        """Return whether there is a picture of the row; it will then stand in the page."""
        if (name := f"p{row}") not in self._sources:
            self._embed(name, self.picture(row))
        return self._sources[name] is not None

    def looks(self, row: int) -> bool:
        """Return whether there are a larger picture of the row and one of its places; both will stand in the page."""
        names = (f"s{row}", f"h{row}")
        if names[0] not in self._sources:
            for name, data in zip(names, self.look(row) or (None, None), strict=True):
                self._embed(name, data)
        return all(self._sources[name] is not None for name in names)

    def _embed(self, name: str, data: bytes | None) -> None:
        if data is not None and self._bytes + len(data) > _MOST_PICTURE_BYTES:
            self.left_out += 1
            data = None
        self._bytes += len(data or b"")
        self._sources[name] = None if data is None else base64.b64encode(data).decode()

    def embedded(self) -> dict[str, str]:
        """Return the pictures that are shown: name of a symbol -> base64 of a WebP."""
        return {name: source for name, source in self._sources.items() if source is not None}
