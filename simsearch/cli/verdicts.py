"""How a verdict is shown: a line under the table of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simsearch.console import safe, shorten

if TYPE_CHECKING:
    from simsearch.search import Verdict

_WIDTH, _LABEL = 80, 40  # columns
_UNSEEN = "unseen labels"


def verdict_line(verdict: Verdict | None) -> list[str]:
    """Return the line under a table, of at most 80 columns; none without a verdict.

    A threshold that labels were judged by which the network was trained on lets more through than it says.
    """
    if verdict is None:
        return []
    told = "" if verdict.calibrated_on == _UNSEEN else f", judged by {verdict.calibrated_on}"
    told += ", stale" if verdict.stale else ""
    if verdict.known:
        before, after = "    verdict: ", f", known (margin {verdict.margin:.2f}{told})"
    else:
        before, after = "    verdict: none of these (nearest: ", f"{told})"
    return [before + shorten(safe(verdict.label), min(_LABEL, _WIDTH - len(before) - len(after))) + after]


def stale_words(verdict: Verdict | None) -> str | None:
    """Return what to do about a stale verdict, None for another."""
    if verdict is None or verdict.stale is None:
        return None
    return f"Verdicts are stale, the corpus has changed by more than a tenth since: {verdict.stale}"
