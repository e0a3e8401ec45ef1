"""Head or no head: whether training one was worth it, in a line, and how to leave it out where it was not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simsearch.evaluation.comparison import difference_seen, judged
from simsearch.evaluation.figures import Place
from simsearch.evaluation.head_gain import HeadGain, from_report
from simsearch.report.columns import ends, number, p_words
from simsearch.report.verdict import too_few

WITHOUT = "--set training.epochs=0"
ENDS = {
    "better": "the head is better than the frozen features",
    "worse": f"the head is WORSE than the frozen features; {WITHOUT} leaves it out",
    "no difference seen": f"no difference seen; {WITHOUT} leaves the head out",
}


def head_words(report: Mapping[str, Any]) -> str | None:
    """Return the line, "Head: recall@1 0.703 against 0.578 ..."; None where no head was trained on frozen features."""
    found = from_report(report)
    if found is None:
        return None
    place = Place(found.figure, found.k)
    figures = f"Head: {place.title} {number(found.head)} against {number(found.frozen)} of the frozen features"
    if few := too_few(found.n, found.interval, seen=_seen(found)):
        return f"{figures}, {few}"
    interval, p_value = ends(found.interval, "+.3f"), p_words(found.p_value)
    return f"{figures} ({found.difference:+.3f} {interval}, {p_value}, {found.n:,} queries): {ENDS[_word(found)]}"


def _seen(found: HeadGain) -> bool:
    return difference_seen(found.p_value, found.interval)


def _word(found: HeadGain) -> str:
    return judged(Place(found.figure, found.k), found.difference, _seen(found))
