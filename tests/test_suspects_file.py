"""suspects.csv beside the report: what is doubted, what somebody wrote into it, and the way back by sync --labels."""

from __future__ import annotations

import csv
import shutil
from itertools import permutations

import numpy as np
import pytest
from conftest import SMALL, picture, run_cli, write_folder
from synced import moved_copy

import simsearch
from simsearch.report.suspects import suspects

FROZEN = [*SMALL, "--set", "training.epochs=0", "--set", "evaluation.baseline=false", "--set", "dataset.seed=1"]
HEAD = "image,label,says,score,why"


class Features:
    """Rows of features as a FeatureFile gives them."""

    def __init__(self, rows):
        self.rows = np.array(rows, dtype=np.float32)
        self.shape = self.rows.shape

    def read(self, start, end):
        return self.rows[start:end]


def test_lines_against_a_plain_account():
    rng = np.random.default_rng(0)
    file = Features(rng.normal(size=(8, 5)) * rng.uniform(1, 9, (8, 1)))
    images, labels = list("abcdefgh"), ["x", "x", "y", "y", "z", "z", "x", ""]
    report = {
        "label_suspects": [{"row": 2, "label": "y", "majority": "x", "share": 0.8}],
        "duplicates": {
            "copies": {"listed": [{"rows": [0, 4, 1, 7]}]},
            "looks": {"listed": [{"rows": [2, 5]}]},
            "score": {"listed": [{"rows": [0, 4]}]},
        },
        "near_duplicates": {"pairs": [{"row": 5, "other_row": 2, "kind": "hash"}]},
    }
    found = suspects(report, images, labels, file)
    assert [(one.image, one.label, one.says) for one in found] == [
        ("c", "y", "x"), ("a", "x", "z"), ("e", "z", "x"), ("f", "z", "y"),
    ]  # fmt: skip
    assert found[0].why == "none of its nearest has its label; 80% of them say x; looks the same as f (z)"
    assert found[2].why == "is a copy of a (x)"
    unit = file.rows / np.linalg.norm(file.rows, axis=1, keepdims=True)
    for one in found:
        near = max(float(unit[images.index(one.image)] @ unit[row]) for row in range(8) if labels[row] == one.says)
        assert float(one.score) == pytest.approx(near, abs=1e-4)


def test_doubts_over_the_corpus_come_first_and_each_image_has_one_line():
    file = Features(np.eye(4))
    doubt = {"row": 3, "label": "y", "says": "x", "share": 0.914, "own": 0.02}
    report = {
        "label_doubts": {"neighbours": 15, "listed": [doubt, {**doubt, "row": 1, "share": 0.5, "own": 0.0}]},
        "label_suspects": [
            {"row": 0, "label": "x", "majority": "y", "share": 1.0},
            {"row": 3, "label": "y", "majority": "z", "share": 0.9},
        ],
        "duplicates": {"looks": {"listed": [{"rows": [2, 3]}]}},
    }
    found = suspects(report, list("abcd"), ["x", "y", "x", "y"], file)
    assert [(one.image, one.says) for one in found] == [("d", "x"), ("b", "x"), ("a", "y"), ("c", "y")]
    assert found[0].why == "its 15 nearest others vote 91% for x, 2% for y; looks the same as c (x)"


def test_without_doubts_there_is_the_head_alone():
    assert suspects({"label_suspects": None, "near_duplicates": {"pairs": []}}, [], [], Features([[1.0]])) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("doubted")
    folder, home = write_folder(root / "photos", each=20), root / "home"
    for label, other in permutations(range(3), 2):
        picture(label, 40 + other).save(folder / f"class {other}" / f"wrong class {label}.png")
    shutil.copy(folder / "class 2" / "03.png", folder / "class 0" / "copy.png")
    run_cli("build", folder, *FROZEN, "--home", home, check=0)
    return folder, home


@pytest.fixture
def doubted(made, tmp_path):
    """(folder, home, suspects.csv) of a build in which a copy has another label, and images lie in the wrong folder."""
    folder, home = moved_copy(made, tmp_path)
    return folder, home, home / "builds" / "photos" / "suspects.csv"


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def rewrite(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, HEAD.split(","))
        lines.writeheader()
        lines.writerows(rows)


def test_the_file_corrected_and_given_to_sync(doubted):
    folder, home, path = doubted
    assert path.read_text().splitlines()[0] == HEAD
    found = read(path)
    assert found["class 0/copy.png"]["says"] == "class 2"
    assert found["class 0/copy.png"]["why"].endswith("is a copy of class 2/03.png (class 2)")
    assert found["class 2/03.png"]["says"] == "class 0", "which of the two is wrong is for a person to say"
    wrong = {image: row for image, row in found.items() if "wrong" in image}
    assert len(wrong) >= 5, "images among those of another label are doubted, whether or not the report asked with them"
    assert all(row["says"] in image and row["label"] in image for image, row in wrong.items())
    page = path.with_name("report.html").read_text()
    assert "simsearch sync FOLDER --labels suspects.csv" in page
    untouched = run_cli("sync", folder, "--labels", path, "--home", home, check=0)
    assert "is up to date" in untouched.stderr, "as it is written it says what the folders say"
    for image in ["class 0/copy.png", *wrong]:
        found[image]["label"] = found[image]["says"]
    rewrite(path, found.values())
    run_cli("sync", folder, "--home", home, check=0)
    hits = simsearch.open("photos", home=str(home)).search([folder / "class 2" / "05.png"], k=1000)[0]
    now = {hit.image: hit.label for hit in hits}
    assert now["class 0/copy.png"] == "class 2"
    assert {image: now[image] for image in wrong} == {image: wrong[image]["says"] for image in wrong}


@pytest.mark.parametrize("used", [False, True])
def test_a_report_written_again_keeps_what_was_corrected(doubted, used):
    folder, home, path = doubted
    found = read(path)
    found["class 0/copy.png"]["label"] = "class 2"
    rewrite(path, found.values())
    if used:
        run_cli("sync", folder, "--labels", path, "--home", home, check=0)
    shutil.copy(folder / "class 1" / "04.png", folder / "class 2" / "another.png")
    run_cli("build", folder, *FROZEN, "--home", home, "--retrain", check=0)
    again = read(path)
    assert again["class 0/copy.png"] == found["class 0/copy.png"]
    assert "is a copy of class 1/04.png" in again["class 2/another.png"]["why"]


def test_a_file_that_somebody_is_at_is_left_as_it_is(doubted):
    folder, home, path = doubted
    path.write_text("mine\n")
    picture(2, 70).save(folder / "class 2" / "another.png")
    run_cli("build", folder, *FROZEN, "--home", home, check=0)
    assert path.read_text() == "mine\n"
