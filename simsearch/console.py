"""What people read on stderr: stage lines, live progress on a terminal, names made safe to show. Owner of rich.

Data go to stdout elsewhere; nothing here writes to it. The command line hands `Shown` to what takes long; a
library call that is given none reports to `Progress`, which shows nothing.
"""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

Tell = Callable[[str], None]  # is told what is being done where nothing can be counted

WIDTH = 78
HEARTBEAT_SECONDS = 30.0
PER_SECOND = 8  # times that a live line moves
FRAMES, FRAMES_ASCII = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
# Bidirectional controls can make a name read as another one; the other categories can steer a terminal.
UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def safe(text: str) -> str:
    """Return `text` with control, bidirectional and unpaired characters written as escapes (`\\x1b`, `\\u202e`)."""
    if text.isprintable():  # none of the unsafe categories is
        return text
    return "".join(_escape(c) if unicodedata.category(c) in UNSAFE_CATEGORIES else c for c in text)


def typable(word: str, otherwise: str) -> str:
    """Return `word` for a shell, `otherwise` where it holds what nobody can type, as control characters."""
    return shlex.quote(word) if safe(word) == word else otherwise


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
    """Print one line to stderr; a reader who went away, or a full disk behind it, is no reason to lose the work.

    On a terminal a longer one goes on below, indented; nothing is broken inside a word, as a path is one.
    """
    stream = sys.stderr
    if stream is None:
        return
    if columns := terminal_columns(stream):
        text = "\n".join(_fit(line, columns) for line in text.split("\n"))
    with suppress(OSError):
        if _shown is not None:
            _shown.above(text)
        else:
            print(text, file=stream, flush=True)


def terminal_columns(stream: Any) -> int | None:
    """Return how wide the terminal is that a stream leads to; None where it leads to none, or that is not known."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (AttributeError, OSError, ValueError):
        return None


def _fit(line: str, columns: int) -> str:
    if len(line) <= columns:
        return line
    return textwrap.fill(line, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


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
    def waiting(self, who: Callable[[], str]) -> Iterator[None]:
        """Report that nothing is done but to wait for `who`, which is asked again at every sign of life."""
        yield

    @contextmanager
    def stage(self, title: str, *, line: bool = True) -> Iterator[Progress]:
        """Hand out the progress of a part of the work, which leaves a `line` when it is done: here, this one."""
        yield self


class Shown(Progress):
    """Progress on stderr, for people: a live line a stage while it runs, one printed line when it is done.

    A stage within a stage takes the place of the outer one, which comes back when the inner is done.
    """

    def __init__(self) -> None:
        self._running: list[StageLine] = []

    def say(self, line: str) -> None:
        """Print one line."""
        say(line)

    @contextmanager
    def waiting(self, who: Callable[[], str]) -> Iterator[None]:
        """Show whom is waited for in the line of the stage that waits, or in one of its own."""
        if self._running:
            with self._running[-1].waiting(who):
                yield
        else:
            with self.stage("Wait", line=False) as alone, alone.waiting(who):
                yield

    @contextmanager
    def stage(self, title: str, *, line: bool = True) -> Iterator[Progress]:
        """Show one stage."""
        for outer in self._running[-1:]:
            outer.stop()
        current = StageLine(title)
        self._running.append(current)
        try:
            current.start()
            yield current
        finally:
            current.stop()
            self._running.pop()
        if line:
            seconds = f"{time.perf_counter() - current.started:.1f} s"
            left = f"{title:<13} {current.detail}"
            columns = min(WIDTH, terminal_columns(sys.stderr) or WIDTH)
            say(f"{left:<{columns - len(seconds) - 1}} {seconds}")
        for outer in self._running[-1:]:
            outer.start()


class StageLine(Progress):
    """The line of one stage; what it is divided into is part of it, and prints no line of its own.

    It moves from another thread, so that it does while a library is at work: on a terminal eight times a second, else
    a line every half minute.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = time.perf_counter()
        self._doing = ""
        self._counted: tuple[int, int, str] | None = None
        self._waits: tuple[Callable[[], str], float] | None = None  # for whom, and since when
        self._live: Any = None
        self._stream = sys.stderr  # that it leads to, also while a library's words are kept off it
        self._stopped: threading.Event | None = None

    def say(self, line: str) -> None:
        """Print one line."""
        say(line)

    def __call__(self, done: int, total: int, unit: str = "images") -> None:
        """Report that `done` of `total` are done; the rate is counted from the stage's start."""
        self._counted = (done, total, unit)

    def tell(self, what: str) -> None:
        """Report what is being done where nothing can be counted."""
        self._doing, self._counted = what, None

    @contextmanager
    def waiting(self, who: Callable[[], str]) -> Iterator[None]:
        """Show whom is waited for in place of what is being done."""
        self._waits = who, time.perf_counter()
        try:
            yield
        finally:
            self._waits = None

    def start(self) -> None:
        """Let the line be seen from now on."""
        if is_live():
            self._start_live()
        elif self._stream is not None:
            self._stopped = threading.Event()
            threading.Thread(target=self._beat, args=(self._stopped,), daemon=True).start()

    def stop(self) -> None:
        """Take the line away."""
        global _shown
        if self._live is not None:
            _shown = None
            self._live.stop()
            self._live = None
        if self._stopped is not None:
            self._stopped.set()
            self._stopped = None

    def above(self, text: str) -> None:
        """Print lines above the live one."""
        self._live.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def _start_live(self) -> None:
        global _shown
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        console = Console(file=self._stream, force_terminal=True)
        frames = FRAMES_ASCII if console.options.ascii_only else FRAMES

        def drawn() -> Text:
            seconds = time.perf_counter() - self.started
            end = f" {seconds:.0f} s {frames[int(seconds * PER_SECOND) % len(frames)]}"
            room = console.width - 1 - len(end)
            return Text(f"{shorten(f'{self.title:<13} {self._words()}', room):<{room}}{end}", no_wrap=True)

        self._live = Live(console=console, get_renderable=drawn, refresh_per_second=PER_SECOND, transient=True)
        self._live.start(refresh=True)
        _shown = self

    def _beat(self, stopped: threading.Event) -> None:
        while not stopped.wait(HEARTBEAT_SECONDS):
            waits = self._waits
            words, since = f"{self.title}: {self._words() or 'at work'}", self.started
            if waits is not None:
                words, since = f"Waiting for {waits[0]()}", waits[1]
            with suppress(OSError, ValueError):
                print(f"{words}, {time.perf_counter() - since:.0f} s so far", file=self._stream, flush=True)

    def _words(self) -> str:
        """What is being done, or how much of it is, how fast, and for how long it will go on."""
        waits = self._waits
        if waits is not None:
            return f"waiting for {waits[0]()}"
        if self._counted is None:
            return self._doing
        done, total, unit = self._counted
        rate = done / max(time.perf_counter() - self.started, 1e-9)
        words = f"{done:,} of {total:,} {unit}, {rate:,.0f} {unit}/s"
        if not 0 < done < total:
            return words
        left = (total - done) / rate
        return f"{words}, {f'{left:.0f} s' if left < 100 else f'{left / 60:.0f} min'} left"


_shown: StageLine | None = None  # the live line that is on the terminal
