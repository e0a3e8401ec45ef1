"""What runs and what is skipped: steps looked up by their digests, stale artifacts, and one line a stage.

A step is made when no artifact has its digest, or when the one that has it was made from inputs with other bits than
those at hand. Everything else is opened and checked.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from simsearch.artifacts import Artifact
from simsearch.console import Progress
from simsearch.errors import DiskError, SimsearchError, disk_error
from simsearch.home import Home
from simsearch.stages.step import Step
from simsearch.versions import versions

ALMOST_NOTHING = 64 << 10
TO_FEATURES = ("dataset", "backbone", "train", "embed")


class NotBuiltError(Exception):
    """Ends a plan that may not run anything, at the first stage that is not there."""


@dataclass
class Plan:
    """A build in progress: what each stage came to (`stages`), and the titles of those that had to run (`ran`).

    `heading` is said before the first stage that runs; `at` names the stage that was asked for last. `needs` raises
    where features could not be made, before hours of work lead to them.
    """

    home: Home
    progress: Progress = field(default_factory=Progress)
    may_run: bool = True
    heading: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    stages: dict[str, Artifact] = field(default_factory=dict)
    at: str = "dataset"
    needs: Callable[[], None] | None = None

    def make(self, step: Step, name: str | None = None) -> Artifact:
        """Return the artifact of a step, made now if it is missing or stale. `name` is its kind, or system/kind."""
        self.at = name or step.kind
        found = self._find(step)
        if found is None:
            if not self.may_run:
                raise NotBuiltError(self.at)
            with self.home.making(step.kind, step.digest):
                found = self._find(step) or self._make(step)  # another may have made it while we waited
        self.stages[self.at] = found
        return found

    def has(self, step: Step) -> bool:
        """Whether the artifact of a step is there, and of these inputs."""
        return self._find(step) is not None

    def foresee(self, name: str, check: Callable[[], None]) -> None:
        """Let a later stage say now what it will refuse, before the stages in between are run."""
        self.at = name
        if self.may_run:
            check()

    def check_needs(self) -> None:
        """Raise SimsearchError where features could not be made; asked once."""
        needs, self.needs = self.needs, None
        if needs is not None:
            needs()

    def _find(self, step: Step) -> Artifact | None:
        """The artifact when it is there and made of these inputs; its day of grace begins anew where it is used."""
        found = self.home.store.find(step.kind, step.digest)
        if found is None or found.manifest["inputs"] != step.inputs:
            return None
        if self.may_run:
            with suppress(OSError):
                os.utime(found.path)
        return found

    def _make(self, step: Step) -> Artifact:
        if step.kind in TO_FEATURES:
            self.check_needs()
        for line in self.heading:
            self.progress.say(line)
        self.heading.clear()
        self.home.set_aside(step.kind, step.digest)
        started = time.perf_counter()
        space = None
        try:
            with self.progress.stage(step.title, line=not step.quick) as progress:
                space = self.home.store.workspace(step.kind, step.digest, step.inputs)
                facts, progress.detail = step.work(space, progress)
                manifest = {
                    "settings": step.settings,
                    "inputs": step.inputs,
                    "facts": facts,
                    "versions": versions(),
                    "device": facts.get("device", "cpu"),
                    "seconds": round(time.perf_counter() - started, 3),
                    "when": now(),
                }
                made = self.home.store.commit(step.kind, step.digest, space, manifest)
        except Exception as error:
            told = self._disk_error(error)
            if told is None:
                raise
            if space is not None:
                # What is half written goes, as it would at the next run: then what is free is what was not enough.
                shutil.rmtree(space.out, ignore_errors=True)
                told = self._disk_error(error) or told
            raise told from error
        self.ran.append(step.title)
        return made

    def _disk_error(self, error: Exception) -> DiskError | None:
        """Libraries below us report a full disk in their own ways; at last we look at the disk."""
        told = disk_error(error, self.home.path)
        if told is None and not isinstance(error, SimsearchError):
            with suppress(OSError):
                if shutil.disk_usage(self.home.path).free < ALMOST_NOTHING:
                    return disk_error(OSError(errno.ENOSPC, ""), self.home.path)
        return told


def now() -> str:
    """The time, ISO 8601 with offset, to the microsecond: builds are ordered by it."""
    return dt.datetime.now().astimezone().isoformat()
