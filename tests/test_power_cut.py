"""What a command acknowledged is there after a power cut: the disk as it is at exit 0, mounted somewhere else.

A loop device over an image file is the disk: what the file system has not written yet is not in the file. Mounting a
copy of it replays the journal, as after the cut. Needs root, loop devices and mkfs.ext4.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from contextlib import contextmanager

import pytest
from commands import run_process
from old_home.make import ARCHIVE
from test_bench_history import NIGHT, RESULT, VERDICT

from simsearch.bench.history.history import History

pytestmark = pytest.mark.slow
TIMES = 20


class Disk:
    """An ext4 file system in an image file, mounted at `path`."""

    def __init__(self, folder):
        self.image, self.path = folder / "disk.img", folder / "disk"

    @contextmanager
    def cut(self):
        """Where the disk as it is at this moment is mounted, all that was in memory lost."""
        copy, place = self.image.with_suffix(".cut"), self.path.with_name("cut")
        shutil.copyfile(self.image, copy)
        place.mkdir(exist_ok=True)
        with mounted(copy, place):
            yield place


@contextmanager
def mounted(image, place):
    subprocess.run(["mount", "-o", "loop", image, place], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path):
    """A disk to be cut from its power."""
    made = Disk(tmp_path)
    made.path.mkdir()
    made.image.touch()
    try:
        with made.image.open("r+b") as file:
            file.truncate(16 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", made.image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", made.image, made.path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no ext4 file system can be made and mounted here: {error} {getattr(error, 'stderr', '')}")
    try:
        yield made
    finally:
        subprocess.run(["umount", made.path], check=True, capture_output=True)


def test_an_accepted_night_is_there(disk):
    history = disk.path / "history.sqlite"
    with tarfile.open(ARCHIVE) as archive:
        history.write_bytes(archive.extractfile("home/bench/history.sqlite").read())
    subprocess.run(["sync", "-f", history], check=True)
    there = 0
    for number in range(TIMES):
        reason = f"number {number}"
        words = ("accept", "--reason", reason, "--history", history, "--home", disk.path / "home")
        run_process("bench", *words, check=0)
        with disk.cut() as place, History(place / "history.sqlite", create=False) as found:
            there += found.accepts()[-1][2] == reason
    assert there == TIMES


def test_each_write_of_a_new_history_is_there(disk):
    path = disk.path / "new" / "folders" / "history.sqlite"

    def survived():
        with disk.cut() as place, History(place / path.relative_to(disk.path), create=False) as found:
            night = found.nights()[0]
            return bool(night.number), len(found.cell_names(1)), night.verdict, len(found.accepts())

    with History(path) as history:
        history.begin(NIGHT)
        assert survived() == (True, 0, None, 0)
        history.record(1, RESULT)
        assert survived() == (True, 1, None, 0)
        history.end(1, NIGHT.started, VERDICT)
        assert survived() == (True, 1, "regression", 0)
        history.accept(1, NIGHT.started, "why")
        assert survived() == (True, 1, "regression", 1)
