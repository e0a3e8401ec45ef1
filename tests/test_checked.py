"""Large files: hashed whole at build, sync and verify, and by a query when the last time was too long ago."""

from __future__ import annotations

import json
import os

import pytest
from conftest import run_cli, write_folder

import simsearch
from simsearch import artifacts, checked
from simsearch.checked import Checked
from simsearch.errors import ArtifactError

FROZEN = ("--set", "training.epochs=0", "--set", "evaluation.baseline=false", "--set", "evaluation.map=false",
          "--set", "embedder.backbone=mnist_cnn", "--set", "embedder.weights=none")  # fmt: skip


@pytest.fixture
def every_file_is_large(monkeypatch):
    monkeypatch.setattr(artifacts, "REMEMBER_BYTES", 0)


@pytest.fixture
def reads(monkeypatch):
    """The names of files that were hashed whole."""
    seen = []
    real = checked.sha256_file
    monkeypatch.setattr(checked, "sha256_file", lambda path: (seen.append(path.name), real(path))[1])
    return seen


def flip(path):
    """Flip a bit in the middle of a file and put its times back: what a disk does, but for the change of the inode."""
    status = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def no_ctime(monkeypatch):
    """A disk flips a bit without any time of the file: the change of the inode is left out of the stamp."""
    monkeypatch.setattr(checked, "_stamp", lambda path: [path.stat().st_size, path.stat().st_mtime_ns])


def test_a_file_is_believed_for_some_days_and_in_one_boot_only(tmp_path, reads, no_ctime, monkeypatch):
    path, memory = tmp_path / "x.faiss", tmp_path / "known.json"
    path.write_bytes(bytes(100))
    digest = Checked(memory).sha256(path)
    flip(path)
    assert Checked(memory).sha256(path) == digest, "believed"
    assert len(reads) == 1
    for days in (0.0, None):
        fresh = Checked(memory)
        with fresh.believing(days):
            assert fresh.sha256(path) != digest
    flip(path)
    assert Checked(memory).sha256(path) != digest, "what was hashed last is believed, whatever it is"
    known = json.loads(memory.read_text())
    entry = known[str(path)]
    for changed in ([*entry[:2], entry[2] - 8 * checked.DAY, entry[3]], [*entry[:2], entry[2] + 100, entry[3]],
                    [*entry[:3], "another boot"]):  # fmt: skip
        memory.write_text(json.dumps({str(path): changed}))
        assert Checked(memory).sha256(path) == digest
    monkeypatch.setattr(checked, "BOOT", tmp_path / "no such file")
    assert Checked(memory).sha256(path) == digest


def test_a_file_that_changed_is_read_again(tmp_path):
    path, memory = tmp_path / "x", tmp_path / "known.json"
    path.write_bytes(b"one")
    first = Checked(memory).sha256(path)
    flip(path)
    assert Checked(memory).sha256(path) != first, "its inode changed, though size and time did not"


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"x": 1}', "[" * 100_000, '{"PATH": [[1], "aa", 1.0, "b"]}'])
def test_a_damaged_memory_costs_time_only(tmp_path, damage):
    path, memory = tmp_path / "x", tmp_path / "known.json"
    path.write_bytes(b"one")
    digest = Checked(None).sha256(path)
    memory.write_text(damage.replace("PATH", str(path)))
    assert Checked(memory).sha256(path) == digest
    assert Checked(memory).when(path) is not None
    assert Checked(tmp_path / "none" / "known.json").sha256(path) == digest, "cannot be written"


@pytest.mark.slow
def test_queries_believe_and_everybody_else_reads(tmp_path, every_file_is_large, reads, no_ctime):
    write_folder(tmp_path / "photos", labels=3, each=8)
    home = ("--home", tmp_path / "home")
    run_cli("build", tmp_path / "photos", *FROZEN, *home, check=0)
    picture = next((tmp_path / "photos").rglob("*.png"))
    ask = ("query", picture, "--build", "photos", *home)
    run_cli(*ask, check=0)
    reads.clear()
    run_cli(*ask, check=0)
    assert reads == [], "a query within the days reads nothing whole"
    assert "last hashed whole 20" in run_cli("show", "photos", *home, check=0).stdout
    for command in (("build", tmp_path / "photos", *FROZEN), ("sync", tmp_path / "photos")):
        reads.clear()
        run_cli(*command, *home, check=0)
        assert "index.faiss" in reads, command
    (index,) = (tmp_path / "home" / "artifacts" / "index").glob("*/index.faiss")
    flip(index)
    run_cli(*ask, check=0)
    with pytest.raises(ArtifactError, match="sha256 differs"):
        simsearch.open("photos", home=str(tmp_path / "home"), rehash=True)
    for command in (("build", tmp_path / "photos", *FROZEN), ("index", "verify", "photos"), ask):
        assert "sha256 differs" in "".join(_said(command, home)), command


def _said(command, home):
    done = run_cli(*command, *home)
    assert done.returncode, command
    return done.stdout, done.stderr


@pytest.mark.slow
def test_the_days_are_a_setting_that_trains_nothing(tmp_path, every_file_is_large, reads):
    write_folder(tmp_path / "photos", labels=3, each=8)
    home = ("--home", tmp_path / "home")
    run_cli("build", tmp_path / "photos", *FROZEN, *home, check=0)
    done = run_cli("build", tmp_path / "photos", *FROZEN, "--set", "run.rehash_days=0", *home, check=0)
    assert "Embedded" not in done.stderr
    picture = next((tmp_path / "photos").rglob("*.png"))
    reads.clear()
    run_cli("query", picture, "--build", "photos", *home, check=0)
    assert "index.faiss" in reads
