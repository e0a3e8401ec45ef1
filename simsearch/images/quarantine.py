"""quarantine.csv: the images that could not be used, why, and which bytes that was said of; and how it is told."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from simsearch.console import safe, some

QUARANTINE = "quarantine.csv"
SHOWN_REASONS = 6
SHOWN_NAMES = 3


class SetAside(NamedTuple):
    """An image that cannot be used: its name, the reason, the SHA-256 of its bytes ("" when they cannot be read)."""

    image: str
    reason: str
    sha256: str = ""


def write_quarantine(folder: Path, bad: Iterable[SetAside]) -> None:
    """Write quarantine.csv into `folder`, sorted by image."""
    with (folder / QUARANTINE).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(SetAside._fields)
        writer.writerows(sorted(bad))


def read_quarantine(folder: Path) -> Iterator[SetAside]:
    """Yield what `write_quarantine` wrote; an earlier version knew no digests."""
    with (folder / QUARANTINE).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        for row in csv.DictReader(file):
            yield SetAside(row["image"], row["reason"], row.get("sha256") or "")


def by_reason(bad: Iterable[SetAside]) -> dict[str, int]:
    """Return how many images cannot be used, by what their reasons have in common, the most first."""
    counts = Counter(_kind(one.reason) for one in bad)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def told(bad: Sequence[SetAside]) -> str:
    """Return how many images are set aside, by reason, and the first of them: "2 set aside (listed twice 2): a, b"."""
    reasons = [f"{reason} {count:,}" for reason, count in by_reason(bad).items()]
    names = sorted(safe(one.image) for one in bad)
    shown = ", ".join(reasons[:SHOWN_REASONS]) + (", ..." if len(reasons) > SHOWN_REASONS else "")
    return f"{len(bad):,} set aside ({shown}): {some(names, SHOWN_NAMES)}"


def _kind(reason: str) -> str:
    """A reason without what it says of one file alone: first bytes, sizes, what a decoder stumbled over."""
    kind = safe(reason).split(" (")[0]
    return kind if kind.startswith("no label") else kind.split(": ")[0]
