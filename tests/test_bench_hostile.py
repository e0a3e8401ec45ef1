"""A hostile world around the nightly job: damaged rows, closed outputs, bugs, data without a query in common."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
import zlib
from dataclasses import replace

import numpy as np
import pytest
from stories import story
from test_bench_gate import cell, measured, never, values
from test_bench_gate import matrix as matrix  # a fixture
from test_bench_history import NIGHT, filled

from simsearch.bench import night as module
from simsearch.bench import written
from simsearch.bench.causes.rerun import Listing, data_changes
from simsearch.bench.history.history import History
from simsearch.bench.history.seals import SEALS
from simsearch.bench.judging.gate import judge
from simsearch.bench.matrix import read_matrix
from simsearch.bench.measuring import speed
from simsearch.cli import benching, main
from simsearch.errors import ArtifactError, RecipeError
from simsearch.images.records import ImageRecord


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("UPDATE blobs SET data = ?", b"rubbish"),
        ("UPDATE blobs SET data = ?", zlib.compress(b"\0" * 8)),
        ("UPDATE blobs SET data = ? WHERE digest IN (SELECT queries FROM cells)", zlib.compress(b'["a", 1')),
        ("UPDATE nights SET versions = ?", "rubbish"),
        ("UPDATE nights SET started = ?", "rubbish"),
        ("UPDATE cells SET digests = ?", '{"train": 5}'),
        ("UPDATE cells SET digests = ?", "{}"),
        ("UPDATE cells SET search = ?", "[1]"),
        ("UPDATE cells SET status = ?", "odd"),
        ("UPDATE figures SET value = ?", "rubbish"),
        ("UPDATE figures SET value = ?", float("inf")),
        ("UPDATE meta SET value = ?", "../../elsewhere"),
    ],
)
@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "of before"])
def test_a_damaged_row_is_told_in_one_line(tmp_path, change, value, sealed):
    """A seal tells when the history is opened; rows of before there were seals are looked at when they are read."""
    path = tmp_path / "h.sqlite"
    filled(path)
    with sqlite3.connect(path) as database:
        if not sealed:
            database.execute(f"DROP TABLE {SEALS}")
        database.execute(f"DROP TRIGGER {change.split()[1]}_update")
        database.execute(change, (value,))

    def read_all():
        with History(path) as history:
            assert history.identity
            return history.results(history.nights()[0].number)

    with pytest.raises(ArtifactError, match="damaged") as raised:
        read_all()
    assert "copy" in raised.value.hint
    assert "\n" not in raised.value.message


def test_a_bug_does_not_look_like_a_regression(tmp_path, monkeypatch, capsys):
    """The exit code of a traceback is 1."""

    def fails(self):
        raise KeyError("cross_boundary_error@10")

    monkeypatch.setattr(module.Job, "run", fails)
    (tmp_path / "m.toml").write_text('[matrix]\nrecipes = ["digits"]\n')
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(tmp_path / "m.toml"), "--home", str(tmp_path / "home")])
    assert ended.value.code == 2
    assert "came to no end: KeyError" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["bench"], ["bench", "--json"]])
@pytest.mark.parametrize("worse", [True, False])
def test_a_reader_who_went_away_does_not_change_the_verdict(tmp_path, monkeypatch, command, worse):
    told = story(worse=worse)
    verdict = told.verdict if worse else replace(told.verdict, outcome="pass")
    monkeypatch.setattr(module.Job, "run", lambda self: replace(told, verdict=verdict))
    (tmp_path / "m.toml").write_text('[matrix]\nrecipes = ["digits"]\n')
    read, write = os.pipe()
    os.close(read)
    words = [*command, str(tmp_path / "m.toml"), "--home", str(tmp_path / "home"), "--history", str(tmp_path / "h")]
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(SystemExit) as ended:
            main(words)
    assert ended.value.code == int(worse)


def test_pages_that_cannot_be_written_do_not_keep_the_table_back(tmp_path, monkeypatch, capsys):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(written, "write_durably", full)
    assert benching._tell(story(), tmp_path, as_json=False) == 2
    shown = capsys.readouterr()
    assert "Tonight: 3 of 6 cells held" in shown.out
    assert "No space left" in shown.err


def test_the_advice_to_accept_names_the_history(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module.Job, "run", lambda self: story())
    (tmp_path / "m.toml").write_text('[matrix]\nrecipes = ["digits"]\n')
    with pytest.raises(SystemExit):
        main(["bench", str(tmp_path / "m.toml"), "--home", str(tmp_path), "--history", str(tmp_path / "h")])
    assert f"--history {tmp_path / 'h'}" in capsys.readouterr().err
    assert list((tmp_path / "bench").glob("latest-*/trend.html"))


def test_a_night_without_a_query_in_common_is_not_passed(matrix):
    random = np.random.default_rng(0)
    before = measured(cell(), values(random))
    after = measured(cell(), values(random, recall=0.1), names=[f"other {i}" for i in range(300)])
    verdict = judge(matrix, (NIGHT, [before]), (NIGHT, [after]), never)
    assert verdict.outcome == "failed"
    assert any("could not be judged" in note for note in verdict.notes)


def test_another_k_is_no_way_past_the_gate(matrix):
    random = np.random.default_rng(0)
    good = values(random)
    bad = {**good, "ann_recall@10": good["ann_recall@10"] - 0.2}
    del bad["cross_boundary_error@10"]
    for column in (good, bad):
        column["ann_recall@5"] = column["ann_recall@10"]
    bad["ann_recall@20"] = bad.pop("ann_recall@10")
    verdict = judge(matrix, (NIGHT, [measured(cell(), good)]), (NIGHT, [measured(cell(), bad)]), never)
    assert [(found.metric, found.k) for found in verdict.worse] == [("ann_recall", 5)]


def test_the_same_search_settings_twice(tmp_path):
    (tmp_path / "m.toml").write_text(
        '[matrix]\nrecipes = ["digits"]\nfactories = ["HNSW8"]\nsearch = [{ efSearch = 4 }, { efSearch = 4 }]\n'
    )
    with pytest.raises(RecipeError, match="each search setting once"):
        read_matrix(str(tmp_path / "m.toml"))


def test_an_image_that_went_to_another_class_folder_is_relabelled():
    def table(*names):
        records = [
            ImageRecord(i, name, name.partition("/")[0], True, False, True, False, f"sha of {name[-1]}")
            for i, name in enumerate(names)
        ]
        return Listing(records, len(records), np.zeros(len(records), dtype=np.int64), None)

    found = data_changes(table("a/1", "a/2", "b/3", "b/4"), table("a/1", "b/2", "b/x3", "b/5"))
    assert found == {"added": 1, "removed": 1, "with another label": 1, "with another name": 1}


def test_a_batch_that_waits_for_a_core_is_not_slower():
    def timing(waited):
        def batch():
            started = time.thread_time()
            while time.thread_time() - started < 0.002:
                pass
            time.sleep(waited)
            return 10

        found = speed.measure(speed.Reference(), lambda i: None, 5, batch, repeats=3)
        return {figure.scope: figure for figure in found if figure.metric == "qps"}

    alone, busy = timing(0.0), timing(0.008)
    assert busy["all"].value < 1500
    assert busy["ratio"].value > 0.6 * alone["ratio"].value
