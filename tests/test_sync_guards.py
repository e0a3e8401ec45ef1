"""What a sync does not take for granted: that a file whose size and time stayed is the same file."""

from __future__ import annotations

import os
import sqlite3

import pytest
from conftest import picture, run_cli
from synced import moved_copy, sync

from simsearch import hashing


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


def test_rehash_reads_what_the_memory_holds_wrongly(edited):
    """A file system that keeps no ctime: the memory of before is made to fit the edited file."""
    folder, home = edited
    path = folder / "class 0" / "04.png"
    with sqlite3.connect(home / "datasets" / ".hashes.sqlite") as database:
        values = (path.stat().st_ctime_ns, os.fsencode(path))
        assert database.execute("UPDATE files SET ctime_ns = ? WHERE path = ?", values).rowcount == 1
    database.close()
    assert not sync(home).changes.count
    done = run_cli("sync", folder, "--rehash", "--home", home, check=0)
    assert "1 changed" in done.stderr
    assert not sync(home).changes.count, "what was read is what is remembered now"
