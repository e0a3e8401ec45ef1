"""How many photos in the gallery, in words: what more of them brought, and a forecast only where one was kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simsearch.page.html import count
from simsearch.report.columns import ends

MOST_NAMED = 5


def gallery_words(report: Mapping[str, Any]) -> str | None:
    """Return what 1 to n photos a label find, and what the last doubling brought; None where that is not measured."""
    found = report.get("gallery_curve")  # a report of an older version does not know
    if not found:
        return None
    counts, recall, intervals = found["counts"], found["recall"], found["intervals"]
    first, last = (f"{recall[i]:.3f} {ends(intervals[i], '.3f')} with {_photos(counts[i])} a label" for i in (0, -1))
    said = f"Photos in the gallery: recall@1 {first}, {last} ({found['labels']:,} labels)"
    change = found["gain_interval"]
    if change is None:
        return said
    said += f"; from {counts[-2]} to {_photos(counts[-1])} a label brought {found['gain']:+.3f} {ends(change, '+.3f')}"
    return f"{said}; twice as many again: likely at most that" if found["forecast"] else said


def thin_words(report: Mapping[str, Any]) -> str | None:
    """Return which labels have too few photos to be in the curve, the thinnest first; None where none has."""
    found = report.get("gallery_curve")
    if not found or not found["thin_total"]:
        return None
    named = [f"{one['label']} ({_photos(one['photos'])})" for one in found["thin"][:MOST_NAMED]]
    left = found["thin_total"] - len(named)
    return ", ".join(named) + (f" and {left:,} more, in report.json" if left else "")


def _photos(number: int) -> str:
    return count(number, "photo", "photos")
