"""SIGKILL at every kind of moment of a sync: the build is the old one or the new one, and the next sync finishes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import picture
from synced import moved_copy, record, sync

import simsearch

pytestmark = pytest.mark.slow

KILLED = Path(__file__).with_name("killed.py")


def names(home, folder):
    """What a query sees: all images, in no order."""
    searcher = simsearch.open("photos", home=str(home))
    return {(hit.image, hit.label) for hit in searcher.search([folder / "class 2" / "05.png"], k=1000)[0]}


def change(folder, *, much: bool):
    picture(7, 70).save(folder / "class 1" / "new.png")
    picture(8, 80).save(folder / "class 0" / "04.png")
    (folder / "class 0" / "02.png").rename(folder / "class 2" / "moved.png")
    for number in range(5, 9 if much else 6):
        (folder / "class 0" / f"0{number}.png").unlink()


def on_disk(folder):
    return {(str(p.relative_to(folder)), p.parent.name) for p in folder.rglob("*.png")}


def killed_at(moment, home) -> None:
    done = subprocess.run(
        [sys.executable, KILLED, str(moment), "sync", "--home", home], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(("moment", "much"), [
    (4, False), (10, False), (18, False), (24, False), (32, False), (39, False), (45, False), (47, False),
    (18, True), (26, True), (44, True),
])  # fmt: skip
def test_killed_at_a_moment(built, tmp_path, moment, much):
    folder, home = moved_copy(built, tmp_path)
    before, old = record(home), on_disk(folder)
    change(folder, much=much)
    new = on_disk(folder)
    killed_at(moment, home)
    after = names(home, folder)
    assert after == (old if record(home) == before else new), "never something of both"
    done = sync(home)
    assert names(home, folder) == new
    assert done.compacted == (much and after == old)
    assert not list(home.glob("artifacts/*/.partial-*")), "nothing half-done stays"
    assert not sync(home).changes.count


def test_what_was_finished_before_the_kill_is_used(built, tmp_path):
    folder, home = moved_copy(built, tmp_path)
    change(folder, much=False)
    before = record(home)
    killed_at("builds/photos.json", home)
    assert record(home) == before
    finished = {p: p.stat().st_mtime_ns for p in home.glob("artifacts/*/[0-9a-f]*/manifest.json") if _of_sync(p)}
    assert {p.parent.parent.name for p in finished} == {"dataset", "embed", "index"}
    sync(home)
    again = {p: p.stat().st_mtime_ns for p in home.glob("artifacts/*/[0-9a-f]*/manifest.json") if _of_sync(p)}
    assert again == finished


def _of_sync(manifest: Path) -> bool:
    return '"synced"' in manifest.read_text()
