"""Housekeeping of a home: builds removed by name; what no build, kept night or pin refers to, and old packs, freed.

Renamed first and deleted then, a day after an artifact was made or used, and never beside a writer or a reader.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simsearch.bench.measuring.scratch import named_by_nights
from simsearch.console import safe
from simsearch.durable import bytes_below, fsync
from simsearch.engines.milvus.place import Place
from simsearch.errors import ArtifactError, SimsearchError, near_words
from simsearch.home import SEED, Home
from simsearch.home.again import home_words
from simsearch.home.packed import FOLDER as PACKS
from simsearch.home.packed import put_away, unpacked_before

NOTHING_DELETED = "nothing was deleted"
# What writers that are gone may leave behind: files that were to replace others, and folders of data sets.
TEMPORARY = ("builds/.*.tmp", "builds/*/.*.tmp", "datasets/.digits-*", "datasets/.old-*", "datasets/.unpacked/.[no]*-*")
LEAST_WASTE = 100 * 10**6  # bytes that are worth a word


@dataclass(frozen=True)
class Amount:
    """How many artifacts or files, and their bytes."""

    count: int
    bytes: int

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Amount:
        """Return the amount of what lies at some paths."""
        sizes = [bytes_below(path) for path in paths]
        return cls(len(sizes), sum(sizes))


@dataclass(frozen=True)
class Cleaned:
    """What was removed, or with `dry` would be: builds, artifacts by stage, and what dead writers left.

    `kept` is what nothing refers to either, and was made or used within a day. `collections` of the builds in Milvus
    go too, but for those that are `left`, as their server does not answer.
    """

    home: Path
    builds: tuple[str, ...]
    freed: dict[str, Amount]
    temporary: Amount
    kept: Amount
    dry: bool
    collections: tuple[Place, ...] = ()
    left: tuple[Place, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes that are free now."""
        return self.temporary.bytes + sum(amount.bytes for amount in self.freed.values())

    def to_json(self) -> dict[str, Any]:
        """Return the document of `clean --json`."""
        return {
            "home": str(self.home),
            "dry_run": self.dry,
            "builds": list(self.builds),
            "freed": {stage: vars(amount) for stage, amount in self.freed.items()},
            "temporary": vars(self.temporary),
            "kept": vars(self.kept),
            "bytes": self.bytes,
            **({"collections": [place.to_json() for place in self.collections]} if self.collections else {}),
            **({"left": [place.to_json() for place in self.left]} if self.left else {}),
        }


def clean(home: Home, name: str | None = None, *, dry: bool = False) -> Cleaned:
    """Remove the build `name`, with the builds of its seeds, and all that nothing refers to; return what that was.

    With `dry` nothing is changed. Raises ArtifactError, nothing deleted, for a home that is none, an unknown name,
    a damaged build file (nobody knows what it refers to), and while others write or open artifacts.
    """
    if not any(place.is_dir() for place in (home.builds, home.store.root, home.path / PACKS)):
        raise ArtifactError(
            f"{home.path} is no home of simsearch: it has neither builds nor artifacts; {NOTHING_DELETED}",
            hint="--home names the folder that builds were made in",
        )
    with nullcontext(True) if dry else home.alone("clean") as free:
        if not free:
            raise ArtifactError(
                f"{home.path} is in use by {home.others()}; {NOTHING_DELETED}",
                hint="run the same command again when that has finished",
            )
        try:
            builds: tuple[str, ...] = ()
            if name is not None:  # with those of its seeds, which only serve it
                known = home.build(name).name
                if known != name:  # what is removed is named as it is called
                    said, near = near_words(name, known)
                    raise ArtifactError(f"no build {name!r} in {home.path}{said}", hint=f"it is {known}", near=near)
                seed = re.compile(re.escape(f"{known}{SEED}") + r"\d+")
                seeds = (other for other in home.build_names() if seed.fullmatch(other))
                builds = (known, *(other for other in seeds if not home.build(other).listed))
            old, young = unnamed(home, without=builds)
        except SimsearchError as error:
            # One paste of a command with the near name would remove what was perhaps not meant.
            show = f"simsearch show{home_words(home.path)} lists the builds"
            raise ArtifactError(
                f"{error.message}; {NOTHING_DELETED}", hint=show if error.near else error.hint, near=error.near
            ) from None
        places = _collections(home, builds)
        packs, used = unpacked_before(home.path)
        left = [path for pattern in TEMPORARY for path in home.path.glob(pattern)] + home.store.left_over()
        freed = {stage: Amount.of(paths) for stage, paths in old.items()}
        freed |= {PACKS: Amount.of(packs)} if packs else {}
        done = Cleaned(home.path, builds, freed, Amount.of(left), Amount.of([*young, *used]), dry, places)
        if dry:
            return done
        for build in builds:  # the file last, so that the same command finishes what was killed
            shutil.rmtree(home.builds / build, ignore_errors=True)
            (home.builds / f"{build}.json").unlink()
            fsync(home.builds)
        left += [home.store.put_away(path) for paths in old.values() for path in paths]
        left += [away for path in packs if (away := put_away(path)) is not None]
    for path in left:  # which no reader looks at
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if not places:
        return done
    from simsearch.changes.loading import forget  # which no other home needs

    gone = tuple(place for place in places if forget(place))
    return replace(done, collections=gone, left=tuple(place for place in places if place not in gone))


def _collections(home: Home, builds: Sequence[str]) -> tuple[Place, ...]:
    """Return where in Milvus some builds are, and what they stood for before."""
    found = (home.build(name) for name in builds)
    return tuple(one.milvus for build in found for one in (build, build.former) if one is not None and one.milvus)


def waste_in_words(home: Home) -> str | None:
    """Return a line about a home of which more than half could be freed; None where it is less, or not known."""
    try:
        old, _ = unnamed(home)
    except (ArtifactError, OSError):
        return None
    waste = Amount.of(path for paths in old.values() for path in paths)
    if waste.bytes < LEAST_WASTE:
        return None
    whole = bytes_below(home.store.root)
    if waste.bytes * 2 <= whole:
        return None
    return f"{waste.bytes / 1e6:,.0f} of {whole / 1e6:,.0f} MB in {safe(str(home.path))} belong to no build"


def unnamed(home: Home, without: Iterable[str] = ()) -> tuple[dict[str, list[Path]], list[Path]]:
    """Return the artifacts that nothing refers to, by stage, and those that are less than a day old.

    `without`: builds that are to be removed. Raises ArtifactError when a build's file is damaged.
    """
    named = home.named(without) | named_by_nights(home.path / "bench")
    old: dict[str, list[Path]] = {}
    young = []
    for path in home.store.finished():
        if path.name not in named:
            if home.store.is_young(path):
                young.append(path)
            else:
                old.setdefault(path.parent.name, []).append(path)
    return old, young
