"""What a sync does not take for granted: that the same size and time is the same file, that what is gone is deleted."""

from __future__ import annotations

import json
import os
import sqlite3

import numpy as np
import pytest
from conftest import picture, run_cli
from synced import moved_copy, state_of, sync

from simsearch import hashing
from simsearch.changes.compare import Changes
from simsearch.changes.look import check_deleted
from simsearch.changes.state import State
from simsearch.home import Home


@pytest.fixture
def ours(built, tmp_path):
    return moved_copy(built, tmp_path)


@pytest.fixture
def edited(ours, monkeypatch):
    """(folder, home): an image was edited in place after its hash was remembered; size and mtime are as before."""
    folder, home = ours
    monkeypatch.setattr(hashing, "RACY_NS", -(10**15))
    path = folder / "class 0" / "04.png"
    other = folder / "class 1" / "04.png"
    picture(8, 80).save(other)
    size = max(path.stat().st_size, other.stat().st_size)
    for one in (path, other):
        with one.open("ab") as file:  # bytes after the end change no pixel
            file.write(bytes(size - one.stat().st_size))
        os.utime(one, ns=(10**18, 10**18))
    sync(home)
    assert not sync(home).changes.count
    inode = path.stat().st_ino
    with path.open("r+b") as file:
        file.write(other.read_bytes())
    os.utime(path, ns=(10**18, 10**18))
    status = path.stat()
    assert (status.st_size, status.st_mtime_ns, status.st_ino) == (size, 10**18, inode)
    return folder, home


def test_an_edit_that_keeps_size_and_time_is_noticed(edited):
    folder, home = edited
    assert sync(home, dry=True).lists["changed"] == ["class 0/04.png"]
    done = run_cli("sync", folder, "--home", home, check=0)
    assert "1 changed" in done.stderr


def believe(home, path):
    """A file system that keeps no ctime: the memory of before is made to fit the edited file."""
    with sqlite3.connect(home / "datasets" / ".hashes.sqlite") as database:
        values = (path.stat().st_ctime_ns, os.fsencode(path))
        assert database.execute("UPDATE files SET ctime_ns = ? WHERE path = ?", values).rowcount == 1
    database.close()


def test_verify_reads_the_bytes_of_pictures(edited):
    folder, home = edited
    believe(home, folder / "class 0" / "04.png")
    done = run_cli("index", "verify", "--json", "--home", home, check=1)
    no = [check for check in map(json.loads, done.stdout.splitlines()) if not check["ok"]]
    assert [check["check"] for check in no] == ["pictures"]
    assert no[0]["detail"] == "of 30 pictures 1 is not what the build was made from: class 0/04.png"
    assert "simsearch sync --build photos --rehash" in done.stderr
    assert "--repair" not in done.stderr, "features cannot mend a picture"
    assert "1 changed" in run_cli("sync", "--build", "photos", "--home", home, check=0).stderr, "what was read is known"
    run_cli("index", "verify", "--home", home, check=0)


def test_rehash_reads_what_the_memory_holds_wrongly(edited):
    folder, home = edited
    believe(home, folder / "class 0" / "04.png")
    assert not sync(home).changes.count
    done = run_cli("sync", folder, "--rehash", "--home", home, check=0)
    assert "1 changed" in done.stderr
    assert not sync(home).changes.count, "what was read is what is remembered now"


def test_a_folder_that_is_empty_for_a_moment_deletes_nothing(ours, tmp_path):
    folder, home = ours
    before = state_of(home)
    for name in sorted(path.name for path in folder.iterdir() if path.is_dir())[:2]:
        (folder / name).rename(tmp_path / name)
        (folder / name).mkdir()
    done = run_cli("sync", folder, "--home", home, check=2)
    assert "20 of the 30 images of build photos are gone" in done.stderr
    assert "class 0 (10 of 10), class 1 (10 of 10); nothing was deleted" in done.stderr
    again = f"simsearch sync {folder} --build photos --allow-deletes --home {home}"
    assert done.stderr.splitlines()[-1].endswith(f"were deleted on purpose: {again}"), "FOLDER, build and home too"
    bare = run_cli("sync", "--build", "photos", "--home", home, check=2).stderr.splitlines()[-1]
    assert bare.endswith(f": simsearch sync --build photos --allow-deletes --home {home}")
    assert state_of(home) == before
    run_cli("sync", folder, "--dry-run", "--allow-deletes", "--home", home, check=0)
    run_cli("sync", folder, "--dry-run", "--all", "--home", home, check=1)
    done = run_cli("sync", folder, "--dry-run", "--home", home, check=1)
    assert len(done.stdout.splitlines()) == 20
    assert "Without --allow-deletes, sync stops here: 20 of the 30" in done.stderr
    for name in ("class 0", "class 1"):
        (folder / name).rmdir()
        (tmp_path / name).rename(folder / name)
    assert not sync(home).changes.count


@pytest.mark.parametrize(("gone", "of", "stops"), [(4, 5, False), (5, 6, True), (5, 25, False), (6, 25, True)])
def test_from_five_images_and_above_a_fifth_it_stops(ours, gone, of, stops):
    names = [f"class {number % 3}/{number}.png" for number in range(of)]
    state = State(names, ["a"] * of, [""] * of, np.empty(0, dtype=np.int64), {})
    said = check_deleted(Changes(deleted=names[:gone], same=of - gone), state, "/photos", Home(ours[1]).build("photos"))
    assert (said is not None) == stops
    if said:
        assert said.startswith(f"{gone} of the {of} images of build photos are gone from '/photos': class 0 (2 of ")


def test_a_fifth_is_believed_and_more_is_not(ours, tmp_path):
    """6 of 30 are deleted as asked; 7 are not, and moves are no deletions."""
    folder, home = ours
    (folder / "class 0").rename(folder / "renamed")
    images = sorted((folder / "renamed").glob("*.png"))
    for path in images[:7]:
        path.rename(tmp_path / path.name)
    run_cli("sync", folder, "--dry-run", "--home", home, check=1)
    run_cli("sync", folder, "--home", home, check=2)
    (tmp_path / images[0].name).rename(images[0])
    assert sync(home).counts["deleted"] == 6
    assert not sync(home).changes.count
    for path in (folder / "class 1").glob("*.png"):
        path.unlink()
    assert sync(home, allow_deletes=True).counts["deleted"] == 10
