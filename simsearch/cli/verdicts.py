"""How a verdict is shown: a line under the table of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simsearch.console import safe, shorten

if TYPE_CHECKING:
    from simsearch.search import Verdict

_LABEL_WIDTH = 40


def verdict_line(verdict: Verdict | None) -> list[str]:
    """Return the line under a table, of at most 80 columns; none without a verdict."""
    if verdict is None:
        return []
    label, stale = shorten(safe(verdict.label), _LABEL_WIDTH), ", stale" if verdict.stale else ""
    if verdict.known:
        return [f"    verdict: {label}, known (margin {verdict.margin:.2f}{stale})"]
    return [f"    verdict: none of these (nearest: {label}{stale})"]


def stale_words(verdict: Verdict | None) -> str | None:
    """Return what to do about a stale verdict, None for another."""
    if verdict is None or verdict.stale is None:
        return None
    return f"Verdicts are stale, the corpus has changed by more than a tenth since: {verdict.stale}"
