"""SIGKILL at 50 moments of a switch and of its way back: one or the other answers, and the same command ends it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import ENTRY, run_cli
from synced import record
from test_switch import answers, made, two  # noqa: F401

from simsearch.home import Home
from simsearch.integrity.verifying import verify_build

pytestmark = pytest.mark.slow

KILLED = Path(__file__).with_name("killed.py")
KILLS = 50
LAST = 12  # steps that make something durable


def killed(words, moment, seconds) -> bool:
    """Run a switch that dies at a durable step, or where there is none after so many seconds; whether it did."""
    start = [*ENTRY] if moment is None else [sys.executable, KILLED, str(moment)]
    process = subprocess.Popen([*start, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if moment is None:
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_killed_at_any_moment(two):  # noqa: F811
    folder, home = two
    old, new = answers(home, folder), answers(home, folder, "next")
    started = time.perf_counter()
    subprocess.run([*ENTRY, "switch", "photos", "next", "--home", home], check=True, capture_output=True)
    took = time.perf_counter() - started
    first = record(home)["former"]
    run_cli("switch", "photos", "--back", "--home", home, check=0)
    draw, kills, reached = random.Random(0), 0, {True: 0, False: 0}
    while kills < KILLS:
        forward = "former" not in record(home)
        words = ["switch", "photos", "next" if forward else "--back", "--home", str(home)]
        moment = None if kills % 2 else draw.randint(1, LAST)
        if not killed(words, moment, draw.random() * took):
            continue
        kills += 1
        switched = "former" in record(home)
        reached[switched == forward] += 1
        assert answers(home, folder) == (new if switched else old), "never by neither, nor something of both"
        assert (record(home)["former"] if switched else record(home)) == first, "nothing is lost"
        done = run_cli(*words)
        already_back = not forward and not switched and "has no former state" in done.stderr
        assert done.returncode == 0 or already_back, done.stderr
        assert answers(home, folder) == (new if forward else old)
        assert verify_build(Home(home).build("photos")).sound
    assert min(reached.values()) > 0, "some died before the rename, some after it"
    run_cli("clean", "--home", home, check=0)
    assert not list((home / "builds").glob(".*.tmp"))
