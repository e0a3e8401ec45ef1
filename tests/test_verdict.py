"""The verdict of a build as a user meets it: query, sync, a build of before, and builds that can give none."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from conftest import SMALL, artifact_file, picture, run_cli, write_folder

import simsearch
from simsearch.cli.verdicts import verdict_line
from simsearch.home import Home
from simsearch.search.question import Verdict

KEYS = {"label", "known", "margin", "unknown_accepted", "calibrated_on"}
FROZEN = [*SMALL, "--set", "training.epochs=0"]


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """(folder, home): a build of six labels by frozen features."""
    place = tmp_path_factory.mktemp("six")
    folder = write_folder(place / "photos", labels=6, each=12)
    run_cli("build", folder, *FROZEN, "--home", place / "home", check=0)
    return folder, place / "home"


@pytest.fixture
def copied(six, tmp_path):
    folder, home = (shutil.copytree(path, tmp_path / path.name) for path in six)
    record = home / "builds" / "photos.json"
    run_cli("sync", folder, "--build", "photos", "--home", home, check=0)  # it has moved
    assert record.is_file()
    return folder, home


def answer(home, *words):
    done = run_cli("query", *words, "--json", "--home", home, check=0)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_query_has_a_verdict_without_its_own_row(six):
    folder, home = six
    image = folder / "class 3" / "04.png"
    (one,) = answer(home, image)
    assert set(one["verdict"]) == KEYS
    assert one["verdict"]["label"] == "class 3"
    assert one["verdict"]["unknown_accepted"] == 0.05
    assert one["verdict"]["calibrated_on"] == "unseen labels"
    assert 0 <= one["verdict"]["margin"] <= 1
    for words in (["-k", "1"], ["-k", "40"], ["--where", "label = 'class 1'"], ["--not-self"], ["--min-score", "1"]):
        assert answer(home, image, *words)[0]["verdict"] == one["verdict"], words
    shutil.copy(image, home / "same.png")  # another name, the same bytes
    assert answer(home, home / "same.png")[0]["verdict"] == one["verdict"]
    found = simsearch.open("photos", home=str(home)).ask(str(image)).verdict
    assert found.to_json() == one["verdict"]


def test_the_vote_is_that_of_the_nine_nearest_others(six):
    folder, home = six
    image = folder / "class 0" / "07.png"
    (one,) = answer(home, image, "-k", "9", "--not-self")
    votes = {}
    for hit in one["hits"]:
        votes[hit["label"]] = votes.get(hit["label"], 0) + math.exp(hit["score"] / 0.07)
    first, *rest = sorted(votes.values(), reverse=True)
    assert one["verdict"]["label"] == max(votes, key=votes.get)
    margin = (first - (rest[0] if rest else 0)) / sum(votes.values())
    assert one["verdict"]["margin"] == pytest.approx(margin, abs=1e-3)
    threshold = json.loads(artifact_file(home, "verdict", "verdict.json").read_bytes())["threshold"]
    assert one["verdict"]["known"] == (one["hits"][0]["score"] + 0.1 * margin > threshold)


def test_the_words_of_a_verdict(six):
    folder, home = six
    image = folder / "class 3" / "04.png"
    (one,) = answer(home, image)
    last = run_cli("query", image, "--home", home, check=0).stdout.splitlines()[-1]
    known = f"    verdict: class 3, known (margin {one['verdict']['margin']:.2f})"
    assert last == (known if one["verdict"]["known"] else "    verdict: none of these (nearest: class 3)")
    assert "verdict" not in run_cli("query", image, "--paths", "--home", home, check=0).stdout


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("by", "words"), [("unseen labels", ""), ("trained labels", ", judged by trained labels")])
def test_labels_that_were_trained_on_are_named_as_what_judges(by, words, known):
    (line,) = verdict_line(Verdict("an apple " * 9, known, 0.5, 0.05, by, "simsearch build"))
    assert line.endswith(f"margin 0.50{words}, stale)" if known else f"{words}, stale)")
    assert line.startswith("    verdict: an " if known else "    verdict: none of these (nearest: an ")
    assert len(line) <= 80


def test_a_corpus_that_changed_much_says_so(copied):
    folder, home = copied
    for number in range(7):  # of 72, with the one of below more than a tenth
        picture(2, 40 + number).save(folder / "class 2" / f"new{number}.png")
    run_cli("sync", folder, "--build", "photos", "--home", home, check=0)
    assert "stale" not in answer(home, folder / "class 2" / "new1.png")[0]["verdict"]
    (folder / "class 1" / "03.png").unlink()
    run_cli("sync", folder, "--build", "photos", "--home", home, check=0)
    (one,) = answer(home, folder / "class 2" / "new1.png")
    assert set(one["verdict"]) == KEYS | {"stale", "command"}
    assert one["verdict"]["stale"] is True
    assert one["verdict"]["command"].startswith("simsearch build ")
    assert "--retrain" in one["verdict"]["command"]
    done = run_cli("query", folder / "class 2" / "new1.png", "--home", home, check=0)
    assert "stale" in done.stdout.splitlines()[-1]
    assert "Verdicts are stale" in done.stderr


def test_a_build_of_before_says_what_makes_it(six, tmp_path):
    folder, _ = six
    home = shutil.copytree(six[1], tmp_path / "home")
    build = Home(home).build("photos")
    stages = {name: which for name, which in build.record.stages.items() if name != "verdict"}
    record = type(build.record)(**{**vars(build.record), "stages": stages})
    Home(home).write_build("photos", record)
    shutil.rmtree(home / "artifacts" / "verdict")
    (one,) = answer(home, folder / "class 3" / "04.png")
    assert one["verdict"] is None
    assert "the same simsearch build again" in one["verdict_reason"]
    assert "verdict" not in run_cli("query", folder / "class 3" / "04.png", "--home", home, check=0).stdout
    told = run_cli("build", folder, *FROZEN, "--home", home, check=0).stderr
    assert "Verdicts" in told
    assert not any(word in told for word in ("Embedded", "Evaluated", "Indexed"))
    assert answer(home, folder / "class 3" / "04.png")[0]["verdict"] is not None
    assert "is up to date" in run_cli("build", folder, *FROZEN, "--home", home, check=0).stderr


@pytest.mark.parametrize(
    ("labels", "each", "words", "why"),
    [
        (4, 12, [], "4 labels"),
        (5, 5, [], "images that are searched, fewer than 40"),
        (8, 12, ["--set", "dataset.split=disjoint"], "nothing is tuned on those"),
    ],
)
def test_why_there_is_none(tmp_path, labels, each, words, why):
    folder = write_folder(tmp_path / "photos", labels=labels, each=each)
    run_cli("build", folder, *FROZEN, *words, "--home", tmp_path / "home", check=0)
    (one,) = answer(tmp_path / "home", folder / "class 1" / "02.png")
    assert one["verdict"] is None
    assert why in one["verdict_reason"]


@pytest.mark.parametrize("of", ["head", "all"])
def test_heads_are_trained_anew_and_whole_networks_are_not(tmp_path, of):
    folder = write_folder(tmp_path / "photos", labels=6, each=12)
    trained = [*SMALL, "--set", f"embedder.train={of}"]
    run_cli("build", folder, *trained, "--home", tmp_path / "home", check=0)
    found = json.loads(artifact_file(tmp_path / "home", "verdict", "verdict.json").read_bytes())
    assert found["calibrated_on"] == {"head": "unseen labels", "all": "trained labels"}[of]
    assert (found["fold_heads"] is None) == (of == "all")
    assert answer(tmp_path / "home", folder / "class 1" / "02.png")[0]["verdict"]["calibrated_on"] in found.values()
    assert "is up to date" in run_cli("build", folder, *trained, "--home", tmp_path / "home", check=0).stderr


def test_the_report_has_rates_with_intervals_and_a_curve(tmp_path):
    folder = write_folder(tmp_path / "photos", labels=6, each=20)
    home = tmp_path / "home"
    run_cli("build", folder, *SMALL, "--set", "embedder.train=head", "--home", home, check=0)
    found = json.loads(run_cli("evaluate", "photos", "--json", "--home", home, check=0).stdout)["verdict"]
    assert found == json.loads(artifact_file(home, "verdict", "verdict.json").read_bytes())
    page = (home / "builds" / "photos" / "report.html").read_text()
    body = page.partition('<section id="unknown"')[2].partition("</section>")[0]
    assert "a fifth of the labels left out" in body
    for name in ("fold_heads", "deployed"):
        for side in ("known", "unknown", "balanced"):
            low, high = found[name][side]["interval"]
            share, low, high = (f"{100 * one:.1f}\u00a0%" for one in (found[name][side]["share"], low, high))
            assert f"{share} [{low}, {high}]" in body, (name, side)
    assert 'id="unknown-curve' in body


def test_the_report_says_why_there_are_no_verdicts(six, tmp_path):
    folder = write_folder(tmp_path / "photos", labels=3)
    run_cli("build", folder, *FROZEN, "--home", tmp_path / "home", check=0)
    page = (tmp_path / "home" / "builds" / "photos" / "report.html").read_text()
    assert "There are no verdicts: it has 3 labels" in page
