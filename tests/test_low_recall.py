"""An index that misses much of what is nearest is warned of, wherever its figures are told."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
from conftest import SMALL, run_cli
from pages import Reader
from test_import_tuned import BASE

from simsearch.home import Home
from simsearch.report.sections.document import render_page
from simsearch.report.summary import render_table
from simsearch.report.verdict import low_recall

WORDS = "of the exact first 10. Let it look at more (--set index.nprobe="


def text_of(page):
    return " ".join(" ".join(Reader(page).words).split())


def test_an_import_with_too_few_probes(tmp_path):
    np.save(tmp_path / "x.npy", BASE)
    command = ("index", "import", tmp_path / "x.npy", "--name", "mine", "--factory", "IVF32,Flat",
               "--home", tmp_path / "home")  # fmt: skip
    few = (*command, "--set", "index.nprobe=1")
    done = run_cli(*few, "--json", check=0)
    share = json.loads(done.stdout)["index"]["ann_recall"]["10"]
    assert share < 0.6
    told = f"ann_recall@10 {share:.3f}: the index misses {100 * (1 - share):.0f} % {WORDS}"
    assert f"warning: {told}" in done.stderr
    assert f"warning: {told}" in run_cli(*few, check=0).stderr  # also where it is up to date
    page = Home(tmp_path / "home").build("mine").page_path
    shown = text_of(page.read_text())
    assert shown.index(told) < shown.index("queries/s")
    table = run_cli("evaluate", "mine", "--home", tmp_path / "home", check=0).stdout
    assert f"warning: {told}" in " ".join(table.split())
    done = run_cli(*command, "--set", "index.nprobe=32", check=0)
    assert "warning" not in done.stderr + page.read_text()


def test_a_build_with_an_index_that_tells_too_little(copy_of_built):
    folder, home = copy_of_built
    command = ("build", folder, *SMALL, "--set", "index.factory=PQ1x2", "--home", home)
    done = run_cli(*command, check=0)
    assert f"warning: {low_recall(json.loads(run_cli('evaluate', '--json', '--home', home, check=0).stdout))}" in (
        " ".join(done.stderr.split())
    )
    told = "of the exact first 10. PQ1x2 has no setting: name another, or have one chosen by --set index.target_recall"
    assert told in run_cli(*command, check=0).stderr
    assert text_of(Home(home).build("photos").page_path.read_text()).count("Warning") == 1


@pytest.mark.parametrize(
    ("k", "recall", "low"),
    [
        ([1, 5, 10], {"1": 0.2, "5": 0.5, "10": 0.9}, False),
        ([1, 5, 10], {"1": 1.0, "5": 1.0, "10": 0.8999}, True),
        ([1, 5], {"1": 1.0, "5": 0.7}, True),
        ([1, 10, 20], {"1": 1.0, "10": 0.95, "20": 0.5}, False),
        ([1, 5, 10], {}, False),
    ],
)
def test_it_is_the_recall_at_ten_that_counts(k, recall, low):
    report = {"k": k, "index": {"ann_recall": recall}}
    assert (low_recall(report) is not None) == low


def test_labelled_reports_say_it_beside_the_index(arguments):
    report = {**deepcopy(arguments["report"]), "summary": ""}
    assert low_recall(report) is None
    assert "warning" not in render_table(report)
    report["index"]["ann_recall"]["10"] = 0.19
    report["index"]["factory"] = "IVF8,Flat"
    assert f"warning: ann_recall@10 0.190: the index misses 81 % {WORDS}" in " ".join(render_table(report).split())
    page = text_of(render_page(**{**arguments, "report": report}))
    assert f"Warning : ann_recall@10 0.190: the index misses 81 % {WORDS}" in page


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("PQ8", "PQ8 has no setting: name another, or"),
        ("OPQ16,IVF64,PQ8", "(--set index.nprobe=), or"),
        ("HNSW32", "(--set index.efSearch=), or"),
        ("IVF64_HNSW32,PQ8,RFlat", "(--set index.nprobe= or index.k_factor=), or"),
    ],
)
def test_only_settings_that_the_factory_has_are_offered(factory, words):
    assert words in low_recall({"k": [10], "index": {"ann_recall": {"10": 0.5}, "factory": factory}})
