"""`simsearch compare photos next --gate`: yes or no by the gate's rules; labels and queries that moved; pictures."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from conftest import SMALL, artifact_file, run_cli, write_folder
from PIL import Image
from remade import remade
from sealing import seal
from synced import record

from simsearch.images.records import RecordTable
from simsearch.report.compare import ONE_TRAINING

ERROR, HIT = "recipe/index/error@10", "recipe/index/hit@1"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with the build `photos` of three labels and 36 queries; tests must not change it."""
    root = tmp_path_factory.mktemp("gate")
    folder = write_folder(root / "photos", each=60)
    run_cli("build", folder, *SMALL, "--home", root / "home", check=0)
    return root / "home"


@pytest.fixture
def home(made, tmp_path):
    """A copy of it, to be changed."""
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


def values(home):
    """What `photos` stored of its queries, and (image, label) of each."""
    with np.load(artifact_file(home, "evaluate", "queries.npz"), allow_pickle=False) as file:
        found = dict(file)
    table = RecordTable(artifact_file(home, "dataset", "images.csv").parent)
    return found, [(table[int(row)].image, table[int(row)].label) for row in found["rows"]]


def with_values(home, name, changes, base=None):
    """A build that differs from `photos` in the values of its queries alone."""
    data = io.BytesIO()
    np.savez(data, **{**(base or values(home)[0]), **changes})
    remade(home, name, {"queries.npz": data.getvalue()})


def gate(home, *builds, check, more=()):
    return run_cli("compare", *builds, "--gate", *more, "--home", home, check=check)


def test_no_where_a_figure_is_surely_worse_and_yes_the_other_way_round(home):
    stored, queries = values(home)
    right = {**stored, HIT: np.ones_like(stored[HIT])}
    wrong = right[HIT].copy()
    wrong[[i for i, (_, label) in enumerate(queries) if label == "class 1"]] = 0
    with_values(home, "good", {}, right)
    with_values(home, "bad", {HIT: wrong}, right)
    no = gate(home, "good", "bad", check=1)
    lines = no.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "bad in the place of good, over 36 queries that both have"
    assert [line.split()[:2] for line in lines if line.startswith("WORSE")] == [["WORSE", "recall@1"]]
    assert "recall@1 1.000 -> 0.667, fell .333 [" in no.stdout
    (recall,) = [one for one in json.loads(gate(home, "good", "bad", check=1, more=["--json"]).stdout)["findings"]
                 if one["metric"] == "recall"]  # fmt: skip
    assert recall["interval"] == pytest.approx([-0.333 - 1.96 * 0.0786, -0.333 + 1.96 * 0.0786], abs=0.03)
    assert recall["p_value"] == pytest.approx(2 / 2**12, abs=0.001), "all of 12 differences go one way"
    assert recall["p_holm"] == pytest.approx(5 * recall["p_value"])
    assert "  class 1 1.000 -> 0.000 [-1.000, -1.000], 12 queries" in lines
    assert any(line.startswith("12 queries were right and are wrong: class 1/") for line in lines)
    assert "0 queries were wrong and are right" in lines
    assert "no: bad is worse in recall@1, surely (p < 0.01) and by what matters" in lines
    yes = gate(home, "bad", "good", check=0)
    assert [line.split()[:2] for line in yes.stdout.splitlines() if line.startswith("better")] == [
        ["better", "recall@1"]
    ]
    assert "12 queries were wrong and are right: class 1/" in yes.stdout
    assert "\nyes: no figure is worse" in yes.stdout
    assert f"Next: simsearch switch bad good --home {home}" in yes.stderr
    assert "Next" not in no.stderr


def test_a_sure_loss_that_does_not_matter_passes(home):
    stored = values(home)[0]
    with_values(home, "next", {ERROR: stored[ERROR] + 0.001})
    found = json.loads(gate(home, "photos", "next", check=0, more=["--json"]).stdout)
    (error,) = [one for one in found["findings"] if (one["metric"], one["scope"]) == ("cross_boundary_error", "all")]
    assert error["difference"] == pytest.approx(0.001)
    assert error["p_holm"] < 0.01
    assert not error["worse"]


def test_the_same_build_is_no_worse_and_nothing_is_drawn(home, tmp_path):
    out = tmp_path / "sides.png"
    done = gate(home, "photos", "photos", check=0, more=["--json", "--montage", out])
    found = json.loads(done.stdout)
    assert (found["before"], found["after"], found["pass"]) == ("photos", "photos", True)
    assert (found["shared"], found["left_out"], found["lost"], found["gained"]) == (36, [0, 0], [], [])
    assert {one["difference"] for one in found["findings"]} == {0.0}
    assert {one["metric"] for one in found["findings"]} == {"recall", "map_at_r", "cross_boundary_error", "ann_recall"}
    assert [(one["label"], one["n"]) for one in found["labels"]] == [(f"class {i}", 12) for i in range(3)]
    assert found["notes"] == [ONE_TRAINING]
    assert "No query changes sides: nothing was drawn" in done.stderr
    assert not out.exists()
    words = " ".join(gate(home, "photos", "photos", check=0).stdout.split())
    assert "; a loss of up to 0.083 in recall@1 is not ruled out by so few queries" in words, "3 of 36"


def test_what_changes_sides_is_drawn_two_lines_a_query(home, tmp_path):
    stored, queries = values(home)
    right = {**stored, HIT: np.ones_like(stored[HIT])}
    with_values(home, "good", {}, right)
    with_values(home, "next", {HIT: np.where(np.arange(36) < 2, 0.0, right[HIT])}, right)
    out = tmp_path / "sides.png"
    done = gate(home, "good", "next", check=0, more=["--montage", out, "--json"])
    assert [one["image"] for one in json.loads(done.stdout)["lost"]] == [image for image, _ in queries[:2]]
    with Image.open(out) as drawn:
        assert drawn.size == (2 * 20 + 7 * 156, 2 * 20 + 4 * 196 - 12)
    wrong = gate(home, "good", "next", check=2, more=["--montage", tmp_path / "sides.txt"])
    assert not wrong.stdout
    assert "unknown suffix '.txt'" in wrong.stderr


def changed_images(home, change):
    lines = artifact_file(home, "dataset", "images.csv").read_bytes().splitlines(keepends=True)
    lines = [lines[0], *(change(number, line) for number, line in enumerate(lines[1:]))]
    offsets = io.BytesIO()
    np.save(offsets, np.cumsum([len(line) for line in lines], dtype=np.int64))
    return {"images.csv": b"".join(lines), "images.offsets.npy": offsets.getvalue()}


CHANGES = {
    "name": (lambda n, line: line.replace(b",class ", b",klass ", 1) if n == 3 else line, "1 only in photos ("),
    "content": (lambda n, line: line[:-4] + b"xx\r\n" if n < 2 else line, "2 with other content ("),
    "label": (lambda n, line: line.replace(b",class 1,", b",class 7,") if n < 200 else line,
              "60 with another label (class 1/00.png, class 1/01.png, class 1/02.png and 57 more)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGES)
def test_builds_of_different_corpora_are_refused(home, kind):
    change, words = CHANGES[kind]
    remade(home, "next", changed_images(home, change), stage="dataset")
    error, hint = gate(home, "photos", "next", check=2).stderr.splitlines()
    assert error.startswith("error: photos and next are of different corpora: ")
    assert words in error
    assert hint.startswith("hint: simsearch sync ")
    assert hint.endswith(f" --all --home {home} brings both in step with it")
    remade(home, "next", changed_images(home, change), stage="dataset", source="folder:/others")
    hint = gate(home, "photos", "next", check=2).stderr.splitlines()[1]
    assert "folder:/others" in hint


def test_no_query_in_common(home):
    def other_queries(number, line):
        row, image, label, fit, val, gallery, query, sha256 = line.decode().split(",")
        return ",".join((row, image, label, fit, val, gallery, str(1 - int(query)), sha256)).encode()

    stored = values(home)[0]
    remade(home, "next", changed_images(home, other_queries), stage="dataset")
    others = sorted(set(range(180)) - set(stored["rows"].tolist()))[:36]
    data = io.BytesIO()
    np.savez(data, **{**stored, "rows": np.array(others)})
    dataset = record(home, "next")["stages"]["dataset"]
    remade(home, "next", {"queries.npz": data.getvalue()})
    whole = record(home, "next")
    seal(home / "builds" / "next.json", {**whole, "stages": {**whole["stages"], "dataset": dataset}})
    error, hint = gate(home, "photos", "next", check=2).stderr.splitlines()
    assert error == "error: photos and next have no labelled query at a k in common"
    assert hint.startswith("hint: a query is the same when ")


def test_a_provisional_build_and_one_without_labels(home):
    whole = record(home)
    seal(home / "builds" / "next.json", {**whole, "provisional": True, "command": "simsearch build photos"})
    assert "error: build next is provisional" in gate(home, "photos", "next", check=2).stderr
    seal(home / "builds" / "next.json", {**whole, "labelled": False})
    assert "error: build next has no labels" in gate(home, "photos", "next", check=2).stderr


@pytest.mark.parametrize(("words", "said"), [
    (["photos", "photos", "photos", "--gate"], "--gate takes two builds"),
    (["photos", "photos", "--montage", "x.png"], "--montage draws what changes sides with --gate"),
    (["photos", "phots", "--gate"], "no build 'phots'"),
])  # fmt: skip
def test_wrong_use(built, words, said):
    done = run_cli("compare", *words, "--home", built[1], check=2)
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert said in done.stderr
    assert not done.stdout
