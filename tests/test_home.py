"""The home: build names, which build is the newest, and the lock."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from simsearch.artifacts import LOCKS
from simsearch.console import Shown
from simsearch.errors import ArtifactError, RecipeError
from simsearch.home import Home
from simsearch.home.build import SYNCED
from simsearch.locks import working_seconds
from simsearch.names import checked_name


def write(home, name, when, **more):
    home.builds.mkdir(parents=True, exist_ok=True)
    stages = {stage: {"digest": "d", "content": "c"} for stage in ("dataset", "train", "embed", "index", "evaluate")}
    record = {"schema": 1, "when": when, "stages": stages, "source": "x", "root": None, "recipe": {}, "images": 1,
              "labelled": True, "search": {"nprobe": None, "efSearch": None}, **more}  # fmt: skip
    (home.builds / f"{name}.json").write_text(json.dumps(record))


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "x" * 64])
def test_legal_names(name):
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "A", ".a", "-a", "a/b", "../a", "a b", "a.json", "x" * 65, "ä", "a\n"])
def test_illegal_names(name):
    with pytest.raises(RecipeError):
        checked_name(name)


def test_the_newest_is_by_time_and_not_by_name_or_text(tmp_path):
    home = Home(tmp_path)
    write(home, "a", "2026-01-01T10:00:00+00:00")
    write(home, "b", "2026-01-01T10:30:00+02:00")  # 08:30 in UTC
    write(home, "c", "2027-01-01T00:00:00+00:00", listed=False)
    assert home.build().name == "a"
    assert home.build_names() == ["a", "b", "c"]
    assert home.build("c").name == "c"


@pytest.mark.parametrize(
    "damage",
    [
        {"when": "2026-01-01T10:00:00"},
        {"when": 3},
        {"images": "many"},
        {"root": 5},
        {"stages": {}},
        {"search": {}},
        {"schema": 2},
        {"recipe": []},
    ],
)
def test_a_build_file_that_is_none_of_ours(tmp_path, damage):
    home = Home(tmp_path)
    write(home, "a", **{"when": "2026-01-01T10:00:00+00:00", **damage})
    with pytest.raises(ArtifactError, match=r"a\.json"):
        home.build()


@pytest.mark.parametrize("reference", [{"digest": "../../x"}, {"digest": "/x"}, {"content": "a/b"}, {"digest": 3}])
@pytest.mark.parametrize("key", ["stages", "built"])
def test_a_digest_is_no_path(tmp_path, key, reference):
    """It is a name below `artifacts`: with a "/" in it the file would lead out of the home."""
    home = Home(tmp_path)
    sound = {stage: {"digest": "d", "content": "c"} for stage in (*SYNCED, "train", "evaluate")}
    write(home, "a", "2026-01-01T10:00:00+00:00", **{key: sound})
    assert home.build().name == "a"
    write(home, "a", "2026-01-01T10:00:00+00:00", **{key: {**sound, "embed": {**sound["embed"], **reference}}})
    with pytest.raises(ArtifactError, match=r"a\.json"):
        home.build()


@pytest.mark.parametrize("damage", [{"changed": "1"}, {"deleted": None}, {"when": 3}])
def test_what_syncs_did_is_counted(tmp_path, damage):
    home = Home(tmp_path)
    built = {stage: {"digest": "d", "content": "c"} for stage in SYNCED}
    synced = {"when": "2026-01-02T10:00:00+00:00", **dict.fromkeys(("added", "changed", "moved", "deleted"), 1)}
    write(home, "a", "2026-01-01T10:00:00+00:00", built=built, synced=synced)
    assert home.build().record.synced == synced
    for broken in ({"synced": {**synced, **damage}, "built": built}, {"synced": synced}):
        write(home, "a", "2026-01-01T10:00:00+00:00", **broken)
        with pytest.raises(ArtifactError, match=r"a\.json"):
            home.build()


@pytest.mark.parametrize(
    ("weights", "given"),
    [("none", "--set embedder.weights=none "), ("default", ""), ("/a b/w.pth", "--set 'embedder.weights=/a b/w.pth' ")],
)  # fmt: skip
def test_the_command_that_trains_again_starts_from_the_same_file_of_weights(tmp_path, weights, given):
    home = Home(tmp_path)
    recipe = {"embedder": {"backbone": "torchvision:resnet18", "weights": weights}}
    write(home, "photos", "2026-01-01T00:00:00+00:00", recipe=recipe, source="folder:/photos")
    command = home.build("photos").retrain()
    network = "--set embedder.backbone=torchvision:resnet18 "
    assert command == f"simsearch build /photos {network}{given}--name photos --retrain --home {tmp_path}"


def test_folders_and_nesting_among_the_builds(tmp_path):
    home = Home(tmp_path)
    write(home, "a", "2026-01-01T10:00:00+00:00")
    (home.builds / "b.json").mkdir()
    assert home.build_names() == ["a"]
    (home.builds / "c.json").write_text("[" * 100_000)
    with pytest.raises(ArtifactError):
        home.build("c")


def test_only_unlisted_builds_is_none(tmp_path):
    home = Home(tmp_path)
    write(home, "c", "2027-01-01T00:00:00+00:00", listed=False)
    with pytest.raises(ArtifactError) as caught:
        home.build()
    assert caught.value.hint.startswith("simsearch build FOLDER/ makes one"), "without FOLDER it would build digits"
    with pytest.raises(ArtifactError) as caught:
        Home(tmp_path / "empty").build("d")
    assert caught.value.hint.startswith("simsearch build FOLDER/ makes one")


def test_locate(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMSEARCH_HOME", raising=False)
    assert Home.locate(None).path == tmp_path / "data"
    monkeypatch.setenv("SIMSEARCH_HOME", "elsewhere")
    assert Home.locate(None).path == tmp_path / "elsewhere"
    assert Home.locate("given").path == tmp_path / "given"
    assert not list(tmp_path.iterdir()), "nothing is created before something is written"


WRITER = """
import sys; from pathlib import Path; from simsearch.home import Home
home = Home(Path(sys.argv[1]))
with home.writing(sys.argv[2]), home.making("train", "d1"):
    print("held", flush=True); sys.stdin.read()
"""


@contextmanager
def writer(home, who):
    """Another process that writes, and makes the artifact train/d1."""
    command = [sys.executable, "-c", WRITER, str(home.path), who]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def taken(home, who):
    """A thread that wants to write, and the event that says that it does."""
    entered = threading.Event()

    def write():
        with Home(home.path).writing(who, Shown()):
            entered.set()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread, entered


def test_the_lock_is_free_as_soon_as_its_holder_is_killed(tmp_path, capfd):
    home = Home(tmp_path)
    with writer(home, "build x"):
        pass
    with home.writing("build x"), home.making("train", "d1"):
        assert (tmp_path / ".lock").exists()
    assert not capfd.readouterr().err, "a note that a dead process left is not a lock"


def test_a_build_is_written_by_one_and_others_beside_it(tmp_path, capfd):
    home = Home(tmp_path)
    with writer(home, "sync photos.seed-3") as process:
        with home.writing("build other"):
            assert not capfd.readouterr().err
        thread, entered = taken(home, "build photos")
        assert not entered.wait(0.3), "a build and its seeds are one"
        process.stdin.close()
        assert entered.wait(20)
        thread.join()
    said = capfd.readouterr().err
    assert said.startswith("Waiting for sync photos.seed-3 (process ")
    assert str(process.pid) in said


def test_who_waits_says_so_at_every_sign_of_life_and_for_whom_now(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("simsearch.console.HEARTBEAT_SECONDS", 0.1)
    home, said = Home(tmp_path), ""

    def heard(words):
        nonlocal said
        end = time.monotonic() + 20
        while words not in said and time.monotonic() < end:
            time.sleep(0.05)
            said += capfd.readouterr().err
        assert words in said

    def write():
        progress = Shown()
        with progress.stage("Build", line=False), Home(tmp_path).writing("build photos", progress):
            entered.set()
            done.wait(20)

    entered, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=write, daemon=True)
    with home.writing("build photos"):
        (note,) = tmp_path.glob(f"{LOCKS}/photos")
        thread.start()
        heard(f"Waiting for build photos (process {os.getpid()}, since ")
        heard("), 0 s so far")
        # Another one that waited has it now, and the first is gone.
        note.write_text(json.dumps({"who": "sync photos", "pid": 424242, "since": "noon"}))
        heard("Waiting for sync photos (process 424242, since noon) (to end it: kill 424242), ")
        assert "at work" not in said
    assert entered.wait(20)
    heard("Build: at work, ")
    done.set()
    thread.join()


def test_waiting_is_not_working(tmp_path):
    home = Home(tmp_path)
    with writer(home, "build x") as process:
        threading.Timer(0.5, process.stdin.close).start()
        wall, working = time.perf_counter(), working_seconds()
        with home.writing("build x"):
            assert working_seconds() - working < time.perf_counter() - wall - 0.3


def test_nothing_is_removed_beside_a_writer(tmp_path, capfd):
    home = Home(tmp_path)
    aside, artifact = home.store.root / "train" / ".partial-old-d2-1", home.store.path("train", "d1")
    artifact.mkdir(parents=True)
    with writer(home, "build x"):
        aside.mkdir()
        with home.writing("build y", Shown()):
            with home.alone() as free:
                assert not free
            with pytest.raises(ArtifactError, match=r"build x \(process"):
                home.set_aside("train", "d1")
            assert "Left for later" in capfd.readouterr().err
            assert aside.is_dir()
            assert artifact.is_dir()
    with home.writing("build y"):
        assert not aside.exists()
        home.set_aside("train", "d1")
        assert not artifact.exists()
        with pytest.raises(BlockingIOError), (tmp_path / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is still held, though no longer alone
    with home.alone() as free:
        assert free


def test_a_reader_holds_off_removal_and_leaves_no_trace(tmp_path):
    with Home(tmp_path / "none").reading():
        assert not (tmp_path / "none").exists()
    home = Home(tmp_path)
    with home.writing("build x"):
        pass
    before = sorted(tmp_path.rglob("*"))
    with home.reading(), Home(tmp_path).alone() as free:
        assert not free
    assert sorted(tmp_path.rglob("*")) == before


def test_what_builds_name_is_named(tmp_path):
    home = Home(tmp_path)
    write(home, "a", "2026-01-01T10:00:00+00:00", pins=["p"])
    assert home.named() == {"d", "p"}
    (home.builds / "b.json").write_text("{")
    with pytest.raises(ArtifactError):
        home.named()
