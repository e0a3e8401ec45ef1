"""quarantine.csv: the images that could not be used, why, and which bytes that was said of."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

QUARANTINE = "quarantine.csv"


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
