"""Two states of a source compared by content: added, changed, moved, deleted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simsearch.artifacts import digest_of, escaped
from simsearch.changes.state import State
from simsearch.images.formats.formats import EXTRA, missing
from simsearch.images.quarantine import SetAside
from simsearch.images.sources.source import SourceImage


class Found(NamedTuple):
    """An image as it is in the source now."""

    image: str
    label: str
    sha256: str
    group: str = ""
    extras: tuple[str, ...] = ()


class Moved(NamedTuple):
    """A row whose image has another name, label, group or other value in a further column of its list now."""

    row: int
    old: str
    old_label: str
    now: Found


KINDS = ("added", "changed", "moved", "deleted")


@dataclass
class Changes:
    """What makes the source of now out of a state. Lists are in the order of names.

    `added` and `changed` are to be looked at and embedded; the old rows of `changed` are among `gone`, as are those of
    vanished images (`deleted` has their names). `set_aside` is what cannot be used, as far as that is known by now.
    """

    added: list[Found] = field(default_factory=list)
    changed: list[Found] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    same: int = 0  # images that are as they were

    @property
    def fresh(self) -> list[Found]:
        """The images to be looked at, by name."""
        return sorted(self.added + self.changed)

    @property
    def count(self) -> int:
        """How many images differ."""
        return len(self.added) + len(self.changed) + len(self.moved) + len(self.deleted)

    def digest(self) -> str:
        """A digest over all that decides what comes of a state by these changes."""
        fresh = [_told(found) for found in self.fresh]
        moved = [(move.row, *_told(move.now)) for move in self.moved]
        aside = [tuple(map(escaped, one)) for one in sorted(self.set_aside)]
        return digest_of([fresh, moved, sorted(self.gone), aside])

    def to_json(self, aside: Sequence[SetAside] | None = None) -> dict[str, Any]:
        """The names of each kind, and of all that cannot be used: `aside`, once the new images were looked at.

        Of these, the unreadable ones are neither added nor changed; what such a file replaced is deleted.
        """
        aside = self.set_aside if aside is None else aside
        found_out = {one.image for one in Counter(aside) - Counter(self.set_aside)}  # a list may name one twice
        bad = {found.image for found in self.fresh if found.image in found_out}
        return {
            "added": [found.image for found in self.added if found.image not in bad],
            "changed": [found.image for found in self.changed if found.image not in bad],
            "moved": [
                {"from": m.old, "to": m.now.image, "old_label": m.old_label, "label": m.now.label} for m in self.moved
            ],
            "deleted": sorted([*self.deleted, *(found.image for found in self.changed if found.image in bad)]),
            "set_aside": sorted(one.image for one in aside),
        }


def compare(
    now: Iterable[tuple[SourceImage, str | OSError]], rejected: Iterable[tuple[str, str]], state: State
) -> Changes:
    """The changes that lead from `state` to the images of `now`.

    With each image comes the SHA-256 of its bytes, or the error that kept them from being read. `rejected` are
    (name, reason) that the source refuses. The extras of `now` are in the columns of `state`. Rows whose content stands
    under another name now are moved, the first by name where there are several; a row whose own name holds something
    else, or nothing, is gone.
    """
    changes = Changes(set_aside=[SetAside(*one) for one in rejected])
    fresh: list[Found] = []
    seen: set[int] = set()
    for image, sha256 in now:
        name, label, group = image.image, image.label, image.group if state.groups is not None else ""
        found = Found(name, label, "" if isinstance(sha256, OSError) else sha256, group, image.extras)
        row = state.rows.get(name)
        if isinstance(sha256, OSError):
            changes.set_aside.append(SetAside(name, f"cannot be read: {sha256.strerror or sha256}"))
        elif row is not None and state.digests[row] == sha256:
            seen.add(row)
            if (
                state.labels[row] != label
                or (state.groups is not None and state.groups[row] != group)
                or (state.columns and state.extras[row] != image.extras)
            ):
                changes.moved.append(Moved(row, name, state.labels[row], found))
        elif (known := state.set_aside.get(name)) and known.sha256 == sha256 and not _mended(known):
            changes.set_aside.append(known)
        else:
            fresh.append(found)
    changes.same = len(seen) - len(changes.moved)
    left: defaultdict[str, list[int]] = defaultdict(list)
    for row in sorted(set(state.rows.values()) - seen, key=state.images.__getitem__, reverse=True):
        left[state.digests[row]].append(row)
    for found in sorted(fresh):
        if rows := left.get(found.sha256):
            row = rows.pop()
            changes.moved.append(Moved(row, state.images[row], state.labels[row], found))
        elif found.image in state.rows:
            changes.changed.append(found)
        else:
            changes.added.append(found)
    changes.moved.sort(key=lambda move: move.old)
    changes.gone = sorted(row for rows in left.values() for row in rows)
    replaced = {found.image for found in changes.changed}
    changes.deleted = sorted(state.images[row] for row in changes.gone if state.images[row] not in replaced)
    return changes


def _told(found: Found) -> tuple[Any, ...]:
    """Return what of an image enters the digest: its group and what further columns say only where there is any."""
    *rest, group = map(escaped, found[:4])
    beside = ([list(map(escaped, found.extras))],) if found.extras else ()
    return (*rest, group, *beside) if group or beside else tuple(rest)


def _mended(aside: SetAside) -> bool:
    """Whether an image lacked only what is installed by now."""
    return EXTRA in aside.reason and not missing([aside.image])


def in_words(counts: dict[str, int]) -> str:
    """The counts that are not zero, as "12 added, 1 moved"."""
    words = [f"{counts[kind]:,} {kind}" for kind in KINDS if counts[kind]]
    return ", ".join(words) or f"{counts['set_aside']:,} set aside"
