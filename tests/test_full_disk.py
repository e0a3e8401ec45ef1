"""A disk that fills up, at many places: one wording, exit 2, no signal, and the same command goes on later.

The disk is a tmpfs of its own, filled up to a number of bytes; it needs root.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager

import pytest
from commands import run_process
from conftest import write_folder
from test_bench_night import MATRIX, RECIPE

pytestmark = pytest.mark.slow
FROZEN = ["--set", "embedder.backbone=mnist_cnn", "--set", "embedder.weights=none", "--set", "training.epochs=0"]
FROZEN += ["--set", "evaluation.baseline=false", "--set", "evaluation.map=false", "--set", "images.size=28"]
FULL = "error: no space left on the disk of "
# 30 images of 9,216 numbers: a block of 1.1 MB, joined into as much again, and then an index of as much.
LEFT = [n << 10 for n in (0, 48, 100, 500, 1300, 1700, 2100, 2300, 2500, 2700, 2900, 3500)]


@pytest.fixture
def disk(tmp_path):
    """A disk of 32 MB in memory, which a test may fill."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", place], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs root and mount")
    yield place
    subprocess.run(["umount", "-l", place], check=True, capture_output=True)


@contextmanager
def filled(disk, left):
    """The disk with `left` bytes left."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        free = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - left))
    try:
        yield
    finally:
        ballast.unlink()


def refused(done):
    assert done.returncode == 2, (done.returncode, done.stderr)
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith(FULL), done.stderr
    assert " bytes are needed, " in errors[0]
    assert lines[-1] == "hint: free some space and run the same command again; what was finished is kept"
    assert "HDF5" not in done.stderr
    assert "factory" not in done.stderr


def test_a_build_at_every_fill_says_the_same_and_goes_on(disk, tmp_path):
    folder = write_folder(tmp_path / "photos", labels=3, each=10)
    refusals = 0
    for left in LEFT:
        home = disk / f"home-{left}"
        command = ["build", folder, *FROZEN, "--home", home]
        with filled(disk, left):
            done = run_process(*command)
            if done.returncode:
                refused(done)
                refusals += 1
        if left in (0, 500 << 10, 2500 << 10):
            run_process(*command, check=0)
            run_process("index", "verify", "photos", "--home", home, check=0)
        subprocess.run(["rm", "-rf", home], check=True)
    assert refusals > len(LEFT) // 2


def test_a_full_disk_still_answers(disk, tmp_path):
    folder = write_folder(tmp_path / "photos")
    home = disk / "home"
    run_process("build", folder, *FROZEN, "--home", home, check=0)
    with filled(disk, 0):
        found = run_process("query", folder / "class 0" / "00.png", "--home", home, check=0)
        assert "class 0" in found.stdout
        assert "photos" in run_process("show", "photos", "--home", home, check=0).stdout
        run_process("index", "verify", "photos", "--home", home, check=0)


@pytest.mark.parametrize("left", [0, 40 << 10, 400 << 10, 1500 << 10])
def test_a_night_goes_on_after_space_is_freed(disk, tmp_path, left):
    folder = write_folder(tmp_path / "photos")
    (tmp_path / "photos.toml").write_text(RECIPE.format(folder=folder))
    (tmp_path / "matrix.toml").write_text(MATRIX)
    command = ["bench", tmp_path / "matrix.toml", "--home", disk / "home"]
    with filled(disk, left):
        refused(first := run_process(*command))
    then = run_process(*command, check=0)
    made = [line for line in first.stderr.splitlines() if line.startswith(("Read", "Trained", "Embedded"))]
    assert not [line for line in made if line.split()[0] in then.stderr], (first.stderr, then.stderr)
    assert "Night 2" not in then.stderr
