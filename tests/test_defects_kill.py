"""SIGKILL at moments of a fit, and of a sync of more normal pictures, each followed by the same command.

No half-made detector is ever read, and what is made in the end is what an undisturbed run makes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import ENTRY
from conftest import picture, run_cli
from synced import moved_copy

pytestmark = pytest.mark.slow

KILLED = Path(__file__).with_name("killed.py")
FIT = ["defects", "fit", "--build", "photos", "--normal", "class 1", "--false-alarms", "0.4", "--method", "mean"]

SYNC = ["sync", "--build", "photos-defects"]
KILLS = 10


def detector_of(home):
    """The bytes of everything that scoring reads."""
    stages = json.loads((home / "builds" / "photos-defects.json").read_bytes())["stages"]
    folder = home / "artifacts" / "defects" / stages["defects"]["digest"]
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


@pytest.mark.parametrize("moment", ["1", "3", "4", "5", "6", "8", "photos-defects.json", "report.html"])
def test_killed_at_a_moment_of_a_fit(copy_of_built, moment):
    folder, home = copy_of_built
    killed = subprocess.run([sys.executable, KILLED, moment, *FIT, "--home", home], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    score = ["defects", "score", folder / "class 0", "--json", "--home", home]
    before = run_cli(*score)
    assert before.returncode == (0 if (home / "builds" / "photos-defects.json").exists() else 2)
    run_cli(*FIT, "--home", home, check=0)
    after = run_cli(*score, check=0).stdout
    assert before.stdout in ("", after)
    assert not list(home.glob("artifacts/*/.partial-*"))
    found = detector_of(home)
    assert found.keys() == {"detector.npz", "defects.json"}
    run_cli("defects", "fit", *FIT[2:], "--name", "again", "--set", "run.rehash_days=1", "--home", home, check=0)
    assert detector_of(home) == found


@pytest.mark.parametrize("moment", ["12", "24", "30", "34", "photos-defects.json"])
def test_killed_at_a_moment_of_a_sync_of_more_normal_pictures(ours, moment):
    folder, home = ours
    run_cli(*FIT, "--home", home, check=0)
    before = detector_of(home)
    picture(1, 70).save(folder / "class 1" / "70.png")
    picture(1, 71).save(folder / "class 1" / "71.png")
    sync = ["sync", "--build", "photos-defects", "--home", home]
    killed = subprocess.run([sys.executable, KILLED, moment, *sync], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert detector_of(home) == before, "its file is replaced last"
    run_cli("defects", "score", folder / "class 0", "--json", "--home", home, check=0)
    run_cli(*sync, check=0)
    counted = json.loads(detector_of(home)["defects.json"])["calibration"]["images"]
    assert counted == json.loads(before["defects.json"])["calibration"]["images"] + 2
    assert not list(home.glob("artifacts/*/.partial-*"))


@pytest.fixture(scope="module")
def undisturbed(built, tmp_path_factory):
    """By command: (pictures, home to begin with, what it makes, its scores, its seconds); nobody kills these."""
    found = {}
    for name, words in (("fit", FIT), ("sync", SYNC)):
        folder, home = moved_copy(built, tmp_path_factory.mktemp(name))
        if name == "sync":
            run_cli(*FIT, "--home", home, check=0)
            picture(1, 70).save(folder / "class 1" / "70.png")
        start = shutil.copytree(home, home.with_name("start"))
        started = time.perf_counter()
        run_cli(*words, "--home", home, check=0)
        seconds = time.perf_counter() - started
        found[name] = folder, start, made(home), scores(folder, home), seconds
    return found


def made(home):
    """The bytes of what scoring reads, and the artifacts of the build; the report has seconds in it."""
    stages = json.loads((home / "builds" / "photos-defects.json").read_bytes())["stages"]
    return detector_of(home), {name: stage for name, stage in stages.items() if name != "evaluate"}


def scores(folder, home):
    return run_cli("defects", "score", folder / "class 0", "--json", "--home", home, check=0).stdout


@pytest.mark.parametrize("kill", range(KILLS))
@pytest.mark.parametrize(("name", "words"), [("fit", FIT), ("sync", SYNC)])
def test_killed_at_a_random_moment(undisturbed, tmp_path, name, words, kill):
    folder, start, wanted, scored, seconds = undisturbed[name]
    home = shutil.copytree(start, tmp_path / "home")
    before = made(home) if name == "sync" else None
    command = [*ENTRY, *words, "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep((kill + random.random()) / KILLS * seconds)  # one moment in each tenth
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if (home / "builds" / "photos-defects.json").exists():
        assert made(home) in (before, wanted), "what it was or what it becomes, never some of each"
        run_cli("defects", "score", folder / "class 0", "--json", "--home", home, check=0)
    run_cli(*words, "--home", home, check=0)
    assert made(home) == wanted
    assert scores(folder, home) == scored
    assert not list(home.glob("artifacts/*/.partial-*"))
