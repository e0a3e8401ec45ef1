"""A command on a pseudo-terminal, and what a person sees of it: the text of each line, and when it changed."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

CONTROL = re.compile(rb"\x1b\[([0-9;?]*)([A-Za-z])")
AT_ONCE = 0.02  # seconds within which bytes belong to one redrawing


class Screen:
    """What a terminal that is wide enough shows: its lines, of which the last is written again and again."""

    def __init__(self) -> None:
        self.lines: list[str] = [""]
        self._row, self._column = 0, 0
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what a program wrote."""
        data = self._rest + data
        place = 0
        while place < len(data):
            if data[place] == 0x1B:
                found = CONTROL.match(data, place)
                if found is None:
                    if len(data) - place < 16:
                        break
                    place += 1
                    continue
                self._control(found[1], found[2])
                place = found.end()
                continue
            end = data.find(b"\x1b", place)
            end = len(data) if end < 0 else end
            while end == len(data) and end > place and _open(data[place:end]):
                end -= 1
            if end == place:
                break
            self._text(data[place:end].decode(errors="replace"))
            place = end
        self._rest = data[place:]

    def _control(self, number: bytes, kind: bytes) -> None:
        count = int(number) if number.isdigit() else 1
        if kind == b"A":
            self._row = max(self._row - count, 0)
        elif kind == b"K":
            line = self.lines[self._row]
            self.lines[self._row] = "" if number == b"2" else line[: self._column]

    def _text(self, text: str) -> None:
        for character in text:
            if character == "\r":
                self._column = 0
            elif character == "\n":
                self._row, self._column = self._row + 1, 0
                if self._row == len(self.lines):
                    self.lines.append("")
            elif character >= " ":
                line = self.lines[self._row].ljust(self._column)
                self.lines[self._row] = line[: self._column] + character + line[self._column + 1 :]
                self._column += 1


def _open(data: bytes) -> bool:
    """Whether the last character is not whole."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.end == len(data) and error.reason == "unexpected end of data"
    return False


@dataclass(frozen=True)
class Seen:
    """What was on the screen from `second` on, its last line that is not empty, and the longest line ever shown."""

    second: float
    last: str


@dataclass
class Watched:
    """A command that ran on a terminal: its exit code, all its bytes, and what was seen when."""

    code: int = 0
    data: bytes = b""
    seen: list[Seen] = field(default_factory=list)
    widest: str = ""
    seconds: float = 0.0

    def silences(self, least: float) -> list[tuple[float, float, str, str]]:
        """(seconds, from when, last line before, last line after) of each stretch in which nothing changed."""
        ends = [*self.seen[1:], Seen(self.seconds, "(the end)")]
        found = [(b.second - a.second, a.second, a.last, b.last) for a, b in zip(self.seen, ends, strict=True)]
        return [one for one in found if one[0] >= least]


def watch(command: Sequence[str], columns: int = 80, cwd: str | None = None) -> Watched:
    """Run a command on a terminal of so many columns, and return what was seen: both its streams go there."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    for key in ("COLUMNS", "LINES", "NO_COLOR", "ACCESSIBLE"):
        environment.pop(key, None)
    started = time.perf_counter()
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=cwd)
    os.close(theirs)
    screen, found = Screen(), Watched(seen=[Seen(0.0, "(the start)")])
    before: list[str] = [""]
    while True:
        try:
            data = os.read(ours, 65536)
            second = time.perf_counter() - started
            while select.select([ours], [], [], AT_ONCE)[0]:
                data += os.read(ours, 65536)
        except OSError:  # the terminal is closed
            break
        if not data:
            break
        found.data += data
        screen.feed(data)
        found.widest = max([found.widest, *screen.lines], key=len)
        if screen.lines != before:
            before = list(screen.lines)
            found.seen.append(Seen(second, next((line for line in reversed(before) if line.strip()), "")))
    os.close(ours)
    found.code = child.wait()
    found.seconds = time.perf_counter() - started
    return found
