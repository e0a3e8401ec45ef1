"""The home that commit 9ad3b34 made still stands: up to date, answers and pages alike, verifies, syncs.

Nothing here looks inside simsearch: it is asked through the command line, `import simsearch`, and the files of a home.
old_home/make.py made the home; old_home/regenerate.py writes what is expected, when a change was meant.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from conftest import picture, run_cli, snapshot
from old_home.asking import (
    ASKED,
    BUILDS,
    CHOSEN,
    COMMANDS,
    EVALUATE_IS_MADE_ANEW,
    MADE_OF_EVALUATE,
    ask,
    golden,
    night,
    others,
    page,
    per_query,
    publish,
    record,
    report,
    standing,
    told,
    unpack,
)
from old_home.words import differ, words_differ
from PIL import Image

import simsearch

REPAIRED = ("split", "vectors")  # by `index verify --repair`; the others by their own command
# What a repair does not know: the command, and how long a picture takes, as it reads none.
UNKNOWN = (
    "To make it again:", "simsearch build", "the command, the recipe", "the recipe, versions",
    "A picture takes", "N s", "from its file to its neighbours",
)  # fmt: skip


def same(expected, found):
    """Equal but for rounding; pages are compared as sets."""
    assert not (lines := differ(expected, found)), "\n".join(lines[:40])


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """(place, manifests before, what each build said): everything was built again, with pages drawn anew."""
    place = unpack(tmp_path_factory.mktemp("old"))
    before = snapshot(place / "home")
    return place, before, publish(place)


@pytest.fixture
def fresh(tmp_path):
    """The old home as it was made, to be changed."""
    return unpack(tmp_path)


def test_every_build_is_up_to_date(old):
    place, before, words = old
    after = snapshot(place / "home")
    # An index that is chosen by measuring was chosen by rows that it held: it is chosen anew, and nothing is trained.
    new = {
        path
        for path in after.keys() ^ before.keys()
        if path.split("/")[1] not in MADE_OF_EVALUATE
        and json.loads({**before, **after}[path])["settings"].get("target_recall") is None
    }
    assert not new
    assert all(after[path] == text for path, text in before.items() if path in after)
    if not EVALUATE_IS_MADE_ANEW:
        assert after == before
        assert all("is up to date" in words[build] for build in BUILDS), words


@pytest.mark.parametrize("name", sorted(ASKED.keys() - {"pages"}))
def test_answers_are_those_of_the_old_code(old, name):
    same(golden(name), standing(ASKED[name](old[0]), name))


@pytest.mark.parametrize("build", [build for build in BUILDS if build != CHOSEN])
def test_pages_say_the_same(old, build):
    assert words_differ(golden("pages")[build], page(old[0], build)) == []


def test_builds_of_other_settings_have_the_old_digests(fresh):
    same(golden("others"), standing(others(fresh), "others"))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The old home whose evaluate artifacts were lost and made anew from the stored features."""
    place = unpack(tmp_path_factory.mktemp("evaluated"))
    shutil.rmtree(place / "home" / "artifacts" / "evaluate")
    for build in BUILDS:
        if build in REPAIRED:
            told(place, "index", "verify", build, "--repair")
        else:
            told(place, *COMMANDS[build])
    return place


@pytest.mark.parametrize("build", BUILDS)
def test_evaluate_made_anew_says_the_same(evaluated, build):
    today = {"summary": None}  # is in the words of today, which the page tells as well
    same(golden("reports")[build]["json"] | today, report(evaluated, build)["json"] | today)
    same(golden("queries")[build], per_query(evaluated, build))
    beside = json.loads((evaluated / "home" / "builds" / build / "report.json").read_bytes())
    assert beside == json.loads(told(evaluated, "evaluate", build, "--json"))
    if build == CHOSEN:
        return
    if build == "vectors":
        told(evaluated, *COMMANDS[build])  # which says the nprobe that a repair leaves to FAISS
    unknown = UNKNOWN if build == "split" else ()
    wanted = [piece for piece in golden("pages")[build] if not piece.startswith(unknown)]
    assert words_differ(wanted, [piece for piece in page(evaluated, build) if not piece.startswith(unknown)]) == []


def test_python_gives_the_same_hits(old):
    place, _, _ = old
    line = golden("answers")["photos/ash/28.png photos/fir/00.png --build triplet -k 5"]["lines"][1]
    (hits,) = simsearch.open("triplet", home=str(place / "home")).search([str(place / "photos/fir/00.png")], k=5)
    found = [{**hit.to_json(), "path": hit.path.replace(str(place), "PLACE")} for hit in hits]
    same(line["hits"], found)


def test_a_montage_is_drawn(old, tmp_path):
    told(old[0], "query", "photos/ash/00.png", "--build", "softmax", "-k", "3", "--montage", str(tmp_path / "m.png"))
    with Image.open(tmp_path / "m.png") as drawn:
        assert drawn.size == (664, 224)


def synced(place, build, *words):
    return json.loads(told(place, "sync", "--build", build, *words, "--json"))


@pytest.mark.parametrize("build", ["softmax", "triplet", "unseen", "split", "head"])
def test_sync_finds_nothing_to_do(old, build):
    before = snapshot(old[0] / "home")
    code, _, err = ask(old[0], "sync", "--build", build)
    assert (code, "is up to date" in err) == (0, True), err
    assert snapshot(old[0] / "home") == before


@pytest.mark.parametrize(("build", "folder"), [("softmax", "photos"), ("triplet", "photos"), ("split", "split/train")])
def test_sync_takes_in_what_changed(fresh, build, folder):
    labels = sorted(path for path in (fresh / folder).iterdir() if path.is_dir())
    picture(7, 1).save(labels[0] / "added.png")
    (labels[1] / "5.png" if build == "split" else labels[1] / "05.png").unlink()
    picture(8, 2).save(labels[2] / ("6.png" if build == "split" else "06.png"))
    before = json.loads(told(fresh, "evaluate", build, "--json"))
    # One of photos/ is broken since before it was built.
    counts = {"added": 1, "changed": 1, "deleted": 1, "moved": 0, "set_aside": int(folder == "photos")}
    dry = synced(fresh, build, "--dry-run")
    assert {key: dry[key] for key in counts} == counts
    done = synced(fresh, build)
    assert {key: done[key] for key in counts} == counts
    line = json.loads(told(fresh, "query", str(labels[0] / "added.png"), "--build", build, "-k", "1", "--json"))
    assert line["hits"][0]["image"].endswith("added.png")
    assert line["hits"][0]["score"] == pytest.approx(1, abs=1e-5)
    assert json.loads(told(fresh, "evaluate", build, "--json")) == before
    assert all(json.loads(line)["ok"] for line in told(fresh, "index", "verify", build, "--json").splitlines())
    assert "synced" in record(fresh, build)
    assert "is up to date" in ask(fresh, *COMMANDS[build])[2]


def test_vectors_of_a_build_are_exported(old, tmp_path):
    told(old[0], "export", "vectors", "--format", "npy", "--out", str(tmp_path / "out"))
    parts = [np.load(path) for path in sorted((old[0] / "vectors" / "img_emb").glob("*.npy"))]
    rows = np.concatenate(parts)
    (found,) = (tmp_path / "out").rglob("*.npy")
    np.testing.assert_allclose(np.load(found), rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-6)


def test_a_night_is_held_against_the_old_accepted_one(fresh):
    expected, found = golden("night"), night(fresh)
    assert not set(expected["trend"]) - set(found["trend"]), "what the trend page said before, it still says"
    same({**expected, "trend": 0}, {**found, "trend": 0})
    done = run_cli("bench", "accept", "--reason", "as before", "--home", "home", "--json", cwd=fresh, check=0)
    assert json.loads(done.stdout)["accepted"] == 2
