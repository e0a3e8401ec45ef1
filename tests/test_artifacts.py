"""Artifacts: whole or absent, checked before they are read, never mixed."""

from __future__ import annotations

import json

import pytest

from simsearch.artifacts import Store, canonical_json, content_of, digest_of
from simsearch.checked import Checked
from simsearch.durable import write_durably
from simsearch.errors import ArtifactError


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts", Checked(None))


MANIFEST = {"facts": {"n": 1}, "inputs": {}, "seconds": 0.0, "versions": {}, "device": "cpu"}


def commit(store, digest="d1", text="hello"):
    space = store.workspace("train", digest)
    (space.out / "a.txt").write_text(text)
    (space.out / "deep").mkdir()
    (space.out / "deep" / "b.bin").write_bytes(b"\0" * 10)
    return store.commit("train", digest, space, MANIFEST)


def test_committed_is_found_and_read_only(store):
    made = commit(store)
    found = store.find("train", "d1")
    assert found is not None
    assert found.manifest == made.manifest
    assert found.facts == {"n": 1}
    assert found.file("deep/b.bin").read_bytes() == b"\0" * 10
    assert (found.path / "a.txt").stat().st_mode & 0o222 == 0
    assert not list(store.root.glob("*/.partial-*"))
    with pytest.raises(ArtifactError):
        found.file("other")


def test_content_depends_on_files_alone(store):
    first, second = commit(store, "d1"), commit(store, "d2")
    assert first.content == second.content
    assert commit(store, "d3", "other").content != first.content


@pytest.mark.parametrize(
    "damage", ["flip", "cut", "gone", "manifest", "facts", "deep", "manifest-cut", "no-manifest", "renamed"]
)
def test_damage_is_found_before_reading(store, damage):
    made = commit(store)
    path = made.path / "a.txt"
    manifest = made.path / "manifest.json"
    for file in (path, manifest):
        file.chmod(0o644)
    if damage == "flip":
        path.write_text("hellp")
    elif damage == "cut":
        path.write_text("hell")
    elif damage == "gone":
        path.unlink()
    elif damage == "manifest":
        value = json.loads(manifest.read_text())
        value["files"]["a.txt"]["sha256"] = "0" * 64
        manifest.write_text(json.dumps(value))
    elif damage == "facts":
        manifest.write_text(manifest.read_text().replace('"n": 1', '"n": 2'))
    elif damage == "deep":
        manifest.write_text("[" * 100_000)
    elif damage == "manifest-cut":
        manifest.write_text(manifest.read_text()[:50])
    elif damage == "no-manifest":
        manifest.unlink()
    else:
        made.path.rename(made.path.with_name("d9"))
    with pytest.raises(ArtifactError) as seen:
        store.find("train", "d9" if damage == "renamed" else "d1")
    assert str(made.path.parent) in seen.value.message
    assert seen.value.hint


def test_another_content_than_recorded_is_refused(store):
    made = commit(store)
    assert store.open("train", "d1", made.content)
    with pytest.raises(ArtifactError):
        store.open("train", "d1", "0" * 64)


def test_partial_work_is_not_an_artifact_and_scratch_survives(store):
    space = store.workspace("train", "d1")
    (space.out / "half").write_text("x")
    (space.scratch / "checkpoint").write_text("y")
    assert store.find("train", "d1") is None
    again = store.workspace("train", "d1")
    assert not list(again.out.iterdir())
    assert (again.scratch / "checkpoint").read_text() == "y"


def test_scratch_of_inputs_with_other_bits_is_dropped(store):
    """A digest names settings and not bits: blocks of another embedder must not be resumed from."""
    space = store.workspace("embed", "d1", {"train": {"digest": "a", "content": "x"}})
    (space.scratch / "block").write_text("features of x")
    again = store.workspace("embed", "d1", {"train": {"digest": "a", "content": "x"}})
    assert (again.scratch / "block").exists()
    other = store.workspace("embed", "d1", {"train": {"digest": "a", "content": "y"}})
    assert not (other.scratch / "block").exists()


def test_a_stale_artifact_is_replaced_whole(store):
    commit(store, text="old")
    store.set_aside("train", "d1")
    made = commit(store, text="new")
    assert store.open("train", "d1", made.content).file("a.txt").read_text() == "new"
    assert not list(store.root.glob("*/.partial-*"))


def test_clean_up_keeps_fresh_work(store):
    space = store.workspace("train", "d1")
    (store.root / "train" / ".partial-old-d2-1").mkdir()
    store.clean_up()
    assert space.out.is_dir()
    assert not (store.root / "train" / ".partial-old-d2-1").exists()


def test_clean_up_takes_what_a_kill_left_of_a_finished_commit(store):
    commit(store)
    left = store.workspace("train", "d1")
    store.clean_up()
    assert left.scratch.is_dir(), "it is being made anew"
    left.out.rmdir()
    store.clean_up()
    assert not left.scratch.exists()


def test_canonical_json_and_digest():
    assert canonical_json({"b": [1, 0.5, "é"], "a": None}) == b'{"a":null,"b":[1,0.5,"\\u00e9"]}'
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))
    assert content_of({"a": (1, "x")}) == content_of({"a": (2, "x")})


def test_write_durably_replaces_whole(tmp_path):
    path = tmp_path / "deep" / "x.json"
    write_durably(path, b"one")
    write_durably(path, b"two")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]
