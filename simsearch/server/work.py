"""The work behind requests: a few threads, a queue that is bounded, and what is asked twice at once done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from simsearch.server.problems import Problem

Result = TypeVar("Result")
LATER = "try again in a moment"


class Work:
    """Runs functions in threads for the requests of one event loop.

    `most` may run or wait at once, each for so many `seconds`; a Problem (503) is what the next one gets, at once.
    """

    def __init__(self, threads: int, most: int, seconds: float, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most, self._seconds = most, seconds
        self._running: dict[Hashable, asyncio.Future[Any]] = {}
        self.held = 0  # requests that run or wait
        self.refused = self.shared = 0

    def check(self) -> None:
        """Raise Problem where the queue is full: what a body is not read for."""
        if self.held >= self._most:
            self.refused += 1
            raise Problem(503, f"the server is busy: {self.held} requests wait already", LATER).after(1)

    async def run(
        self, function: Callable[[], Result], key: Hashable = None, done: Callable[[], None] | None = None
    ) -> Result:
        """Return what a function gives; with a `key`, of one that runs under the same key already.

        `done` is called once this function has ended, or will never be called. Problem (503) where the queue is full,
        and when it takes too long; what was begun then goes on to its end in its thread, and keeps its place till then.
        """
        found: asyncio.Future[Result] | None = self._running.get(key) if key is not None else None
        if found is not None:
            self.shared += 1
            if done is not None:
                found.add_done_callback(lambda _: done())
        else:
            try:
                self.check()
            except Problem:
                if done is not None:
                    done()
                raise
            found = self._begin(function, key, done)
        try:
            return await asyncio.wait_for(asyncio.shield(found), self._seconds)
        except TimeoutError:
            raise Problem(503, f"no answer within {self._seconds:g} s", LATER).after(2) from None

    def _begin(
        self, function: Callable[[], Result], key: Hashable, done: Callable[[], None] | None
    ) -> asyncio.Future[Result]:
        found = asyncio.get_running_loop().run_in_executor(self._pool, function)
        self.held += 1
        if key is not None:
            self._running[key] = found

        def ended(future: asyncio.Future[Result]) -> None:
            self.held -= 1
            if key is not None:
                del self._running[key]
            if not future.cancelled():
                future.exception()  # seen, also where nobody waits for it any more
            if done is not None:
                done()

        found.add_done_callback(ended)
        return found

    def close(self) -> None:
        """Let nothing begin any more; what runs goes on."""
        self._pool.shutdown(wait=False, cancel_futures=True)
