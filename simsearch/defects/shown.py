"""Which pictures show how defects are told: what was called wrong, what lies near the threshold, and the surest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST = 3  # pictures of a list
MOST_KINDS = 8  # of defect, that have pictures of their own
ALARMS, MISSED, NEAR, SUREST, NORMAL, UNUSUAL = "alarms", "missed", "near", "surest", "normal", "unusual"


@dataclass(frozen=True)
class Entry:
    """The row of a picture and its defect score."""

    row: int
    score: float


@dataclass(frozen=True)
class Pictures:
    """Pictures by what they are shown for, and of each kind of defect the lowest, middle and highest of its scores."""

    lists: dict[str, list[Entry]]
    kinds: dict[str, list[Entry]]

    def rows(self) -> list[int]:
        """Return the row of each picture once, ascending."""
        every = (*self.lists.values(), *self.kinds.values())
        return sorted({entry.row for one in every for entry in one})


def pictures(told: dict[str, Any], kind: Callable[[int], str], most: int = MOST) -> Pictures:
    """Return the pictures to show of a defects.json, `kind` the label of a row: at most `most` of each list.

    Lists without a picture are left out, and kinds where there is but one, whose pictures are in the lists.
    """
    threshold, scored = told["threshold"], told["scored"]
    normal, defective, unusual = (
        _ascending(one) for one in (scored["normal"], scored["defective"], told["calibration"])
    )
    lists = {
        ALARMS: [entry for entry in reversed(normal) if entry.score >= threshold],
        MISSED: [entry for entry in defective if entry.score < threshold],
        NEAR: sorted((*normal, *defective), key=lambda entry: abs(entry.score - threshold)),
        SUREST: defective[::-1],
        NORMAL: normal,
        UNUSUAL: unusual[::-1],
    }
    of_kind: dict[str, list[Entry]] = {}
    for entry in defective:
        of_kind.setdefault(kind(entry.row), []).append(entry)
    several = sorted(of_kind)[:MOST_KINDS] if len(of_kind) > 1 else []
    return Pictures(
        {name: entries[:most] for name, entries in lists.items() if entries},
        {name: _spread(of_kind[name]) for name in several},
    )


def _ascending(one: dict[str, Any]) -> list[Entry]:
    """Return rows by their scores; none where rows are not known, as of what older versions made."""
    entries = [Entry(row, score) for row, score in zip(one.get("rows", ()), one["scores"], strict=False)]
    return sorted(entries, key=lambda entry: (entry.score, entry.row))


def _spread(entries: list[Entry]) -> list[Entry]:
    """Return the first, the middle one and the last."""
    return [entries[at] for at in sorted({0, len(entries) // 2, len(entries) - 1})]
