"""The history: whole after reopening, only ever added to, and clear about every file that it is not."""

from __future__ import annotations

import csv
import json
import sqlite3

import numpy as np
import pytest

from simsearch.bench.history import history as module
from simsearch.bench.history.history import History
from simsearch.bench.night import accept
from simsearch.bench.records import Cause, Cell, Finding, Night, NightFigure, Result, Verdict
from simsearch.bench.written import export
from simsearch.errors import ArtifactError, DiskError, RecipeError

CELL = Cell("digits", 0, "IVF16,Flat", (("nprobe", 4),), "digits", ("training.seed=0",), (1, 0))
VERSIONS = {"torch": "2.15", "x": None}
NIGHT = Night(0, "2026-11-25T02:00:00+00:00", "abc", "code", "matrix", "a machine", "f1", VERSIONS)
RESULT = Result(
    CELL,
    "measured",
    digests={"train": {"digest": "d", "content": "c"}},
    seconds={"train": 3.5},
    figures=(NightFigure("recall", 1, "all", 0.9, 0.8, 1.0, 3), NightFigure("bytes", None, "all", 10.0)),
    queries=("a.png", "b.png", "ü.png"),
    per_query={"recall@1": np.array([1.0, 0.0, np.nan])},
)
FINDING = Finding(
    CELL.name, "recall", 1, "all", 0.9, 0.8, -0.1, (-0.2, -0.05), 0.001, 0.002, 3, True, False, Cause("index", "why")
)
VERDICT = Verdict("regression", (FINDING,), (), (), (), (), ("a note",))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.sqlite"


def filled(path) -> None:
    with History(path) as history:
        night = history.begin(NIGHT)
        history.record(night.number, RESULT)
        history.end(night.number, "2026-11-25T02:10:00+00:00", VERDICT, accepted="the first")


def table(path, name):
    """Every row of a table, as any program reads it."""
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        return database.execute(f"SELECT * FROM {name}").fetchall()


def test_what_is_recorded_is_read_again(path):
    filled(path)
    with History(path) as history:
        (night,) = history.nights()
        assert (night.number, night.verdict, night.notes) == (1, "regression", ("a note",))
        assert night.versions == NIGHT.versions
        (result,) = history.results(1)
        assert result.cell == CELL
        assert (result.figures, result.queries, result.seconds) == (RESULT.figures, RESULT.queries, RESULT.seconds)
        np.testing.assert_array_equal(result.per_query["recall@1"], RESULT.per_query["recall@1"])
        assert history.results(1, per_query=False)[0].per_query == {}
        assert history.accepted() == night
        assert history.unfinished() is None
        (row,) = table(path, "findings")
        assert (row["stage"], row["low"], row["worse"]) == ("index", -0.2, 1)


def test_a_commit_waits_for_the_journal_to_be_gone(path):
    with History(path) as history:
        assert history._rows("PRAGMA synchronous")[0][0] == 3  # EXTRA: tests/test_power_cut.py cuts the power


def test_a_night_without_an_end_is_unfinished(path):
    filled(path)
    with History(path) as history:
        assert history.begin(NIGHT).number == 2
        assert history.unfinished().number == 2
        history.end(2, "2026-11-26T02:10:00+00:00", None, ["given up"])
        assert history.unfinished() is None
        assert history.nights()[1].verdict == "abandoned"
        assert history.accepted().number == 1


@pytest.mark.parametrize(
    "change", ["UPDATE figures SET value = 1", "DELETE FROM nights", "UPDATE accepts SET reason = ''"]
)
def test_nothing_can_be_changed(path, change):
    filled(path)
    with sqlite3.connect(path) as database, pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
        database.execute(change)


def test_a_cell_is_recorded_whole_or_not_at_all(path):
    filled(path)
    with History(path) as history:
        broken = Result(CELL, "measured", figures=(NightFigure("recall", 1, "all", None),), queries=("a",))  # type: ignore[arg-type]
        night = history.begin(NIGHT)
        with pytest.raises(ArtifactError, match="NOT NULL"):
            history.record(night.number, broken)
        assert history.cell_names(night.number) == set()
        history.record(night.number, RESULT)
        assert history.cell_names(night.number) == {CELL.name}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "not a database"),
        (lambda path: path.write_bytes(path.read_bytes()[:8192]), "malformed|damaged"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096)),
            "malformed|damaged",
        ),
    ],
)
def test_a_damaged_file_is_told_and_left_alone(path, damage, words):
    filled(path)
    damage(path)
    before = path.read_bytes()
    with pytest.raises(ArtifactError, match=words) as caught, History(path) as history:
        history.nights()
    assert str(path) in caught.value.message
    assert path.read_bytes() == before


def test_a_file_of_another_program_or_version(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE things (a)")
    with pytest.raises(ArtifactError, match="not a history"):
        History(path)
    path.unlink()
    filled(path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(ArtifactError, match="version 9"):
        History(path)


def test_a_locked_file(path, monkeypatch):
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    filled(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ArtifactError, match="locked") as caught:
        History(path)
    assert "another program" in caught.value.hint
    other.execute("ROLLBACK")
    other.close()
    with History(path) as history:
        assert len(history.nights()) == 1


def test_a_full_disk_loses_nothing_that_was_recorded(path):
    filled(path)
    with History(path) as history:
        night = history.begin(NIGHT)
        pages = history._database.execute("PRAGMA page_count").fetchone()[0]
        history._database.execute(f"PRAGMA max_page_count = {pages}")
        large = Result(CELL, "measured", queries=("a",), per_query={"x": np.random.default_rng(0).random(100_000)})
        with pytest.raises(DiskError, match="no space left on the disk of") as caught:
            history.record(night.number, large)
        assert "free some space" in caught.value.hint
    with History(path) as history:
        assert len(history.results(1)) == 1
        assert history.cell_names(2) == set()


def test_values_of_an_unchanged_night_are_kept_once(path):
    filled(path)
    with History(path) as history:
        before = len(table(path, "blobs"))
        night = history.begin(NIGHT)
        history.record(night.number, RESULT)
        assert len(table(path, "blobs")) == before == 2
        np.testing.assert_array_equal(history.results(night.number)[0].per_query["recall@1"], [1, 0, np.nan])


def test_accept_takes_the_last_finished_night_that_measured_something(path):
    filled(path)
    with History(path) as history:
        second = history.begin(NIGHT)
        history.record(second.number, RESULT)
        history.end(second.number, "2026-11-26T02:10:00+00:00", VERDICT)
        history.begin(NIGHT)
        assert accept(history, "meant so").number == 2
        assert history.accepts()[-1][0::2] == (2, "meant so")
    with pytest.raises(ArtifactError, match="no history"):
        History(path.with_name("other.sqlite"), create=False)


def test_export(path, tmp_path):
    filled(path)
    with History(path) as history:
        assert export(history, tmp_path / "out.csv") == 2
        assert export(history, tmp_path / "out.jsonl") == 2
        with pytest.raises(RecipeError, match=r"\.csv or \.jsonl"):
            export(history, tmp_path / "out.parquet")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["metric"] for row in rows] == [line["metric"] for line in lines] == ["recall", "bytes"]
    assert lines[0]["value"] == 0.9
    assert lines[0]["version_torch"] == "2.15"
    assert lines[0]["accepted"] is True
    assert rows[0]["search"] == '{"nprobe": 4}'
