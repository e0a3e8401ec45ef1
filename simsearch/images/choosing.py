"""Whole groups of about a share of each label: the images that are searched with, and those that are held back."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from simsearch.images.sources.source import SourceImage

Key = tuple[str, ...]


@dataclass(slots=True)
class Row:
    """An image on its way to its four flags."""

    image: SourceImage
    sha256: str
    fit: bool = False
    val: bool = False
    gallery: bool = False
    query: bool = False

    @property
    def key(self) -> Key:
        """What goes together: the images of its group, or itself alone."""
        return (self.image.group,) if self.image.group else ("", self.image.image)


def by_label(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows of each label, in order."""
    classes: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        classes[row.image.label].append(row)
    return classes


def by_group(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    """Return the rows of each group, in order; a row without one is a group."""
    groups: defaultdict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.key].append(row)
    return groups


def choose(rows: list[Row], share: float, seed: int, use: str, *, one_at_least: bool) -> list[Row]:
    """Return whole groups with about `share` of the rows of each label, of which one group at least is left.

    Groups are taken in a seeded order while that brings the number nearer to the share, so that one that is far larger
    is not. Where then none is: with `one_at_least` the smallest, else by chance, so often that over many labels the
    share comes out right. Without groups it is the share, halves rounded up.
    """
    members, groups = by_label(rows), by_group(rows)
    labels = {key: Counter(row.image.label for row in of_group) for key, of_group in groups.items()}
    left = Counter(label for counted in labels.values() for label in counted)
    taken: set[Key] = set()
    chosen: list[Row] = []
    counts: Counter[str] = Counter()

    def free(key: Key) -> bool:
        return key not in taken and all(left[label] > 1 for label in labels[key])

    def take(key: Key) -> None:
        taken.add(key)
        chosen.extend(groups[key])
        counts.update(labels[key])
        left.subtract(labels[key].keys())

    for label, of_label in members.items():
        wanted = max(share_of(share, len(of_label)), int(one_at_least))
        order = sorted({row.key: row for row in of_label}.values(), key=lambda row: _rank(row, seed, use))
        for row in order:
            if counts[label] >= wanted:
                break
            if labels[row.key][label] <= 2 * (wanted - counts[label]) and free(row.key):
                take(row.key)
        if wanted and not counts[label] and (possible := [row for row in order if free(row.key)]):
            if one_at_least:
                take(min(possible, key=lambda row: labels[row.key][label]).key)  # of equal ones the first
            elif _chance(possible[0], seed, use) < wanted / labels[possible[0].key][label]:
                take(possible[0].key)
    return chosen


def share_of(share: float, count: int) -> int:
    """Return the share of a count, halves rounded up (Python's round sends them to the even neighbour)."""
    return math.floor(share * count + 0.5)


def _rank(row: Row, seed: int, use: str) -> bytes:
    own = f"group\0{row.image.group}" if row.image.group else f"{row.sha256}\0{row.image.image}"
    return hashlib.sha256(f"{seed}\0{use}\0{own}".encode("utf-8", "surrogateescape")).digest()


def _chance(row: Row, seed: int, use: str) -> float:
    return int.from_bytes(_rank(row, seed, f"{use} at all")[:6]) / 2**48
