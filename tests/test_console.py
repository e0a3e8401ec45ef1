"""What people read on stderr: lines that fit, signs of life from a thread, none of it in the way of the work."""

import contextlib
import io
import os
import pty
import re
import select
import sys
import threading
import time

import pytest

from simsearch import console
from simsearch.console import Shown, say

LONG = "a sentence that is a good deal longer than the terminal is wide and ends in /a/path/" + "x" * 90


class Terminal:
    """A pseudo-terminal as stderr; `text` is what was written to it."""

    def __init__(self, monkeypatch, columns):
        self.ours, theirs = pty.openpty()
        self.stream = os.fdopen(theirs, "w")
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((columns, 24)))
        for key in ("ACCESSIBLE", "COLUMNS"):
            monkeypatch.delenv(key, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))

    def begin(self):
        """Make it stderr: within the test, as pytest puts its own there before each part."""
        self._monkeypatch.setattr(sys, "stderr", self.stream)

    def text(self):
        found = b""
        while select.select([self.ours], [], [], 0.2 if not found else 0.01)[0]:
            found += os.read(self.ours, 65536)
        return found.decode()

    def close(self):
        self.stream.close()
        os.close(self.ours)


@pytest.fixture
def terminal(monkeypatch):
    found = Terminal(monkeypatch, 60)
    yield found
    found.close()


def test_a_long_line_goes_on_below_and_no_word_is_broken(terminal):
    terminal.begin()
    say(LONG)
    lines = terminal.text().replace("\r", "").splitlines()
    assert " ".join(line.strip() for line in lines) == LONG
    assert all(len(line) <= 60 for line in lines[:-1])
    assert lines[1].startswith("  ")


def test_a_line_in_a_file_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    say(LONG)
    assert sys.stderr.getvalue() == LONG + "\n"


def test_a_stage_moves_while_a_library_keeps_stderr_for_itself(terminal):
    terminal.begin()
    with Shown().stage("Trained") as stage:
        stage.tell("writing the network as ONNX")
        with contextlib.redirect_stderr(io.StringIO()):
            terminal.text()
            time.sleep(1.2)
            seen = terminal.text()
        stage(3, 4)
        time.sleep(0.4)
        counted = terminal.text()
    assert len(set(re.findall(r"\d s (\S)", seen))) > 2, "the spinner turns"
    assert "Trained       writing the network as ONNX" in seen
    assert "3 of 4 images" in counted
    assert "s left" in counted


def test_lines_are_printed_above_the_live_one_and_paths_stay_whole(terminal):
    terminal.begin()
    with Shown().stage("Read", line=False):
        time.sleep(0.2)
        say(LONG)
        time.sleep(0.2)
    text = terminal.text()
    assert LONG.split()[-1] in text
    assert text.endswith("\x1b[2K") or "Read" not in text.splitlines()[-1]


def test_an_inner_stage_takes_the_place_of_the_outer(terminal):
    terminal.begin()
    shown = Shown()
    with shown.stage("Build", line=False):
        with shown.stage("Read") as inner:
            terminal.text()
            time.sleep(0.3)
            assert "Build" not in terminal.text()
            inner.detail = "9 images"
        time.sleep(0.3)
        text = terminal.text()
    assert "9 images" in text
    assert "Build" in text
    assert console._shown is None


def test_a_log_gets_a_line_now_and_then_also_where_nothing_counts(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(console, "HEARTBEAT_SECONDS", 0.1)
    before = threading.active_count()
    with Shown().stage("Trained", line=False) as stage:
        stage.tell("writing the network as ONNX")
        time.sleep(0.35)
    assert "Trained: writing the network as ONNX, 0 s so far\n" in log.getvalue()
    assert "\x1b" not in log.getvalue()
    count = log.getvalue().count("\n")
    time.sleep(0.3)
    assert log.getvalue().count("\n") == count, "nothing after the end"
    assert threading.active_count() <= before


def test_a_screen_reader_gets_plain_lines(terminal, monkeypatch):
    terminal.begin()
    monkeypatch.setenv("ACCESSIBLE", "1")
    with Shown().stage("Read"):
        time.sleep(0.2)
    assert "\x1b" not in terminal.text()
