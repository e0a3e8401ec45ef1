"""HDF5 files that another process writes to, and file systems without locks: named as such, never as damage."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from commands import run_process
from conftest import artifact_file, run_cli

from simsearch.errors import LockedError
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.formats import open_vectors

HOLD = """
import sys, h5py
file = h5py.File(sys.argv[1], "r+", libver=sys.argv[2])
if sys.argv[2] == "latest":
    file.swmr_mode = True
print("held", flush=True)
sys.stdin.read()
"""
# flock as a file system without locks answers it (NFS without lockd, some FUSE).
NO_LOCKS = "#include <errno.h>\nint flock(int fd, int op) { errno = ENOLCK; return -1; }\n"


@contextmanager
def held(path, libver="earliest"):
    """Another process has the file open for writing, until it is killed."""
    command = [sys.executable, "-c", HOLD, str(path), libver]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def vectors(tmp_path):
    """An ann-benchmarks file of 40 vectors."""
    rows = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["train"], file["features"] = rows, rows
    return tmp_path / "x.hdf5"


def test_a_file_that_another_process_writes_to_is_named_as_held(vectors, tmp_path):
    with held(vectors):
        for opened in (open_vectors, FeatureFile):
            with pytest.raises(LockedError) as caught:
                opened(vectors)
            assert caught.value.message == f"cannot read {vectors}: another process holds it open for writing"
            assert caught.value.hint.startswith("close it there, or wait")
        done = run_cli("index", "import", vectors, "--name", "mine", "--home", tmp_path / "home", check=2)
        assert f"{vectors}: another process holds it open for writing" in done.stderr
        assert "damaged" not in done.stderr
    run_cli("index", "import", vectors, "--name", "mine", "--home", tmp_path / "home", check=0)


def test_a_mark_that_a_writer_left_behind_is_named_with_what_takes_it_away(vectors):
    with h5py.File(vectors, "w", libver="latest") as file:
        file["train"] = np.ones((4, 2), np.float32)
    with held(vectors, libver="latest"):
        pass
    with pytest.raises(LockedError, match="marked as open for writing") as caught:
        open_vectors(vectors)
    assert f"h5clear -s {vectors}" in caught.value.hint


def test_verify_offers_no_repair_for_features_that_are_held(copy_of_built):
    home = copy_of_built[1]
    features = artifact_file(home, "embed", "features.h5")
    features.chmod(0o644)
    with held(features):
        for options in ([], ["--repair"]):
            done = run_cli("index", "verify", *options, "--home", home, check=2)
            assert f"{features} cannot be judged: another process holds it open for writing" in done.stderr
            assert "--repair" not in done.stderr.replace("index verify --repair", "")
            assert "damaged" not in done.stderr
    run_cli("index", "verify", "--home", home, check=1)  # the process died so, and its mark stayed


def test_features_that_are_locked_and_as_they_were(copy_of_built):
    home = copy_of_built[1]
    features = artifact_file(home, "embed", "features.h5")
    with features.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = run_cli("index", "verify", "--home", home, check=2)
        assert f"cannot read {features}: another process holds it open for writing" in done.stderr
    run_cli("index", "verify", "--home", home, check=0)


def test_our_own_lock_names_the_file_where_there_are_no_locks(photos, home, monkeypatch):
    def no_locks(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (home / "artifacts").mkdir(parents=True)
    monkeypatch.setattr(fcntl, "flock", no_locks)
    for command in (["build", photos], ["clean"]):
        done = run_cli(*command, "--home", home, check=2)
        assert done.stderr.splitlines()[-2:] == [
            "error: there are no locks, which keep two commands from writing at once, on the file system of "
            f"{home / '.lock'}",
            "hint: give a --home on a disk that has locks, or mount this one with them",
        ]


@pytest.fixture(scope="module")
def without_locks(tmp_path_factory):
    """The environment of a process whose files cannot be locked, in HDF5 as in Python."""
    if not sys.platform.startswith("linux") or (compiler := shutil.which("cc")) is None:
        pytest.skip("needs Linux and a C compiler")
    place = tmp_path_factory.mktemp("shim")
    (place / "flock.c").write_text(NO_LOCKS)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", place / "flock.so", place / "flock.c"], check=True)
    return {"LD_PRELOAD": str(place / "flock.so")}


def test_what_only_reads_needs_no_locks(built, vectors, without_locks):
    folder, home = built
    lines = run_process("index", "verify", "--home", home, env=without_locks, check=0).stdout.splitlines()
    assert all(line.startswith("ok") for line in lines)
    run_process("query", folder / "class 0" / "01.png", "--home", home, env=without_locks, check=0)
    done = run_process("index", "import", vectors, "--name", "mine", "--home", home, env=without_locks, check=2)
    assert "there are no locks" in done.stderr
    assert f"file system of {home}" in done.stderr
