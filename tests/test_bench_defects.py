"""Nights of a recipe with [defects]: image AUROC and false alarms are kept, gated, explained, accepted and exported."""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from conftest import run_cli
from PIL import Image

from simsearch.bench.history.history import History
from simsearch.bench.matrix import read_matrix
from simsearch.bench.night import Job
from simsearch.defects.pooled import POOLED
from simsearch.home import Home

pytestmark = pytest.mark.slow

RECIPE = """
[dataset]
source = "folder:{folder}/line"
group = "(.*)_shot"
[embedder]
backbone = "mnist_cnn"
weights = "none"
[training]
epochs = 0
[evaluation]
baseline = false
map = false
k = [1, 5]
[defects]
normal = "good"
method = "{method}"
false_alarms = {rate}
outliers = "keep"
"""
MATRIX = """
[matrix]
recipes = ["line.toml"]
[gate]
speed = false
"""
PARTS, SHOTS, SIDE = 90, 2, 28
STRIPES = np.sin(np.arange(SIDE)) * np.ones((SIDE, 1))


def write_line(folder, spoilt=()):
    """Parts with stripes of one of two directions; bad ones, and good ones that are `spoilt`, have both."""
    random = np.random.default_rng(0)
    for label, count in (("good", PARTS), ("bad", PARTS // 3)):
        for part in range(count):
            for shot in range(SHOTS):
                name = f"{label}/{part:02d}_shot{shot}.png"
                both = label == "bad" or name in spoilt
                kind = (STRIPES + STRIPES.T) / 2**0.5 if both else (STRIPES, STRIPES.T)[part % 2]
                pixels = 128 + 60 * (kind + random.normal(size=(SIDE, SIDE)) / 3)
                (folder / "line" / label).mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / "line" / name)


def write_job(folder, method="neighbours", rate=0.1):
    (folder / "line.toml").write_text(RECIPE.format(folder=folder, method=method, rate=rate))
    (folder / "matrix.toml").write_text(MATRIX)


def night(folder, code):
    done = run_cli("bench", folder / "matrix.toml", "--home", folder / "home", "--json", check=code)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A folder with a job and its accepted night."""
    folder = tmp_path_factory.mktemp("defects")
    write_line(folder)
    write_job(folder)
    night(folder, 0)
    return folder


@pytest.fixture
def job(first):
    """The same, put back afterwards as it was."""
    yield first
    write_line(first)
    write_job(first)


def worse(found):
    """{metric: (stage, why)} of what is worse."""
    return {one["metric"]: (one["stage"], one["why"]) for one in found["regressions"]}


def results(folder):
    with History(folder / "home" / "bench" / "history.sqlite") as history:
        return history.results(1)[0]


def test_an_unchanged_night_is_green_and_its_figures_are_those_of_defects_json(job):
    found = night(job, 0)
    (told,) = (job / "home" / "bench").glob("*/night-000001/artifacts/defects/*/defects.json")
    test = json.loads(told.read_bytes())["test"]
    figures = {one["metric"]: one for one in found["cells"][0]["figures"]}
    auroc, alarms = figures["image_auroc"], figures["false_alarm_rate"]
    assert [auroc[key] for key in ("value", "low", "high")] == [test["auroc"], *test["interval"]]
    assert alarms["value"] == test["false_alarms"]["share"] > 0
    judged = {one["metric"]: one for one in found["findings"]}
    assert judged["image_auroc"]["before"] == judged["image_auroc"]["after"] == pytest.approx(auroc["value"])
    assert judged["false_alarm_rate"]["before"] == pytest.approx(alarms["value"])
    assert (judged["image_auroc"]["n"], judged["false_alarm_rate"]["n"]) == (auroc["n"], alarms["n"])
    assert "digest" in found["cells"][0]["digests"]["defects"]


def test_another_method_is_red_and_every_page_says_so(job):
    write_job(job, method="mean")
    table = run_cli("bench", job / "matrix.toml", "--home", job / "home", check=1).stdout
    assert max(map(len, table.splitlines())) <= 80
    latest = job / "home" / "bench" / "latest"
    cause = "the defect scores changed (method neighbours -> mean: with the old settings image AUROC is 1.000"
    pages = [(latest / name).read_text() for name in ("nightly.md", "junit.xml", "trend.html")]
    for text in (" ".join(table.split()), *(page.replace("&gt;", ">") for page in pages)):
        assert "image AUROC" in text
        assert cause in text
        assert "60 images" in text or text.count(">60<"), "bad, over how many"
        assert "bad/00_shot0.png" in text
    assert "AUROC alarms" in table
    assert "| image AUROC | false alarms |" in pages[0]
    cases = {case.get("name"): case for case in ElementTree.fromstring(pages[1]).iter("testcase")}
    assert cases["image AUROC"].find("failure") is not None
    assert cases["false alarm rate"].find("failure") is None
    assert "<h3>false alarm rate</h3>" in pages[2]


def test_a_threshold_that_cries_wolf_is_red(job):
    write_job(job, rate=0.7)
    found = night(job, 1)
    assert worse(found).keys() == {"false_alarm_rate"}
    stage, why = worse(found)["false_alarm_rate"]
    assert stage == "defect scores"
    assert why.startswith("false_alarms 0.1 -> 0.7: with the old settings false alarm rate is 0.0")


def test_defects_among_the_normal_pictures_are_red_and_the_data(job):
    tried = set(results(job).tried)
    names = [f"good/{part:02d}_shot{shot}.png" for part in range(PARTS) for shot in range(SHOTS)]
    write_line(job, spoilt=[name for name in names if name not in tried][::3])
    found = night(job, 1)
    stage, why = worse(found)["image_auroc"]
    assert stage == "data"
    assert "images with other content" in why


def test_the_code_of_the_scores_is_named(job, monkeypatch):
    kind = POOLED["neighbours"]
    right = kind.scores
    monkeypatch.setattr(kind, "scores", lambda self, features: 2 - right(self, features))
    with History(job / "home" / "bench" / "history.sqlite") as history:
        story = Job(Home(job / "home"), history, read_matrix(str(job / "matrix.toml"))).run()
    causes = {finding.metric: finding.cause for finding in story.verdict.worse}
    assert causes["image_auroc"].stage == "defect scores"
    assert causes["image_auroc"].why.startswith("the code that fits them")
    assert not list((job / "home").glob("bench/*/night-*/cause-*"))


def test_a_red_night_is_accepted_and_exported(job, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(job, folder)
    write_job(folder, method="mean")
    night(folder, 1)
    run_cli("bench", "accept", "--reason", "meant so", "--home", folder / "home", check=0)
    assert night(folder, 0)["verdict"] == "pass"
    run_cli("bench", "--export", tmp_path / "out.csv", "--home", folder / "home", check=0)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "image_auroc"]
    assert [row["value"] for row in rows][-2:] == ["0.0", "0.0"]
    assert rows[0]["digest_defects"] != rows[-1]["digest_defects"] != ""
