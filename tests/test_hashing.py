"""simsearch/hashing.py: what is remembered, what is not, and that a bad memory never matters."""

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from simsearch import hashing
from simsearch.checked import Checked
from simsearch.hashing import HashMemory, sha256_file


def old_file(path, data=b"picture"):
    path.write_bytes(data)
    os.utime(path, ns=(10**18, 10**18))
    return path


@pytest.fixture(autouse=True)
def _nothing_is_young(request, monkeypatch):
    """Every file of a test was changed just now, and its ctime cannot be set back."""
    if "young" not in request.node.name:
        monkeypatch.setattr(hashing, "RACY_NS", -(10**15))


@pytest.fixture
def counted(monkeypatch):
    calls = []
    real = hashing._hash

    def spy(path):
        calls.append(path)
        return real(path)

    monkeypatch.setattr(hashing, "_hash", spy)
    return calls


def test_sha256_file_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"ab" * 1_000_000)
    assert sha256_file(path) == hashlib.sha256(b"ab" * 1_000_000).hexdigest()


def test_fifo_does_not_block_and_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        sha256_file(tmp_path / "pipe")
    with pytest.raises(OSError), HashMemory(tmp_path / "m") as memory:  # noqa: PT011
        memory.sha256(tmp_path / "missing")


def test_remembers_across_openings(tmp_path, counted):
    path = old_file(tmp_path / "x.png")
    for _ in range(3):
        with HashMemory(tmp_path / "memory") as memory:
            assert memory.sha256(path) == hashlib.sha256(b"picture").hexdigest()
    assert len(counted) == 1


def test_any_change_of_the_stamp_hashes_again(tmp_path, counted):
    path = old_file(tmp_path / "x.png")
    with HashMemory(tmp_path / "memory") as memory:
        memory.sha256(path)
        old_file(path, b"PICTURE")
        os.utime(path, ns=(10**18 + 1, 10**18 + 1))
        assert memory.sha256(path) == hashlib.sha256(b"PICTURE").hexdigest()
        replacement = old_file(tmp_path / "new", b"another")  # same size and time, other inode
        os.utime(replacement, ns=(10**18 + 1, 10**18 + 1))
        replacement.rename(path)
        assert memory.sha256(path) == hashlib.sha256(b"another").hexdigest()
    assert len(counted) == 3


def test_an_edit_that_keeps_size_and_mtime_is_noticed(tmp_path, counted):
    """As exiftool -P -overwrite_original_in_place, cp -p over a file, and an edit through a hard link do it."""
    path, other = old_file(tmp_path / "x.png"), old_file(tmp_path / "y.png", b"PICTURE")
    link = tmp_path / "link.png"
    os.link(path, link)
    with HashMemory(tmp_path / "memory") as memory:
        memory.many([path, link, path])
        before = len(counted)
        memory.many([path, link])
        assert len(counted) == before
    inode = path.stat().st_ino
    subprocess.run(["cp", "-p", other, link], check=True)
    assert (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) == (inode, 7, 10**18)
    with HashMemory(tmp_path / "memory") as memory:
        assert [digest for _, digest in memory.many([path, link])] == [hashlib.sha256(b"PICTURE").hexdigest()] * 2
    with path.open("r+b") as file:
        file.write(b"pixture")
    os.utime(path, ns=(10**18, 10**18))
    with HashMemory(tmp_path / "memory") as memory:
        assert memory.sha256(path) == hashlib.sha256(b"pixture").hexdigest()


FIELDS = ("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_of_the_stamp_alone_tells_a_change(tmp_path, counted, monkeypatch, field):
    """ctime changes with all of them here, but not on every file system; both ways of recalling look."""
    paths = [str(old_file(tmp_path / name)) for name in ("x.png", "y.png")]
    with HashMemory(tmp_path / "memory") as memory:
        memory.many(paths)
        assert memory.many(paths)
        assert len(counted) == 2
    plain = os.stat

    def changed(name, **options):
        status = plain(name, **options)
        seen = SimpleNamespace(**{key: getattr(status, key) for key in (*FIELDS, "st_mode")})
        setattr(seen, field, getattr(seen, field) + (str(name) == paths[0]))
        return seen

    for most in 1000, 1:
        monkeypatch.setattr(hashing, "MANY", most)
        counted.clear()
        with HashMemory(tmp_path / "memory") as memory, monkeypatch.context() as patched:
            patched.setattr(os, "stat", changed)
            memory.many(paths)
        assert counted == paths[:1]


@pytest.mark.parametrize("reading", [HashMemory, Checked])
def test_a_file_that_changed_while_it_was_read_is_not_remembered(tmp_path, monkeypatch, reading):
    path, read = old_file(tmp_path / "x.png", b"picture"), os.read

    def torn(descriptor, size):
        piece = read(descriptor, size)
        if piece:
            path.write_bytes(b"PICTURE")
        return piece

    memory = reading(tmp_path / "memory")
    with monkeypatch.context() as patched:
        patched.setattr(os, "read", torn)
        assert memory.sha256(path) == hashlib.sha256(b"picture").hexdigest()
    assert memory.sha256(path) == hashlib.sha256(b"PICTURE").hexdigest()


def test_a_young_ctime_is_not_remembered(tmp_path, counted):
    path = old_file(tmp_path / "x.png")
    with HashMemory(tmp_path / "memory") as memory:
        memory.sha256(path)
        memory.sha256(path)
    assert len(counted) == 2


def test_a_memory_without_ctime_is_made_anew(tmp_path, counted):
    """A hash that was remembered by size and mtime alone is not trusted."""
    place, path = tmp_path / "memory", old_file(tmp_path / "x.png")
    status = path.stat()
    with sqlite3.connect(place) as database:
        database.execute(
            "CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, sha256 BLOB)"
        )
        row = (os.fsencode(path), status.st_size, status.st_mtime_ns, status.st_ino, b"\0" * 32)
        database.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?)", row)
    database.close()
    for _ in range(2):
        with HashMemory(place) as memory:
            assert memory.sha256(path) == hashlib.sha256(b"picture").hexdigest()
    assert len(counted) == 1


def test_young_files_are_not_remembered(tmp_path, counted):
    path = tmp_path / "x.png"
    path.write_bytes(b"a")
    with HashMemory(tmp_path / "memory") as memory:
        memory.sha256(path)
        memory.sha256(path)
    assert len(counted) == 2


def test_many_keeps_order_and_reports_errors(tmp_path):
    names = [str(old_file(tmp_path / f"{n}.png", bytes([n]))) for n in range(20)]
    names.insert(7, str(tmp_path / "missing"))
    with HashMemory(tmp_path / "memory") as memory:
        first = memory.many(names)
        again = memory.many(names)
    assert isinstance(first[7], OSError)
    assert isinstance(again[7], OSError)
    wanted = [(1, hashlib.sha256(bytes([n])).hexdigest()) for n in range(20)]
    assert first[:7] + first[8:] == wanted == again[:7] + again[8:]


@pytest.mark.parametrize(
    "content", [b"", b"no database at all, not at all" * 100, b"SQLite format 3\0" + b"\xff" * 4000]
)
def test_a_damaged_memory_is_made_anew(tmp_path, content, counted):
    place = tmp_path / "memory"
    place.write_bytes(content)
    path = old_file(tmp_path / "x.png")
    for _ in range(2):
        with HashMemory(place) as memory:
            assert memory.sha256(path) == hashlib.sha256(b"picture").hexdigest()
    assert len(counted) == 1


def test_a_memory_of_another_shape_is_made_anew(tmp_path):
    place = tmp_path / "memory"
    database = sqlite3.connect(place)
    database.execute("CREATE TABLE files (name TEXT)")
    database.close()
    with HashMemory(place) as memory:
        assert memory.sha256(old_file(tmp_path / "x")) == hashlib.sha256(b"picture").hexdigest()


@pytest.mark.parametrize("place", ["folder", "file/below", None])
def test_a_memory_that_cannot_be_written_is_done_without(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with HashMemory(None if place is None else tmp_path / place) as memory:
        assert memory.sha256(old_file(tmp_path / "x")) == hashlib.sha256(b"picture").hexdigest()
    assert (tmp_path / "folder").is_dir()
    assert (tmp_path / "file").read_bytes() == b""


def test_names_that_are_not_utf8(tmp_path, counted):
    name = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    with open(name, "wb") as file:
        file.write(b"x")
    os.utime(name, ns=(10**18, 10**18))
    for _ in range(2):
        with HashMemory(tmp_path / "memory") as memory:
            assert memory.sha256(os.fsdecode(name)) == hashlib.sha256(b"x").hexdigest()
    assert len(counted) == 1


def test_threads_share_a_memory(tmp_path):
    paths = [old_file(tmp_path / f"{n}", bytes([n])) for n in range(30)]
    with HashMemory(tmp_path / "memory") as memory:
        threads = [threading.Thread(target=lambda: [memory.sha256(path) for path in paths]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert memory.sha256(paths[3]) == hashlib.sha256(b"\3").hexdigest()


def test_many_files_are_recalled_at_once(tmp_path, counted, monkeypatch):
    """Read in one go, with the same answers: also for names beyond the range, changed files and a foreign row."""
    monkeypatch.setattr(hashing, "MANY", 2)
    names = ["a.png", "b.png", "é.png", os.fsdecode(b"\xff.png")]
    paths = [old_file(tmp_path / name, name.encode("utf-8", "surrogateescape")) for name in names]
    with HashMemory(tmp_path / "memory") as memory:
        first = memory.many(paths)
    assert len(counted) == 4
    with sqlite3.connect(tmp_path / "memory") as database:
        database.execute("INSERT INTO files VALUES (?, 1, 1, 1, 1, 'no digest')", (os.fsencode(tmp_path / "b0.png"),))
    os.utime(paths[1], ns=(10**18 + 1, 10**18 + 1))
    with HashMemory(tmp_path / "memory") as memory:
        asked = []
        real = memory._remembered
        memory._remembered = lambda *span: asked.append(span) or real(*span)
        assert memory.many(paths) == first
        assert len(asked) == 1, "no file was asked for by itself"
    assert counted[4:] == [str(paths[1])]


def test_several_programs_write_to_one_memory(tmp_path):
    """What each learnt is remembered, and none is told that the file is locked."""
    program = """
import sys; from pathlib import Path; from simsearch import hashing; from simsearch.hashing import HashMemory
hashing.RACY_NS = -(10**15)
place, mine = Path(sys.argv[1]), sys.argv[2]
for number in range(20):
    with HashMemory(place / "memory.sqlite") as memory:
        memory.sha256(place / f"{mine}-{number}")
"""
    for mine in range(4):
        for number in range(20):
            path = tmp_path / f"{mine}-{number}"
            path.write_bytes(b"x")
            os.utime(path, (1e9, 1e9))
    commands = [[sys.executable, "-c", program, str(tmp_path), str(mine)] for mine in range(4)]
    programs = [subprocess.Popen(command, stderr=subprocess.PIPE) for command in commands]
    assert [program.communicate(timeout=60)[1] for program in programs] == [b""] * 4
    with sqlite3.connect(tmp_path / "memory.sqlite") as database:
        assert database.execute("SELECT count(*) FROM files").fetchone() == (80,)
    database.close()
