"""The builds that a server answers for: each name with the one state that is open, exchanged between two requests."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from simsearch.errors import ArtifactError, SimsearchError
from simsearch.home import Build, Home
from simsearch.server.opened import Opened, digest_now
from simsearch.server.problems import Problem, gone, unknown_build

_AGAIN = 60.0  # seconds


@dataclass(frozen=True)
class Fault:
    """A state of a build that failed its check: its digest and why; the one before it answers on."""

    digest: str
    why: str
    when: float = field(default_factory=time.monotonic)

    @property
    def stands(self) -> bool:
        """Whether it was found lately: a state that was mended is looked at again after a minute."""
        return time.monotonic() - self.when < _AGAIN


class Shelf:
    """Opened builds by name, in the order in which they were asked for; the first is the default."""

    def __init__(self, home: Home, names: Sequence[str]) -> None:
        """Open builds by name and packs by path, the newest build without any.

        Raises SimsearchError for one that cannot be opened, and for two of one name.
        """
        self._home = home
        self._opened: dict[str, Opened] = {}
        self.faults: dict[str, Fault] = {}
        for build in one_each([home.readable(name) for name in names] or [home.build()]):
            self._opened[build.name] = Opened(build)

    @property
    def names(self) -> list[str]:
        """The names that are served."""
        return list(self._opened)

    @property
    def digests(self) -> dict[str, str]:
        """The state that is open of each name."""
        return {name: opened.digest for name, opened in self._opened.items()}

    def now(self, name: str | None = None) -> Opened:
        """Return what a name stands for, the default without one; Problem (404) for another."""
        if name is None:
            return next(iter(self._opened.values()))
        found = self._opened.get(name)
        if found is None:
            raise unknown_build(name, self.names)
        return found

    def taken(self, name: str | None, digest: str | None = None) -> Opened:
        """Return it as one more user, who calls `done`; Problem (410) where it is no longer of that digest."""
        found = self.now(name)
        if digest is not None and digest != found.digest:
            raise gone(found.name, digest)
        if not found.use():
            raise Problem(503, "the build is being exchanged", "try again").after(1)
        return found

    @contextmanager
    def using(self, name: str | None, digest: str | None = None) -> Iterator[Opened]:
        """Use what a name stands for as long as the block lasts."""
        found = self.taken(name, digest)
        try:
            yield found
        finally:
            found.done()

    def newer(self, name: str) -> Build | None:
        """Return what a name stands for on disk where that is neither open nor known to be faulty; or None.

        Raises ArtifactError for a build's file that is gone or damaged.
        """
        pack = self._opened[name].build.pack
        build = self._home.readable(name if pack is None else str(pack))
        if build.name != name:
            raise ArtifactError(f"there is no build {name} any more")
        digest = digest_now(build)
        fault = self.faults.get(name)
        if digest == self._opened[name].digest:
            self.faults.pop(name, None)
            return None
        return None if fault is not None and fault.digest == digest and fault.stands else build

    def try_open(self, build: Build) -> Opened | None:
        """Return a new state, opened and checked; None, and a fault that says why, where it must not answer."""
        try:
            return Opened(build)
        except Exception as error:  # whatever it is, what was open before answers on
            why = error.message if isinstance(error, SimsearchError) else f"{type(error).__name__}: {error}"
            self.faults[build.name] = Fault(digest_now(build), why)
            return None

    def exchange(self, opened: Opened) -> Opened:
        """Let a name stand for a new state; returns the old one, which closes with its last user."""
        old = self._opened[opened.name]
        self._opened[opened.name] = opened
        self.faults.pop(opened.name, None)
        old.let_go()
        return old

    def close(self) -> None:
        """Let go of everything."""
        for opened in self._opened.values():
            opened.let_go()
        gc.collect()


def one_each(builds: Sequence[Build]) -> list[Build]:
    """Return builds, what was named twice once.

    Raises ArtifactError for two of one name: an address has the name alone.
    """
    found: dict[str, Build] = {}
    for build in builds:
        other = found.setdefault(build.name, build)
        if _place(other) != _place(build):
            seen = f"seen {build.name} in {other.place} and in {build.place}"
            raise ArtifactError(
                f"expected builds of different names, {seen}",
                hint="serve each by a server of its own, or make one of the packs anew from a build of another name",
            )
    return list(found.values())


def _place(build: Build) -> Path | None:
    return None if build.pack is None else build.pack.resolve()
