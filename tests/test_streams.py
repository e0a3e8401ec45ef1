"""Both streams of every command: stdout is data, a log has no control codes, a terminal is never too narrow."""

import fcntl
import json
import os
import re
import struct
import subprocess
import termios
from contextlib import contextmanager

import pytest
from commands import ENTRY, PACKAGE, run_process
from conftest import SMALL

from simsearch.console import Progress
from simsearch.home import Home
from simsearch.integrity.verifying import verify_build
from simsearch.sync.sync import run_sync

COLUMNS = 60
COMMANDS = {
    "build": ["build", "{folder}", *SMALL],
    "build --dry-run": ["build", "{folder}", "--dry-run"],
    "query": ["query", "{image}", "--k", "3"],
    "show": ["show"],
    "show BUILD": ["show", "photos"],
    "evaluate": ["evaluate"],
    "compare": ["compare", "photos", "photos"],
    "sync": ["sync", "{folder}", "--dry-run"],
    "verify": ["index", "verify"],
    "clean": ["clean", "--dry-run"],
}
WITHOUT_JSON = {
    "export": ["export", "--format", "npy", "--out", "{out}"],
    "help": ["--help"],
    "no command": ["bild"],
    "no build": ["query", "{image}", "--build", "none"],
    "no image": ["query", "/dev/null"],
    "no folder": ["build", "./a folder that is not there"],
    "no number": ["query", "{image}", "--k", "many"],
}


def filled(arguments, built, tmp_path):
    words = {"folder": built[0], "image": built[0] / "class 0" / "00.png", "out": tmp_path / "out"}
    home = [] if arguments == ["--help"] or arguments == ["bild"] else ["--home", str(built[1])]
    return [one.format(**words) for one in arguments] + home


@pytest.mark.parametrize("arguments", [*COMMANDS.values(), *WITHOUT_JSON.values()], ids=[*COMMANDS, *WITHOUT_JSON])
def test_a_log_has_no_control_codes(copy_of_built, tmp_path, arguments):
    done = run_process(*filled(arguments, copy_of_built, tmp_path), env={"FORCE_COLOR": "", "TERM": "xterm-256color"})
    for text in (done.stdout, done.stderr):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text), text
    if done.returncode == 2 and "query" not in arguments[0]:
        assert not done.stdout
    assert not re.search(r"(?m)^(Next: |warning: |error: |hint: |Built |photos is up to date)", done.stdout)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_stdout_is_json_alone(copy_of_built, tmp_path, arguments):
    done = run_process(*filled(arguments, copy_of_built, tmp_path), "--json", check=0)
    assert all(isinstance(json.loads(line), (dict, list)) for line in done.stdout.splitlines())


@pytest.mark.parametrize("arguments", [*COMMANDS.values(), *WITHOUT_JSON.values()], ids=[*COMMANDS, *WITHOUT_JSON])
def test_words_are_not_wider_than_the_terminal(copy_of_built, tmp_path, arguments):
    text = on_terminal(filled(arguments, copy_of_built, tmp_path))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    shown = [part for line in plain.split("\n") for part in line.rstrip("\r").split("\r")]
    wide = [line for line in shown if len(line) > COLUMNS]
    assert not [line for line in wide if len(line.split()) > 1 and max(map(len, line.split())) < COLUMNS // 2], wide


def on_terminal(arguments):
    """What a command writes to stderr, a terminal of 60 columns; its stdout leads elsewhere."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "ACCESSIBLE", "NO_COLOR")}
    child = subprocess.Popen(
        [*ENTRY, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment | {"PYTHONPATH": str(PACKAGE), "TERM": "xterm-256color"},
    )
    os.close(theirs)
    found = b""
    try:
        while data := os.read(ours, 65536):
            found += data
    except OSError:  # Linux's way to say that nobody has the other end any more
        pass
    os.close(ours)
    child.wait()
    return found.decode()


class Heard(Progress):
    """Remembers which parts of the work had a line."""

    def __init__(self):
        self.titles = []

    @contextmanager
    def stage(self, title, *, line=True):
        self.titles.append(title)
        yield self


def test_what_may_take_long_has_a_line(ours):
    heard = Heard()
    run_sync(Home(ours[1]), dry=True, progress=heard)
    assert heard.titles[0] == "Sync"
    found = verify_build(Home(ours[1]).build(), heard)
    assert found.sound
    assert set(heard.titles) > {check.name for check in found.checks if check.name != "pictures"}
