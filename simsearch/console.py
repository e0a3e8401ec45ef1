"""What people read on stderr: stage lines, live progress on a terminal, names made safe to show. Owner of rich.

Data go to stdout elsewhere; nothing here writes to it. The command line hands `Shown` to what takes long; a
library call that is given none reports to `Progress`, which shows nothing.
"""

from __future__ import annotations

import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

Tell = Callable[[str], None]  # is told what is being done where nothing can be counted

WIDTH = 78
HEARTBEAT_SECONDS = 30.0
# Bidirectional controls can make a name read as another one; the other categories can steer a terminal.
UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def safe(text: str) -> str:
    """Return `text` with control, bidirectional and unpaired characters written as escapes (`\\x1b`, `\\u202e`)."""
    if text.isprintable():  # none of the unsafe categories is
        return text
    return "".join(_escape(c) if unicodedata.category(c) in UNSAFE_CATEGORIES else c for c in text)


def safe_lines(text: str) -> str:
    """Return `text` made safe, its line ends kept."""
    return "\n".join(map(safe, text.split("\n")))


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shorten(text: str, width: int) -> str:
    """Return `text` cut in its middle to at most `width` characters."""
    if len(text) <= width:
        return text
    left = (width - 3) // 2
    return f"{text[:left]}...{text[len(text) - (width - 3 - left) :]}"


def some(names: Sequence[str], most: int = 4) -> str:
    """Return the first names, and how many more there are: "a, b, c, d and 12 more"."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def one_in(rate: float, at_most: bool = False) -> str:
    """Return a rate above 0 in words, with two significant digits: "1 in 3,800" for 0.00026, "1 in 1" near 1.

    `at_most`: it is no more than that, "< 1 in 3,800".
    """
    return f"{'< ' if at_most else ''}1 in {float(f'{round(1 / rate):.2g}'):,.0f}"


def say(text: str) -> None:
    """Print one line to stderr; a reader who went away, or a full disk behind it, is no reason to lose the work."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def is_live() -> bool:
    """Whether stderr may be redrawn: a terminal, and no screen reader asked for plain lines (ACCESSIBLE)."""
    return (
        sys.stderr is not None
        and sys.stderr.isatty()
        and not os.environ.get("ACCESSIBLE")
        and os.environ.get("TERM") != "dumb"
    )


class Progress:
    """What a long piece of work reports to: lines, counts, and what is being done. This one shows nothing.

    `detail` is the end of a stage's line, which the stage itself knows.
    """

    detail = ""

    def say(self, line: str) -> None:
        """Report one line of text."""

    def __call__(self, done: int, total: int, unit: str = "images") -> None:
        """Report that `done` of `total` are done; the rate is counted from the stage's start."""

    def tell(self, what: str) -> None:
        """Report what is being done where nothing can be counted."""

    @contextmanager
    def stage(self, title: str, *, line: bool = True) -> Iterator[Progress]:
        """Hand out the progress of a part of the work, which leaves a `line` when it is done: here, this one."""
        yield self


class Shown(Progress):
    """Progress on stderr, for people: a live line a stage while it runs, one printed line when it is done."""

    def say(self, line: str) -> None:
        """Print one line."""
        say(line)

    @contextmanager
    def stage(self, title: str, *, line: bool = True) -> Iterator[Progress]:
        """Show one stage."""
        current = StageLine(title)
        try:
            yield current
        finally:
            current.close()
        if line:
            seconds = f"{time.perf_counter() - current.started:.1f} s"
            left = f"{title:<13} {current.detail}"
            say(f"{left:<{WIDTH - len(seconds) - 1}} {seconds}")


class StageLine(Progress):
    """The line of one stage; what it is divided into is part of it, and prints no line of its own."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = time.perf_counter()
        self._spoken = self.started
        self._live: Any = None
        self._task: Any = None
        if is_live():
            self._start_live()

    def say(self, line: str) -> None:
        """Print one line."""
        say(line)

    def _start_live(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._live = Bars(
            TextColumn("{task.description:<13}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._live.start()
        self._task = self._live.add_task(self.title, total=None, rate="")

    def __call__(self, done: int, total: int, unit: str = "images") -> None:
        """Report that `done` of `total` are done; the rate is counted from the stage's start."""
        now = time.perf_counter()
        rate = done / max(now - self.started, 1e-9)
        if self._live is not None:
            self._live.update(self._task, completed=done, total=total, rate=f"{rate:,.0f} {unit}/s")
        elif now - self._spoken >= HEARTBEAT_SECONDS:
            self._spoken = now
            say(f"{self.title}: {done:,} of {total:,} {unit}, {rate:,.0f} {unit}/s")

    def tell(self, what: str) -> None:
        """Report what is being done where nothing can be counted."""
        if self._live is not None:
            self._live.update(self._task, rate=shorten(what, 50))

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None
