"""A build that older rules of reading files made: left as it is, told what would differ, made anew when that is asked.

The home is that of tests/old_home, whose builds know no other rules than the first.
"""

from __future__ import annotations

import json
import shutil

import pytest
from conftest import picture, snapshot
from old_home.asking import MADE_OF_EVALUATE, ask, record, told, unpack

from simsearch.images.formats import formats
from simsearch.images.formats.decoding import FIRST, PRESENT
from simsearch.images.formats.decoding import told as rules_told

DIFFERS = "was made by rules 1 of reading files; by rules 2, "


@pytest.fixture
def place(tmp_path):
    return unpack(tmp_path)


def facts(place, build):
    reference = record(place, build)["stages"]["dataset"]
    manifest = place / "home" / "artifacts" / "dataset" / reference["digest"] / "manifest.json"
    return json.loads(manifest.read_bytes())["facts"]


def made(place):
    """The artifacts that take time: of every stage but the index and what is measured of it.

    The old code found no thresholds of verdicts: every build of today adds them.
    """
    left_out = ("index", *MADE_OF_EVALUATE)
    return {path for path in snapshot(place / "home") if path.split("/")[1] not in left_out}


def test_an_old_build_is_left_as_it_is_and_made_anew_when_that_is_asked(place):
    before = made(place)
    picture(1, 70).save(place / "split" / "train" / "cat" / "phone.jfif", "JPEG")
    code, _, said = ask(place, "build", "split.toml")
    assert code == 0, said
    assert f"split {DIFFERS}1 file (jfif 1) more would be read: simsearch build split.toml --retrain" in said
    assert (made(place), rules_told(facts(place, "split"))) == (before, FIRST)
    forecast = json.loads(told(place, "build", "split.toml", "--dry-run", "--json"))
    assert forecast["images"] == facts(place, "split")["images"]
    told(place, "build", "split.toml", "--set", "index.efSearch=9")
    assert made(place) == before, "another index is no reason to embed anew"
    images = record(place, "split")["images"]
    code, _, said = ask(place, "build", "split.toml", "--retrain")
    assert (code, DIFFERS in said) == (0, False), said
    assert rules_told(facts(place, "split")) == PRESENT
    assert record(place, "split")["images"] == images + 1
    assert "is up to date" in ask(place, "build", "split.toml")[2]


def test_machine_folders_and_pictures_that_want_an_extra_are_named(place, monkeypatch):
    for name in ("cat/@eaDir", "dog/@eaDir"):
        (place / "split" / "train" / name).mkdir(parents=True)
        picture(1, 70).save(place / "split" / "train" / name / "00.png")
    (place / "split" / "train" / "cat" / "x.heic").write_bytes(b"")
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    told(place, "sync", "--build", "split")
    said = ask(place, "build", "split.toml")[2]
    assert f"{DIFFERS}1 file (heic 1) more would be read, HEIC with {formats.EXTRA}; 2 files (png 2) fewer" in said
    assert "as machine folders or masks (@eaDir 2)" in said
    said = ask(place, "sync", "--build", "split")[2]
    assert "1 other file ignored (heic 1)" in said
    assert "pictures since rules 2, which simsearch build --retrain goes by: heic" in said


def test_what_may_decode_otherwise_is_told_from_the_first_bytes(place):
    assert DIFFERS not in ask(place, "build", "split.toml")[2], "gray of 8 bits is what it was"
    clear = picture(1, 70)
    clear.putalpha(99)
    clear.save(place / "split" / "train" / "cat" / "clear.png")
    (place / "split" / "train" / "cat" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    told(place, "sync", "--build", "split")
    said = ask(place, "build", "split.toml")[2]
    wanted = "1 file (png 1) with transparency or more than 8 bits may decode otherwise; 1 that was set aside is tried"
    assert f"split {DIFFERS}{wanted} again: simsearch build" in said


def test_a_training_that_is_asked_for_reads_by_the_present_rules(place):
    words = ("build", "softmax.toml", "--set", "training.epochs=1", "--set", "evaluation.baseline=false")
    told(place, *words)
    assert rules_told(facts(place, "softmax")) == PRESENT
    assert rules_told(facts(place, "triplet")) == FIRST


def test_what_changed_is_built_by_the_present_rules(place):
    (place / "split" / "train" / "cat" / "0.png").unlink()
    told(place, "build", "split.toml")
    assert rules_told(facts(place, "split")) == PRESENT


def test_a_synced_old_build_is_told_what_would_differ(place):
    picture(1, 70).save(place / "split" / "train" / "cat" / "new.png")
    picture(1, 71).save(place / "split" / "train" / "cat" / "phone.jfif", "JPEG")
    told(place, "sync", "--build", "split")
    assert rules_told(facts(place, "split")) == FIRST
    before = made(place)
    said = ask(place, "build", "split.toml")[2]
    assert "split is up to date, synced" in said
    assert f"split {DIFFERS}1 file (jfif 1) more would be read" in said
    assert made(place) == before
    told(place, "build", "split.toml", "--retrain")
    assert rules_told(facts(place, "split")) == PRESENT


def test_a_data_set_that_is_lost_is_made_again_by_the_rules_it_was_of(place):
    before = made(place)
    shutil.rmtree(place / "home" / "artifacts" / "dataset" / record(place, "split")["stages"]["dataset"]["digest"])
    assert made(place) < before
    told(place, "build", "split.toml")
    assert made(place) == before
    assert rules_told(facts(place, "split")) == FIRST
