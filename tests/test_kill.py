"""kill -9 at random moments, each followed by the same command: always the same report, no partial work is read."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import pytest
from commands import ENTRY
from conftest import artifact_file, run_cli, snapshot, write_folder

pytestmark = pytest.mark.slow

# Three epochs with checkpoints in between; no baseline and no map, so that ten builds fit into a test.
WANTED = ["--set", "embedder.backbone=mnist_cnn", "--set", "embedder.weights=none", "--set", "training.epochs=3",
          "--set", "training.batch_size=16", "--set", "evaluation.baseline=false",
          "--set", "evaluation.map=false"]  # fmt: skip
KILLS = 10


def report_of(home):
    report = json.loads((home / "builds" / "photos" / "report.json").read_bytes())
    report["index"].pop("qps")
    report.pop("milliseconds")
    return report


def contents_of(home):
    record = json.loads((home / "builds" / "photos.json").read_bytes())
    return {name: stage for name, stage in record["stages"].items() if name != "evaluate"}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """(folder, report, contents, seconds) of a build that nobody killed."""
    root = tmp_path_factory.mktemp("kill")
    folder = write_folder(root / "photos", labels=4, each=40)
    started = time.perf_counter()
    run_cli("build", folder, *WANTED, "--home", root / "home", check=0)
    return folder, report_of(root / "home"), contents_of(root / "home"), time.perf_counter() - started


@pytest.mark.parametrize("kill", range(KILLS))
def test_killed_at_a_random_moment(reference, tmp_path, kill):
    folder, report, contents, seconds = reference
    home = tmp_path / "home"
    command = [*ENTRY, "build", str(folder), *WANTED, "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    # One moment in each tenth of the build, so that every stage is hit.
    time.sleep((kill + random.random()) / KILLS * seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = snapshot(home)
    done = run_cli("build", folder, *WANTED, "--home", home, check=0)
    assert report_of(home) == report, done.stderr
    assert contents_of(home) == contents
    assert finished.items() <= snapshot(home).items(), "what was finished before the kill is used, not made again"
    assert not list(home.glob("artifacts/*/.partial-*")), "nothing half-done stays"
    assert "up to date" in run_cli("build", folder, *WANTED, "--home", home, check=0).stderr


def test_training_goes_on_where_it_was_killed(tmp_path):
    folder = write_folder(tmp_path / "photos", labels=4, each=40)
    home = tmp_path / "home"
    many = [*WANTED, "--set", "training.epochs=24"]
    command = [*ENTRY, "build", str(folder), *many, "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not _epochs_done(home) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = _epochs_done(home)
    assert before, "the build was killed after a checkpoint"
    run_cli("build", folder, *many, "--home", home, check=0)
    whole = tmp_path / "whole"
    run_cli("build", folder, *many, "--home", whole, check=0)
    assert report_of(home) == report_of(whole)
    metrics = [artifact_file(h, "train", "metrics.jsonl").read_text() for h in (home, whole)]
    assert metrics[0] == metrics[1]
    assert len(metrics[0].splitlines()) == 24


def _epochs_done(home):
    found = list(home.glob("artifacts/train/.partial-*/scratch/metrics.jsonl"))
    return len(found[0].read_text().splitlines()) if found else 0


def test_ctrl_c_is_130_and_leaves_a_checkpoint(tmp_path):
    folder = write_folder(tmp_path / "photos", labels=4, each=40)
    home = tmp_path / "home"
    command = [*ENTRY, "build", str(folder), *WANTED, "--set", "training.epochs=500", "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not _epochs_done(home) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in words
    assert "interrupted" in words
    assert list(home.glob("artifacts/train/.partial-*/scratch/*.json"))
    assert not (home / "builds" / "photos.json").exists()


def test_a_partial_artifact_is_never_read(tmp_path):
    """Half an artifact under every stage's address, as a kill could leave it, changes nothing."""
    folder = write_folder(tmp_path / "photos")
    home = tmp_path / "home"
    run_cli("build", folder, *WANTED, "--home", home, check=0)
    report = report_of(home)
    record = json.loads((home / "builds" / "photos.json").read_bytes())
    for name, reference in record["stages"].items():
        finished = home / "artifacts" / name / reference["digest"]
        partial = finished.with_name(f".partial-{reference['digest']}")
        (partial / "scratch").mkdir(parents=True)
        finished.rename(partial / "out")
        for path in (partial / "out").rglob("*"):
            if path.is_file():
                path.chmod(0o644)
                path.write_bytes(path.read_bytes()[:-1] + b"?")
        (partial / "scratch" / "block-000000.npy").write_bytes(b"\x93NUMPY")
        (partial / "scratch" / "checkpoint.json").write_text("{")
    run_cli("build", folder, *WANTED, "--home", home, check=0)
    assert report_of(home) == report
