"""What is written durably: the order of steps, and nothing left over where one fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simsearch.durable import make_folder, replaced, write_durably
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
