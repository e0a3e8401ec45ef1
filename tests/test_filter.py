"""`query --where`, `--label` and `--not-self` through the real command line, and from Python."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from conftest import SMALL, picture, run_cli, write_folder
from PIL import Image

import simsearch
from simsearch.errors import FilterError, RecipeError
from simsearch.search import Question


def hits_of(done):
    return [json.loads(line)["hits"] for line in done.stdout.splitlines()]


def ask(built, *more, check=0, **kwargs):
    folder, home = built
    return run_cli("query", folder / "class 1" / "04.png", *more, "--home", home, check=check, **kwargs)


def test_k_stays_k_where_a_filter_lets_few_pass(built):
    done = ask(built, "--json", "--where", "label in ('class 0', 'class 2')")
    answer = json.loads(done.stdout)
    assert answer["where"] == "label in ('class 0', 'class 2')"
    assert len(answer["hits"]) == 10
    assert {hit["label"] for hit in answer["hits"]} <= {"class 0", "class 2"}
    assert [hit["rank"] for hit in answer["hits"]] == list(range(1, 11))
    assert "20 of 30 images pass: label in ('class 0', 'class 2')" in done.stderr
    assert "where" not in json.loads(ask(built, "--json").stdout)


def test_the_answer_is_that_of_a_search_of_all_without_what_does_not_pass(built):
    (whole,) = hits_of(ask(built, "--json", "--k", 30))
    (filtered,) = hits_of(ask(built, "--json", "--k", 30, "--where", "not label = 'class 1' and image under 'class 2'"))
    expected = [hit for hit in whole if hit["image"].startswith("class 2/")]
    assert [hit["image"] for hit in filtered] == [hit["image"] for hit in expected]
    assert len(filtered) == 10


def test_labels_as_short_form(built):
    (hits,) = hits_of(ask(built, "--json", "--label", "class 0", "--label", "class 2", "--k", 30))
    assert {hit["label"] for hit in hits} == {"class 0", "class 2"}
    assert len(hits) == 20
    where = "image = 'class 0/03.png' or label = 'class 2'"
    (hits,) = hits_of(ask(built, "--json", "--label", "class 0", "--where", where))
    assert [hit["image"] for hit in hits] == ["class 0/03.png"]


def test_not_self_by_content_and_by_path(ours, tmp_path):
    folder, home = ours
    shutil.copy(folder / "class 1" / "04.png", tmp_path / "elsewhere.png")
    (whole,) = hits_of(run_cli("query", tmp_path / "elsewhere.png", "--json", "--k", 11, "--home", home, check=0))
    (others,) = hits_of(run_cli("query", tmp_path / "elsewhere.png", "--json", "--not-self", "--home", home, check=0))
    assert whole[0]["image"] == "class 1/04.png"
    assert [hit["image"] for hit in others] == [hit["image"] for hit in whole[1:]]
    assert [hit["rank"] for hit in others] == list(range(1, 11))
    picture(2, 77).save(folder / "class 1" / "04.png")  # the file is another now, and is still itself
    for cwd, path in ((None, folder / "class 1" / "04.png"), (folder, "class 2/../class 1/04.png")):
        done = run_cli("query", path, "--json", "--not-self", "--k", 30, "--home", home, cwd=cwd, check=0)
        (hits,) = hits_of(done)
        assert len(hits) == 29
        assert "class 1/04.png" not in {hit["image"] for hit in hits}


def test_not_self_where_there_are_copies(tmp_path):
    """Six files of the same bytes are the query: k others are found all the same."""
    folder = write_folder(tmp_path / "photos", each=8)
    for number in range(5):
        shutil.copy(folder / "class 1" / "04.png", folder / "class 1" / f"copy {number}.png")
    run_cli("build", folder, *SMALL, "--home", tmp_path / "home", check=0)
    done = run_cli("query", folder / "class 1" / "04.png", "--json", "--not-self", "-k", 3, "--home", tmp_path / "home")
    (hits,) = hits_of(done)
    assert len(hits) == 3
    assert not any("copy" in hit["image"] or hit["same_file"] for hit in hits)


def test_a_folder_and_stdin_as_queries_and_a_montage(built, tmp_path):
    folder, home = built
    more = ("--label", "class 0", "--not-self", "--k", 9, "--home", home)
    done = run_cli("query", folder / "class 0", *more, "--json", "--montage", tmp_path / "hits.png", check=0)
    assert [len(hits) for hits in hits_of(done)] == [9] * 10
    with Image.open(tmp_path / "hits.png") as drawn:
        assert drawn.size[0] > 500
    stdin = f"{folder / 'class 1' / '00.png'}\n{folder / 'class 2' / '00.png'}\n"
    done = run_cli("query", "-", *more, "--paths", stdin=stdin, check=0)
    assert len(done.stdout.splitlines()) == 18
    assert all("class 0" in line for line in done.stdout.splitlines())


def test_with_collapse_and_scores(built):
    (hits,) = hits_of(ask(built, "--json", "--label", "class 1", "--collapse", "--min-score", "-1", "-k", 4))
    assert len(hits) == 4
    assert {hit["label"] for hit in hits} == {"class 1"}


def test_nothing_passes(built):
    done = ask(built, "--where", "label = 'class 0' and label = 'class 1'")
    assert "no image passes: label = 'class 0' and label = 'class 1'" in done.stderr
    assert "no image passes the filter" in done.stdout
    done = ask(built, "--where", "label = 'class 0' and label = 'class 1'", "--json")
    assert json.loads(done.stdout)["hits"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--where", "label = 'clas 1'"], ["no image has the label 'clas 1'; did you mean 'class 1'?"]),
        (["--label", "clas 1"], ["did you mean 'class 1'?", "hint: simsearch query", "--label 'class 1'"]),
        (["--where", "image under 'clas 1/'"], ["no image lies in the folder 'clas 1/'; did you mean 'class 1/'?"]),
        (["--where", "lable = x"], ["no column 'lable' (seen: image, label); did you mean 'label'?"]),
        (
            ["--where", "label = class 1"],
            ["expected and, or, or the end, seen 1", "    label = class 1\n" + " " * 18 + "^"],
        ),
        (["--where", "label ="], ["expected a value, seen the end", "    label =\n" + " " * 11 + "^"]),
        (["--where", ""], ["a filter that is empty"]),
        (["--where", "label = a\x1b["], ["label = a\\x1b["]),
    ],
)
def test_what_cannot_be_filtered_by_is_said_before_anything_is_answered(built, options, words):
    done = ask(built, *options, check=2)
    assert not done.stdout
    for word in words:
        assert word in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("option", [["--where", "label = 'class 1'"], ["--label", "class 1"], ["--not-self"]])
def test_same_takes_no_filter(built, option):
    done = ask(built, "--same", built[0] / "class 1" / "05.png", *option, check=2)
    assert "--same searches nothing, and takes neither --where, --label nor --not-self" in done.stderr


def test_a_build_without_labels(tmp_path, built):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in (built[0] / "class 1").iterdir():
        shutil.copy(path, folder)
    run_cli("build", folder, *SMALL[:4], "--set", "training.epochs=0", "--home", tmp_path / "home", check=0)
    done = run_cli("query", folder / "00.png", "--label", "x", "--home", tmp_path / "home", check=2)
    assert "this build has no labels" in done.stderr
    done = run_cli(
        "query", folder / "00.png", "--where", "image = 03.png", "--json", "--home", tmp_path / "home", check=0
    )
    assert [hit["image"] for hit in hits_of(done)[0]] == ["03.png"]


@pytest.mark.parametrize("factory", ["IVF4,Flat", "HNSW8"])
def test_other_kinds_of_index_and_deleted_images(tmp_path, factory):
    folder, home = write_folder(tmp_path / "photos", each=12), tmp_path / "home"
    run_cli("build", folder, *SMALL, "--set", f"index.factory={factory}", "--home", home, check=0)
    for number in range(3):
        (folder / "class 1" / f"{number:02d}.png").unlink()
    run_cli("sync", folder, "--home", home, check=0)
    done = run_cli("query", folder / "class 2", "--label", "class 1", "-k", 20, "--json", "--home", home, check=0)
    assert [len(hits) for hits in hits_of(done)] == [9] * 12
    assert all(int(hit["image"][-6:-4]) > 2 for hits in hits_of(done) for hit in hits)


def test_from_python(built):
    folder, home = built
    path = folder / "class 1" / "04.png"
    with simsearch.open("photos", home=str(home)) as searcher:
        hits = searcher.search([path, path], k=3, where="label = 'class 2'")
        assert [[hit.label for hit in one] for one in hits] == [["class 2"] * 3] * 2
        assert searcher.passing("label = 'class 2'") == 10
        with Image.open(path) as opened:
            vectors = searcher.embed([np.asarray(opened)])
        assert [hit.label for hit in searcher.search_vectors(vectors, where="label = 'class 0'")[0]] == ["class 0"] * 10
        answer = searcher.ask(path, Question(k=30, where="label = 'class 1'", not_self=True))
        assert len(answer.hits) == 9
        with pytest.raises(FilterError) as caught:
            searcher.search(path, where="label = ")
        assert caught.value.place == 7
        for number in range(10):  # more filters than are kept
            assert len(searcher.search(path, where=f"image = 'class 0/0{number}.png'")[0]) == 1
        with pytest.raises(RecipeError, match="where: expected a filter as text, seen 3"):
            searcher.search(path, where=3)
