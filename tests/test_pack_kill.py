"""Writing and unpacking a pack, killed at every step that makes something durable, and at random moments."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import ENTRY, run_cli

from simsearch.packs import check_pack

pytestmark = pytest.mark.slow
KILLED = [sys.executable, str(Path(__file__).with_name("killed.py"))]


def killed(moment, *arguments):
    """Run a command that dies before the moment; whether it came so far."""
    done = subprocess.run([*KILLED, str(moment), *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def silent(done, whole):
    """Progress that nobody sees."""


@pytest.fixture(scope="module")
def pack(built, tmp_path_factory):
    path = tmp_path_factory.mktemp("packs") / "shelf.pack"
    run_cli("export", "photos", "--format", "pack", "--out", path, "--home", built[1], check=0)
    return path


def test_an_export_that_is_killed_leaves_no_half_file(built, pack, tmp_path):
    command = ("export", "photos", "--format", "pack", "--out", tmp_path / "x.pack", "--home", built[1])
    moments = 0
    while killed(moments + 1, *command):
        moments += 1
        if (tmp_path / "x.pack").exists():  # after the rename it is whole
            assert (tmp_path / "x.pack").read_bytes() == pack.read_bytes()
            (tmp_path / "x.pack").unlink()
    assert moments >= 3, "the file, its name, its folder"
    assert (tmp_path / "x.pack").read_bytes() == pack.read_bytes()


def test_killed_while_it_writes(built, pack, tmp_path):
    """By the clock: whatever stands under the name is whole."""
    chosen, seen = random.Random(0), set()
    out = tmp_path / "x.pack"
    command = ["export", "photos", "--format", "pack", "--out", str(out), "--home", str(built[1])]
    started = time.monotonic()
    subprocess.run([*ENTRY, *command], check=True, capture_output=True)
    usual = time.monotonic() - started
    for _ in range(15):
        out.unlink(missing_ok=True)
        running = subprocess.Popen([*ENTRY, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chosen.uniform(0.1, 1.1) * usual)  # the first was perhaps the slowest
        running.kill()
        running.wait()
        seen.add(out.exists())
        assert not out.exists() or check_pack(out, silent) == check_pack(pack, silent)
    assert False in seen


def test_a_query_that_is_killed_while_it_unpacks(built, pack, tmp_path):
    command = ("query", built[0] / "class 0" / "00.png", "--build", pack, "--home", tmp_path / "home", "--json")
    moment = 1
    while killed(moment, *command):
        done = run_cli(*command, check=0)  # goes on as if nothing had been
        assert len(list((tmp_path / "home" / "packs").glob("[0-9a-f]*"))) == 1
        assert not list((tmp_path / "home" / "packs").glob(".partial-*")), done.stderr
        assert "ok  pack" in run_cli("index", "verify", pack, "--home", tmp_path / "home", check=0).stdout
        shutil.rmtree(tmp_path / "home")
        moment += 3
    assert moment > 20, "every file, every folder"
    assert os.listdir(tmp_path / "home") == ["packs"]
