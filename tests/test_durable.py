"""What is written durably: the order of steps, and nothing left over where one fails."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from pathlib import Path

import pytest

from simsearch.durable import make_folder, replaced, write_durably, writing
from simsearch.errors import ArtifactError, DiskError, disk_error
from simsearch.locks import Lock


@pytest.fixture
def steps(monkeypatch):
    """What was made durable or renamed, by name, in order."""
    told = []

    def fsync(descriptor, real=os.fsync):
        told.append(("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        real(descriptor)

    def replace(old, new, real=os.replace):
        told.append(("replace", Path(new).name))
        real(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return told


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc tells the name of an open file")
def test_folders_that_were_missing_are_made_durable_in_those_above_them(tmp_path, steps):
    make_folder(tmp_path / "a" / "b" / "c")
    assert {name for _, name in steps} == {tmp_path.name, "a", "b"}
    steps.clear()
    make_folder(tmp_path / "a" / "b" / "c")
    assert steps == []
    with Lock(tmp_path / "home" / ".lock"):
        assert steps == [("fsync", tmp_path.name)]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc tells the name of an open file")
def test_a_file_is_durable_before_it_has_its_name_and_its_folder_after(tmp_path, steps):
    write_durably(tmp_path / "file", b"new")
    assert [what for what, _ in steps] == ["fsync", "replace", "fsync"]
    assert steps[0][1].endswith(".tmp")
    assert steps[1:] == [("replace", "file"), ("fsync", tmp_path.name)]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_what_fails_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    write_durably(path, b"old")
    with pytest.raises(RuntimeError), replaced(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "elsewhere"), "no space left on the disk of PLACE: 7 bytes"),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded"),
            "no space left in the disk quota of PLACE: 7 bytes are needed, ",
        ),
        (OSError(errno.EFBIG, "File too large"), "no file may grow as large as is needed: PLACE"),
        (OSError(errno.EROFS, "Read-only file system"), "nothing can be written to the read-only disk of PLACE"),
        (OSError("160000 requested and 65504 written"), "no space left on the disk of PLACE: 7 bytes are needed, "),
        (RuntimeError("write error: 3 != 40 (No space left on device)"), "no space left on the disk of PLACE: 7 bytes"),
        (sqlite3.OperationalError("database or disk is full"), "no space left on the disk of PLACE: 7 bytes"),
    ],
)
def test_a_disk_that_takes_nothing_has_one_wording(tmp_path, error, words):
    wrapped = ArtifactError("what a library's owner made of it")
    wrapped.__cause__ = error
    with pytest.raises(DiskError) as caught, writing(tmp_path / ".x.123.tmp", 7):
        raise wrapped
    assert caught.value.message.startswith(words.replace("PLACE", str(tmp_path / "x")))


def test_other_errors_pass_and_unknown_sizes_are_said_so(tmp_path):
    for error in (OSError(errno.EACCES, "no"), ArtifactError("the disk is full of wonders"), ValueError("and written")):
        with pytest.raises(type(error)) as caught, writing(tmp_path):
            raise error
        assert caught.value is error
    told = disk_error(OSError(errno.ENOSPC, "full", str(tmp_path / "y")))
    assert re.fullmatch(
        r"no space left on the disk of .*/y: more than ([\d,]+) bytes are needed, \1 are free", str(told)
    )


def test_what_is_written_durably_says_its_size(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"old")

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskError, match="x: 3 bytes are needed"):
        write_durably(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]
