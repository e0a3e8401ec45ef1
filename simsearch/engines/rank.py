"""One of the processes that torchrun started: what it says to the command that waits for it, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from simsearch.console import Progress
from simsearch.engines.torchrun import ERROR, told
from simsearch.errors import SimsearchError

GRACE_SECONDS = 60.0  # in which a step and a checkpoint are finished


class Told(Progress):
    """Progress that the waiting command shows, and other messages to it."""

    def __init__(self) -> None:
        # What libraries print must not come between messages: it goes where their errors go.
        self._out = os.dup(1)
        os.dup2(2, 1)

    def send(self, kind: str, *said: Any) -> None:
        """Send one message, of JSON values."""
        data = (json.dumps([kind, *said]) + "\n").encode()
        while data:
            data = data[os.write(self._out, data) :]

    def say(self, line: str) -> None:
        """Report one line of text."""
        self.send("say", line)

    def __call__(self, done: int, total: int, unit: str = "images") -> None:
        """Report that `done` of `total` are done."""
        self.send("count", done, total, unit)

    def tell(self, what: str) -> None:
        """Report what is being done."""
        self.send("tell", what)


def show(progress: Progress, kind: str, said: list[Any]) -> bool:
    """Show a message of `Told` as the progress that it is; return whether it was one."""
    shown: dict[str, Callable[..., None]] = {"say": progress.say, "count": progress, "tell": progress.tell}
    if kind in shown:
        shown[kind](*said)
    return kind in shown


def serve(work: Callable[[str, Told], None]) -> None:
    """Do `work` with the job that the command line names; exit with 0, 2 for an error that was reported, or 130.

    Ctrl-C is for the first rank: others end when it has, or after a while.
    """
    first = os.environ.get("RANK") == "0"
    signal.signal(signal.SIGINT, signal.default_int_handler if first else signal.SIG_IGN)
    messages = Told()
    threading.Thread(target=_watch, args=(first,), daemon=True).start()
    try:
        work(sys.argv[1], messages)
    except (SimsearchError, OSError, MemoryError) as error:
        messages.send(ERROR, told(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _watch(first: bool) -> None:
    """Wait until nobody waits for this process, and end it."""
    os.read(0, 1)
    if first:
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_SECONDS)
    os._exit(130)
