"""Small pieces of the report page: escaped text, numbers in words, tables, pictures that are embedded once."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from simsearch.console import safe, shorten

NONE = "–"
_LONGEST = 40  # characters of a label under a picture
_MOST_PICTURE_BYTES = 2_400_000  # 3.2 MB as base64: the page stays below 4 MB whatever the pictures are


def text(value: object) -> str:
    """Return `value` for HTML: escaped, with control and bidirectional characters as visible escapes."""
    return escape(safe(str(value)), quote=True)


def short(label: str) -> str:
    """Return a label as HTML for under a picture: beyond 40 characters cut in its middle, and whole in its title."""
    shown = safe(label)
    if len(shown) <= _LONGEST:
        return text(label)
    return f'<span title="{text(label)}">{text(shorten(shown, _LONGEST))}</span>'


def number(value: float | None, digits: int = 3) -> str:
    """Return 0.9694 as "0.969", and a dash for no value."""
    return NONE if value is None else f"{value:.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Return 0.386 as "38.6 %"."""
    return NONE if share is None else f"{100 * share:.{digits}f}\u00a0%"


def interval(ends: Sequence[float] | None, show: Callable[[float], str] = number) -> str:
    """Return [0.95, 0.98] as "[0.950, 0.980]"; nothing for no interval."""
    return "" if ends is None else f"[{show(ends[0])}, {show(ends[1])}]"


def p_value(value: float | None) -> str:
    """Return "p < .001" or "p = .024"; None, as of differences that are all the same, is no test."""
    if value is None:
        return "no test"
    return "p < .001" if value < 0.001 else f"p = {value:.3f}".replace("0.", ".", 1)


def count(value: float | None, one: str = "", many: str = "") -> str:
    """Return 1234 as "1,234", followed by the word for one or for many."""
    if value is None:
        return NONE
    word = one if value == 1 else many
    return f"{value:,}" + (f" {word}" if word else "")


def get(tree: Any, *keys: object) -> Any:
    """Return tree[key][key]..., or None where a step is missing; keys are tried as strings, as JSON has them."""
    for key in keys:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(str(key))
    return tree


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, words: Sequence[int] = (0,)) -> str:
    """Return a table in a box that scrolls by itself; cells are HTML, the first of a row names it.

    `words` are the columns that hold words, set at the left; the others hold numbers. A row of one cell heads a group.
    """
    columns = "".join(f'<th scope="col"{_words(i, words)}>{cell}</th>' for i, cell in enumerate(head))
    lines = []
    for row in rows:
        if len(row) == 1:
            lines.append(f'<tr class="group"><th scope="colgroup" colspan="{len(head)}">{row[0]}</th></tr>')
            continue
        cells = "".join(f"<td{_words(i, words)}>{cell}</td>" for i, cell in enumerate(row) if i)
        lines.append(f'<tr><th scope="row"{_words(0, words)}>{row[0]}</th>{cells}</tr>')
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="Table: {text(caption)}"><table>'
        f"<caption>{text(caption)}</caption><thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _words(column: int, words: Sequence[int]) -> str:
    return ' class="words"' if column in words else ""


def more(summary: str, body: str) -> str:
    """Return what is shown when asked for."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def paragraph(words: str, kind: str = "") -> str:
    """Return a paragraph of HTML."""
    return f'<p class="{kind}">{words}</p>' if kind else f"<p>{words}</p>"


@dataclass
class Pictures:
    """Thumbnails of rows, each embedded once however often it is shown: a symbol that the places refer to."""

    picture: Callable[[int], bytes | None]
    name: Callable[[int], str]
    labels: Sequence[str]
    _symbols: dict[int, str | None] = field(default_factory=dict)
    _bytes: int = 0
    left_out: int = 0

    def label(self, row: int) -> str:
        """Return the label of a row, as it is; "" without one."""
        return self.labels[row] if 0 <= row < len(self.labels) else ""

    def alt(self, row: int) -> str:
        """Return what the picture shows, in words, for HTML: label, file name."""
        return text(", ".join(part for part in (self.label(row), self.name(row)) if part))

    def show(self, row: int) -> str:
        """Return the picture of a row as HTML; its words where there is no picture."""
        if row not in self._symbols:
            self._symbols[row] = self._embed(row)
        if self._symbols[row] is None:
            return f'<span class="pic none">{self.alt(row)}</span>'
        return f'<svg class="pic" role="img" aria-label="{self.alt(row)}"><use href="#p{row}"/></svg>'

    def _embed(self, row: int) -> str | None:
        data = self.picture(row)
        if data is None:
            return None
        if self._bytes + len(data) > _MOST_PICTURE_BYTES:
            self.left_out += 1
            return None
        self._bytes += len(data)
        source = base64.b64encode(data).decode()
        return (
            f'<symbol id="p{row}" viewBox="0 0 96 96"><image width="96" height="96" '
            f'href="data:image/webp;base64,{source}"/></symbol>'
        )

    def symbols(self) -> str:
        """Return the pictures themselves, to stand once in the page."""
        found = "".join(symbol for symbol in self._symbols.values() if symbol is not None)
        return f'<svg class="symbols" width="0" height="0" aria-hidden="true" focusable="false">{found}</svg>'
