"""Ctrl-C between two steps, never inside one: a half-made step is not a state that can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def whole_step() -> Iterator[None]:
    """Put SIGINT off to the end of the block, where the handler that was there before gets it (KeyboardInterrupt).

    Nothing is done outside the main thread: Python delivers signals to the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        # None: the handler was not set from Python and cannot be put back by it.
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if seen:
        signal.raise_signal(signal.SIGINT)
