"""A folder that is watched: when files come and go, `simsearch sync` runs as a child. Owner of watchfiles."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watchfiles import awatch

from simsearch.errors import SourceError
from simsearch.server.reloading import said
from simsearch.server.service import Service, Watch
from simsearch.server.shelf import Shelf

QUIET_MS = 1000  # that nothing has happened for before a sync begins
LATEST_MS = 10_000  # after which it begins in any case
WATCHING, SYNCING, FAILED = "watching", "syncing", "failed"
_STOP_SECONDS = 20.0


class Watching:
    """Keeps one build in step with its folder."""

    def __init__(
        self, service: Service, folder: str, name: str, home: Path, tell: Callable[[str], None] = said
    ) -> None:
        self._service, self._folder, self._name, self._home, self._tell = service, folder, name, home, tell
        self._set(WATCHING)

    async def watch(self) -> None:
        """Sync now, and whenever the folder has changed and is quiet again, for as long as the server runs."""
        await self._sync()
        async for _ in awatch(self._folder, debounce=LATEST_MS, step=QUIET_MS):
            await self._sync()

    async def _sync(self) -> None:
        before = self._service.watching[self._name]
        self._set(SYNCING, before.message)
        options = ["--build", self._name, "--home", str(self._home), "--json"]
        command = [sys.executable, "-m", "simsearch", "sync", self._folder, *options]
        child = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
        try:
            out, words = await child.communicate()
        except asyncio.CancelledError:
            await _stopped(child)
            raise
        if child.returncode:
            lines = words.decode("utf-8", "replace").splitlines()
            why = next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), "")
            message = why or (lines[-1] if lines else f"simsearch sync ended with {child.returncode}")
            if before.message != message:
                self._tell(f"sync of {self._name} failed, and what is served stays as it is: {message}")
            self._set(FAILED, message)
            return
        with suppress(ValueError, LookupError):
            done = json.loads(out.splitlines()[-1])
            kinds = ("added", "changed", "moved", "deleted")
            counts = [f"{done[kind]:,} {kind}" for kind in kinds if done[kind]]
            if counts or before.state == FAILED:
                self._set(WATCHING, ", ".join(counts) or "up to date")
                return
        self._set(WATCHING, before.message)

    def _set(self, state: str, message: str = "") -> None:
        self._service.watching[self._name] = Watch(self._folder, state, message)


async def _stopped(child: Process) -> None:
    """End a sync, which leaves the build as it was or is done."""
    with suppress(ProcessLookupError):
        child.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(child.wait(), _STOP_SECONDS)
        return
    with suppress(ProcessLookupError):
        child.kill()


def name_of(shelf: Shelf, folder: str) -> str:
    """Return which build that is served was made from a folder; SourceError where none was, or there is none."""
    if not os.path.isdir(folder):
        raise SourceError(
            f"there is no folder {folder} to watch", hint="--watch takes the folder that a build was made of"
        )
    real = os.path.realpath(folder)
    for name in shelf.names:
        build = shelf.now(name).build
        if build.of_files and os.path.realpath(build.record.source.partition(":")[2]) == real:
            return name
    served = ", ".join(shelf.names)
    raise SourceError(f"none of {served} was made from {folder}", hint=f"simsearch build {folder} makes a build of it")
