"""Plain text of at most 80 columns: wrapped lines, and rows of cells."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_WIDTH = 80


def wrapped(text: str) -> list[str]:
    """Return a text as lines; those after the first are indented."""
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def row(widths: Sequence[int], *cells: str) -> str:
    """Return the cells side by side: at the left of so many columns, at the right where the width is below 0."""
    parts = (f"{c:<{width}}" if width > 0 else f"{c:>{-width}}" for width, c in zip(widths, cells, strict=True))
    return "".join(parts).rstrip()


def ends(interval: Sequence[float] | None, form: str = ".4f") -> str:
    """Return an interval as "[0.9500, 0.9800]", "" for none."""
    return "" if interval is None else f"[{interval[0]:{form}}, {interval[1]:{form}}]"


def p_words(value: float) -> str:
    """Return a p-value in words: "p = 0.012", or "p < 0.001"."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def number(value: float | None) -> str:
    """Return 0.9694 as "0.9694", and "-" for no value."""
    return "-" if value is None else f"{value:.4f}"
