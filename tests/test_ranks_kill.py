"""`training.ranks = 2` through the command: one document on stdout, kill -9 of a rank, of torchrun, of the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import ENTRY, run_process
from conftest import write_folder

pytestmark = pytest.mark.slow

KEYS = {
    "embedder.backbone": "mnist_cnn",
    "embedder.weights": "none",
    "training.epochs": 30,
    "training.ranks": 2,
    "loss.name": "triplet",
    "loss.images_per_class": 4,
    "evaluation.baseline": "false",
    "evaluation.map": "false",
}
WANTED = [word for key, value in KEYS.items() for word in ("--set", f"{key}={value}")]
HINT = "hint: the same command goes on from the last checkpoint"


def below(pid):
    """The processes that `pid` started, and those that these did, the nearest first."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found = [pid]
    for one in found:
        found += sorted(child for child, parent in parents.items() if parent == one)
    return found[1:]


def ranks_of(pid):
    """torchrun and its two ranks, when there are that many."""
    names = (b"torch.distributed.run", b"simsearch.stages.ranks")
    return [one for one in below(pid) if any(name in _words(one) for name in names)]


def _words(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def alive(pids):
    return [pid for pid in pids if _words(pid)]


def wait_for(what, seconds=180.0):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.02)
    return found


def step_of(home):
    for path in home.glob("artifacts/train/.partial-*/scratch/checkpoint.json"):
        try:
            return json.loads(path.read_bytes())["state"]["step"]
        except (OSError, ValueError):
            break
    return 0


def weights_of(home):
    record = json.loads((home / "builds" / "photos.json").read_bytes())
    return record["stages"]["train"]["content"]


def stopped(command, home, how):
    """Start the command, stop it `how` says when it has gone beyond its last checkpoint; its exit code and stderr."""
    before = step_of(home)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: step_of(home) > before or process.poll() is not None)
    started = ranks_of(process.pid)
    assert len(started) == 3, process.communicate()
    how(process.pid, *started)
    said = process.communicate(timeout=120)
    wait_for(lambda: not alive(started), 90)
    assert step_of(home) > before, "the checkpoint stays"
    assert said[0] == ""
    return process.returncode, said[1]


def test_whoever_is_killed_the_same_command_goes_on_to_the_same_weights(tmp_path):
    folder = write_folder(tmp_path / "photos", labels=4, each=40)
    done = run_process("build", folder, *WANTED, "--json", "--home", tmp_path / "whole", check=0)
    json.loads(done.stdout)
    assert "2 ranks of " in done.stderr
    noise = [word for word in ("OMP_NUM_THREADS", "gloo", "torch/", "elastic", "Warning") if word in done.stderr]
    assert not noise, done.stderr
    home = tmp_path / "home"
    command = [*ENTRY, "build", str(folder), *WANTED, "--home", str(home)]

    code, said = stopped(command, home, lambda parent, torchrun, first, second: os.kill(second, signal.SIGKILL))
    assert (code, said.splitlines()[-2]) == (2, "error: rank 1 of 2 was ended by signal 9 (SIGKILL)")
    assert said.splitlines()[-1].startswith(HINT)
    assert "Traceback" not in said

    code, said = stopped(command, home, lambda parent, torchrun, *ranks: os.kill(torchrun, signal.SIGKILL))
    assert (code, said.splitlines()[-2]) == (2, "error: torchrun, which runs 2 ranks, was ended by signal 9 (SIGKILL)")

    code, _ = stopped(command, home, lambda parent, *others: os.kill(parent, signal.SIGKILL))
    assert code == -signal.SIGKILL

    code, said = stopped(command, home, lambda parent, *others: os.kill(parent, signal.SIGINT))
    assert code == 130
    assert said.splitlines()[-1].startswith("interrupted: the same command goes on")

    run_process("build", folder, *WANTED, "--home", home, check=0)
    assert weights_of(home) == weights_of(tmp_path / "whole")
    assert not list(home.glob("artifacts/*/.partial-*"))
