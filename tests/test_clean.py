"""clean: what nothing refers to is freed, what something needs never; refused wherever that is not known."""

from __future__ import annotations

import hashlib
import json
import os
import shutil

import pytest
from conftest import run_cli
from sealing import seal
from test_home import write, writer

from simsearch.errors import ArtifactError
from simsearch.home import Home
from simsearch.integrity import cleaning
from simsearch.integrity.cleaning import clean, waste_in_words

STAGES = ("dataset", "train", "embed", "index", "evaluate")
DAY = 86_400.0
BYTES = 1000


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def artifact(home, stage, text, days=2.0, size=BYTES):
    """An artifact of `size` bytes and its manifest, made some days ago."""
    path = home.store.path(stage, digest(text))
    path.mkdir(parents=True)
    (path / "manifest.json").write_text("{}")
    (path / "data").write_bytes(b"x" * (size - 2))
    then = path.stat().st_mtime - days * DAY
    os.utime(path, (then, then))
    return path


def build(home, name, *, shared=(), **more):
    """A build with an artifact a stage, those of `shared` as another build has them."""
    names = {stage: "shared" if stage in shared else name for stage in STAGES}
    stages = {stage: {"digest": digest(stage + text), "content": "c"} for stage, text in names.items()}
    write(home, name, "2026-01-01T10:00:00+00:00", stages=stages, **more)
    (home.builds / name).mkdir()
    (home.builds / name / "report.json").write_text("{}")
    for stage, text in names.items():
        if not home.store.path(stage, digest(stage + text)).exists():
            artifact(home, stage, stage + text)


@pytest.fixture
def two(tmp_path):
    """A home of two builds that share their data set, and two artifacts that nothing names."""
    home = Home(tmp_path / "home")
    build(home, "a", shared=["dataset"])
    build(home, "b", shared=["dataset"])
    artifact(home, "train", "lost")
    artifact(home, "embed", "fresh", days=0.9)
    return home


def there(home):
    """Every file but locks, which are never deleted."""
    files = (path.relative_to(home.path) for path in home.path.rglob("*") if path.is_file())
    return {str(path) for path in files if not path.name.startswith(".lock") and ".locks" not in path.parts}


def test_what_nothing_names_is_freed_after_a_day(two):
    before = there(two)
    found = clean(two, dry=True)
    assert there(two) == before
    done = clean(two)
    assert done.to_json() == {**found.to_json(), "dry_run": False}
    assert done.to_json() == {
        "home": str(two.path), "dry_run": False, "builds": [], "freed": {"train": {"count": 1, "bytes": BYTES}},
        "temporary": {"count": 0, "bytes": 0}, "kept": {"count": 1, "bytes": BYTES}, "bytes": BYTES,
    }  # fmt: skip
    lost = f"artifacts/train/{digest('lost')}"
    assert there(two) == {path for path in before if not path.startswith(lost)}
    assert not clean(two).bytes


def test_a_build_goes_with_what_only_it_needs(two):
    done = clean(two, "a")
    assert {stage: amount.count for stage, amount in done.freed.items()} == {
        "train": 2, "embed": 1, "index": 1, "evaluate": 1,
    }  # fmt: skip
    assert two.build_names() == ["b"]
    assert not (two.builds / "a").exists()
    record = two.build("b").record
    assert all(two.store.path(stage, which["digest"]).is_dir() for stage, which in record.stages.items())


def test_the_builds_of_its_seeds_go_with_it_and_no_others(two):
    build(two, "a.seed-2", listed=False)
    build(two, "a.seed-3")  # somebody gave it that name
    build(two, "a.seed-x", listed=False)
    build(two, "aXseed-4", listed=False)
    assert clean(two, "a").builds == ("a", "a.seed-2")
    assert two.build_names() == ["a.seed-3", "a.seed-x", "b"]


def test_pins_synced_builds_and_nights_keep_what_they_name(two):
    pinned, measured, night = (artifact(two, "dataset", text) for text in ("pinned", "measured", "night"))
    record = json.loads((two.builds / "a.json").read_text())
    counts = dict.fromkeys(("added", "changed", "moved", "deleted"), 0)
    record |= {"pins": [digest("pinned")], "synced": {"when": record["when"], **counts}}
    record["built"] = {stage: record["stages"][stage] for stage in ("embed", "index")}
    record["built"]["dataset"] = {"digest": digest("measured"), "content": "c"}
    seal(two.builds / "a.json", record)
    kept = two.path / "bench" / "1f" / "night-3" / "artifacts" / "evaluate" / digest("kept")
    kept.mkdir(parents=True)
    (kept / "manifest.json").write_text(json.dumps({"inputs": {"dataset": {"digest": digest("night")}}}))
    assert {stage: amount.count for stage, amount in clean(two).freed.items()} == {"train": 1}
    assert all(path.is_dir() for path in (pinned, measured, night, kept))
    shutil.rmtree(kept)
    assert {stage: amount.count for stage, amount in clean(two).freed.items()} == {"dataset": 1}
    assert not night.exists()


def test_what_dead_writers_left_goes_and_foreign_files_stay(two):
    left = [two.builds / ".a.json.77.tmp", two.builds / "a" / ".report.json.77.tmp"]
    left += [two.store.root / "embed" / ".partial-old-x-1" / "f", two.datasets / ".digits-x" / "f"]
    left += [two.datasets / ".unpacked" / ".new-x" / "f"]
    work = [two.store.root / "embed" / f".partial-{digest('work')}" / "out" / "f"]
    foreign = [two.store.root / "train" / "notes" / "f", two.store.root / "f", two.path / "mine" / ("0" * 64) / "f"]
    for path in (*left, *work, *foreign):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    assert clean(two).temporary == cleaning.Amount(5, 25)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (*work, *foreign))


def test_killed_on_the_way_it_is_finished_by_the_same_command(two, monkeypatch):
    class Killed(BaseException):
        """As SIGKILL, between two steps."""

    real, calls = os.rename, []

    def rename(*arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise Killed
        real(*arguments)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(Killed):
        clean(two, "a")
    monkeypatch.undo()
    assert two.build_names() == ["b"]
    for path in two.store.finished():
        assert {inside.name for inside in path.iterdir()} == {"manifest.json", "data"}, "whole, or not there"
    clean(two)
    assert not list(two.store.root.glob("*/.partial-*"))
    assert len(list(two.store.finished())) == len(STAGES) + 1


def refused(two, *arguments, words):
    before = there(two)
    done = run_cli("clean", *arguments, "--home", two.path, check=2)
    assert done.stderr.count("error: ") == 1
    assert not done.stdout
    for word in (*words, "nothing was deleted"):
        assert word in done.stderr
    assert there(two) == before


def test_refused_beside_a_writer_or_a_reader(two):
    with writer(two, "sync b"):
        refused(two, words=["in use by sync b (process"])
        assert json.loads(run_cli("clean", "--dry-run", "--json", "--home", two.path, check=0).stdout)["bytes"] == BYTES
    with two.reading():
        refused(two, "a", words=["in use by another process"])
    assert run_cli("clean", "a", "--home", two.path, check=0).stdout.splitlines()[0] == "build a"


def test_refused_where_what_is_needed_is_not_known(two):
    (two.builds / "c.json").write_text('{"schema": 1')
    refused(two, words=["c.json is damaged"])
    refused(two, "a", words=["c.json is damaged"])
    refused(two, "c", words=["c.json is damaged"])


@pytest.mark.parametrize(("name", "words"), [("aa", ["no build 'aa'", "builds here"]), ("../a", ["no build '../a'"])])
def test_refused_for_a_name_that_is_none(two, name, words):
    refused(two, name, words=words)


def test_refused_for_a_home_that_is_none(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "none"):
        refused(Home(place), words=["is no home"])
    assert [path.name for path in tmp_path.rglob("*")] == ["notes.txt"]


def test_show_says_how_large_builds_are(two):
    found = json.loads(run_cli("show", "--json", "--home", two.path, check=0).stdout)
    assert [one["bytes"] for one in found["builds"]] == [5 * BYTES, 5 * BYTES]
    assert found["bytes"] == 11 * BYTES, "what is shared counts once"


def test_a_home_that_is_mostly_waste_is_said_so(two, monkeypatch):
    monkeypatch.setattr(cleaning, "LEAST_WASTE", 3 * BYTES)
    assert waste_in_words(two) is None
    artifact(two, "index", "large", size=8 * BYTES)
    assert waste_in_words(two) is None, "9 of 19 are less than half"
    artifact(two, "index", "larger", size=2 * BYTES)
    assert "belong to no build" in waste_in_words(two)
    (two.builds / "c.json").write_text("{")
    assert waste_in_words(two) is None
    with pytest.raises(ArtifactError):
        clean(two)
