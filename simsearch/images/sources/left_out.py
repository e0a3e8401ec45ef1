"""What a source passed over, counted by kind: said at every build and sync, and kept with the data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simsearch.console import safe
from simsearch.images.formats.decoding import RULES
from simsearch.images.formats.formats import EXTRA, FORMATS, suffixes

SHOWN = 6
MOST = 40  # kinds that are kept by name
TAKE_IN = "--set dataset.machine_folders=true takes them in"
FOLLOW = "--set dataset.follow_links=true follows them"
ROWS = {
    "others": "{}: no picture",
    "hidden": "hidden files and folders",
    "machine": "{}: made by a system",
    "excluded": "named by dataset.exclude",
    "linked": "linked folders, not followed",
    "again": "linked folders that lead to what is read already",
    "aside": "{}: images left aside by the layout of the folders",
    "unread": "{}: nothing that reads it was installed",
}


@dataclass
class LeftOut:
    """Counts by kind: `others`, files by suffix; `hidden` ones; `machine`, folders and files of systems, by name.

    `excluded`: what dataset.exclude names; `linked`: linked folders that were not followed; `again`: those that were,
    and lead to what is read already. `unread`: pictures, by suffix, for which nothing is installed here. `aside`: what
    the layout of the folders leaves aside, images by folder. `said`: sentences on that, and on where links lead.
    """

    others: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    machine: Counter[str] = field(default_factory=Counter)
    excluded: int = 0
    linked: int = 0
    again: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    aside: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the counts that are not zero, kinds by name."""
        counts: dict[str, Any] = {
            "others": _fewer(by_count(self.others)),
            "hidden": self.hidden,
            "machine": by_count(self.machine),
            "excluded": self.excluded,
            "linked": self.linked,
            "again": len(self.again),
            "unread": by_count(self.unread),
            "aside": _fewer(by_count(self.aside)),
        }
        return {kind: count for kind, count in counts.items() if count}

    def words(self) -> list[str]:
        """Return a sentence for each kind that there is."""
        notes = [*self.said]
        ignored = by_count(self.others) | ({"hidden": self.hidden} if self.hidden else {})
        if ignored:
            total = sum(ignored.values())
            notes.append(f"{total:,} other {'file' if total == 1 else 'files'} ignored ({listed(ignored)})")
        if self.machine:
            total = self.machine.total()
            what = "machine folder or file" if total == 1 else "machine folders or files"
            notes.append(f"{total:,} {what} left out ({listed(by_count(self.machine))}): {TAKE_IN}")
        if self.excluded:
            notes.append(f"{self.excluded:,} left out by dataset.exclude")
        if self.linked:
            notes.append(f"{_linked(self.linked)} not followed: {FOLLOW}")
        if self.again:
            lead = "leads" if len(self.again) == 1 else "lead"
            notes.append(f"{_linked(len(self.again))} {lead} to what is read already (first: {min(self.again)})")
        if self.unread:
            total = self.unread.total()
            pictures = "1 picture" if total == 1 else f"{total:,} pictures"
            notes.append(f"{pictures} that nothing here reads ({listed(by_count(self.unread))}): {EXTRA}")
        return notes

    def newer(self, rules: int) -> str | None:
        """Return what is said of files that the present rules take for pictures, and these do not."""
        kinds = sorted(kind for kind in self.others if f".{kind}" in suffixes() - suffixes(rules))
        if not kinds:
            return None
        return f"pictures since rules {RULES}, which simsearch build --retrain goes by: {', '.join(kinds)}"


def rows(kept: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return what `to_json` kept as (words, count)."""
    found = []
    for kind, counted in kept.items():
        counts = counted if isinstance(counted, dict) else {"": counted}
        found += [(ROWS[kind].format(name), count) for name, count in counts.items() if kind in ROWS]
    return found


def unread(names: Iterable[str]) -> Counter[str]:
    """Return the files, by suffix, whose format nothing here reads."""
    lacking = tuple(suffix for one in FORMATS if not one.here for suffix in one.later.split())
    return Counter(name[name.rfind(".") + 1 :].lower() for name in names if lacking and name.lower().endswith(lacking))


def by_count(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts by kind, the largest first, then by name; pictures that earlier rules pass over before all."""
    return dict(sorted(counts.items(), key=lambda item: (f".{item[0]}" not in suffixes(), -item[1], item[0])))


def listed(counts: Mapping[str, int]) -> str:
    """Return the first kinds with their counts."""
    shown = [f"{name} {count:,}" for name, count in counts.items()]
    return ", ".join(shown[:SHOWN]) + (", ..." if len(shown) > SHOWN else "")


def _fewer(counts: dict[str, int]) -> dict[str, int]:
    """The first kinds, as they can be shown, and the others together."""
    kinds = list(counts.items())
    rest = sum(count for _, count in kinds[MOST:])
    return {safe(kind): count for kind, count in kinds[:MOST]} | ({"further kinds": rest} if rest else {})


def _linked(count: int) -> str:
    return "1 linked folder" if count == 1 else f"{count:,} linked folders"
