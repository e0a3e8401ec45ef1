"""What the routes of a server share: its builds, its limits, its threads, and what they count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from simsearch.errors import SimsearchError
from simsearch.server.bodies import Bodies
from simsearch.server.feedback import Feedback
from simsearch.server.limits import Limits
from simsearch.server.metrics import Metrics
from simsearch.server.opened import Opened
from simsearch.server.pictures import Pictures
from simsearch.server.problems import problem_of
from simsearch.server.shelf import Shelf
from simsearch.server.work import Work

Result = TypeVar("Result")


@dataclass(frozen=True)
class Watch:
    """What a watched folder is at: `state` is watching, syncing or failed; `message` what the last sync said."""

    folder: str
    state: str
    message: str = ""


class Service:
    """A server's state; everything but what `work` and `files` run belongs to one event loop."""

    def __init__(self, shelf: Shelf, limits: Limits, feedback: Feedback | None = None) -> None:
        self.shelf, self.limits, self.feedback = shelf, limits, feedback
        self.writing = asyncio.Lock()
        self.bodies, self.pictures = Bodies(limits), Pictures(limits)
        self.work = Work(limits.threads, limits.queue, limits.seconds, "search")
        self.files = Work(2, 4 * limits.queue, limits.seconds, "files")  # whole pictures, which are read and hashed
        self.metrics = Metrics()
        self.watching: dict[str, Watch] = {}  # by the name of the build
        self.stopping = False
        self.stop: Callable[[], None] = lambda: None  # what ends the server that runs it

    async def run(
        self,
        opened: Opened,
        function: Callable[[], Result],
        key: Hashable = None,
        *,
        in_files: bool = False,
    ) -> Result:
        """Return what a function gives in a thread, of a build that was taken and is then done with.

        Problem for what an error of ours is to a client.
        """
        work = self.files if in_files else self.work
        try:
            return await work.run(function, key, opened.done)
        except SimsearchError as error:
            raise problem_of(error) from None

    def summary(self, opened: Opened) -> dict[str, Any]:
        """Return what `GET /v1/builds` tells of a build."""
        watch = self.watching.get(opened.name)
        return {**opened.summary(), "feedback": self.feedback is not None, "watching": watch and asdict(watch)}

    def counted(self) -> bytes:
        """Return what was counted, for Prometheus."""
        self.metrics.waiting.set(self.work.held)
        self.metrics.refused.set(self.work.refused + self.files.refused)
        self.metrics.shared.set(self.work.shared)
        self.metrics.images.clear()
        for name, digest in self.shelf.digests.items():
            self.metrics.images.labels(name, digest).set(self.shelf.now(name).searcher.images)
        return self.metrics.text()

    def close(self) -> None:
        """Let go of everything."""
        self.work.close()
        self.files.close()
        self.shelf.close()
