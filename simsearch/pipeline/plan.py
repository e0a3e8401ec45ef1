"""What runs and what is skipped: digests of stages, stale artifacts, and one line a stage for the user.

A stage runs when no artifact has its digest, or when the one that has it was made from inputs with other bits than
those at hand. Everything else is opened and checked.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simsearch.artifacts import Artifact, Workspace, digest_of
from simsearch.console import Progress, say, stage
from simsearch.errors import FULL_DISK, ArtifactError, SimsearchError
from simsearch.home import Home
from simsearch.versions import versions

STAGE_VERSIONS = {"dataset": 1, "train": 2, "embed": 1, "index": 1, "evaluate": 5, "seeds": 1}
FULL_DISK_WORDS = ("No space left", "disk is full", "File too large")
ALMOST_NOTHING = 64 << 10

References = dict[str, dict[str, str]]
Work = Callable[[Workspace, Progress], tuple[dict[str, Any], str]]


class NotBuiltError(Exception):
    """Ends a plan that may not run anything, at the first stage that is not there."""


def address(kind: str, settings: dict[str, Any], inputs: References) -> str:
    """The digest of the artifact that a stage makes of `settings` and `inputs`."""
    return digest_of(
        {
            "stage": kind,
            "version": STAGE_VERSIONS[kind],
            "settings": settings,
            "inputs": {key: reference["digest"] for key, reference in inputs.items()},
        }
    )


@dataclass
class Plan:
    """A build in progress: what each stage came to (`stages`), and the titles of those that had to run (`ran`).

    With `progress` the stages are parts of one line that is already shown, and print none of their own.
    """

    home: Home
    may_run: bool = True
    progress: Progress | None = None
    heading: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    stages: dict[str, Artifact] = field(default_factory=dict)

    def ensure(self, name: str, title: str, settings: dict[str, Any], inputs: References, work: Work) -> Artifact:
        """The artifact of a stage, made now if it is missing or stale. `name` is stage, or system/stage.

        `inputs` are (digest, content) references: the digests enter the address, the contents are compared with what
        the artifact was made from. `work` writes into the workspace and returns facts and one line for the user.
        """
        kind = name.rpartition("/")[2]
        digest = address(kind, settings, inputs)
        found = self._fresh(kind, digest, inputs)
        if found is None:
            if not self.may_run:
                raise NotBuiltError(name)
            with self.home.making(kind, digest):
                found = self._fresh(kind, digest, inputs)  # another may have made it while we waited
                if found is None:
                    for line in self.heading:
                        say(line)
                    self.heading.clear()
                    self.home.set_aside(kind, digest)
                    found = self._run(title, kind, digest, {"settings": settings, "inputs": inputs}, work)
                    self.ran.append(title)
        self.stages[name] = found
        return found

    def _fresh(self, kind: str, digest: str, inputs: References) -> Artifact | None:
        """The artifact when it is there and made of these inputs; its day of grace begins anew where it is used."""
        found = self.home.store.find(kind, digest)
        if found is None or found.manifest["inputs"] != inputs:
            return None
        if self.may_run:
            with suppress(OSError):
                os.utime(found.path)
        return found

    def foresee(self, name: str, check: Callable[[], None]) -> None:
        """Let a later stage say now what it will refuse, before the stages in between are run."""
        if self.may_run:
            check()

    def _run(self, title: str, kind: str, digest: str, made_of: dict[str, Any], work: Work) -> Artifact:
        started = time.perf_counter()
        try:
            with nullcontext(self.progress) if self.progress else stage(title) as progress:
                space = self.home.store.workspace(kind, digest, made_of["inputs"])
                facts, progress.detail = work(space, progress)
                manifest = {
                    **made_of,
                    "facts": facts,
                    "versions": versions(),
                    "device": facts.get("device", "cpu"),
                    "seconds": round(time.perf_counter() - started, 3),
                    "when": now(),
                }
                return self.home.store.commit(kind, digest, space, manifest)
        except SimsearchError:
            raise
        except Exception as error:
            if _is_disk_full(error, self.home.path):
                raise ArtifactError(
                    f"no space left below {self.home.path} while making the {kind} artifact",
                    hint="free some space and run the same command again; what was finished is kept",
                ) from error
            raise


def now() -> str:
    """The time, ISO 8601 with offset, to the microsecond: builds are ordered by it."""
    return dt.datetime.now().astimezone().isoformat()


def _is_disk_full(error: BaseException, place: Path) -> bool:
    """Libraries below us report a full disk in their own ways; at last we look at the disk."""
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return True
    if any(words in str(error) for words in FULL_DISK_WORDS):
        return True
    try:
        return shutil.disk_usage(place).free < ALMOST_NOTHING
    except OSError:
        return False
