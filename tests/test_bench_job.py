"""The job from outside: exit codes, what it prints and writes, kills, a failing recipe, limits, the clock."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import pytest
from commands import ENTRY
from conftest import run_cli, write_folder

from simsearch.bench import night as module
from simsearch.bench.history.history import History
from simsearch.bench.matrix import read_matrix
from simsearch.bench.measuring.scratch import remove_nights
from simsearch.bench.night import Job, OutOfTimeError, bounded
from simsearch.home import Home

pytestmark = pytest.mark.slow

RECIPE = """
[dataset]
source = "folder:{folder}"
[embedder]
backbone = "mnist_cnn"
weights = "none"
dim = 8
[training]
epochs = 2
[evaluation]
baseline = false
map = false
k = [1, 5]
"""
MATRIX = """
[matrix]
recipes = ["photos.toml"]
factories = ["Flat", "HNSW8"]
search = [{ efSearch = 4 }, { efSearch = 32 }]
[gate]
speed = 1000.0
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """(matrix file, home, output) of a first night through the command line."""
    root = tmp_path_factory.mktemp("bench")
    write_folder(root / "photos", labels=3, each=20)
    (root / "photos.toml").write_text(RECIPE.format(folder=root / "photos"))
    (root / "matrix.toml").write_text(MATRIX)
    done = run_cli("bench", root / "matrix.toml", "--home", root / "home", check=0)
    return root / "matrix.toml", root / "home", done


def test_a_first_night_is_accepted_and_tells_where_its_pages_are(job):
    _, home, done = job
    assert "photos seed 0" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout + done.stderr
    latest = home / "bench" / "latest"
    assert str(latest / "trend.html") in done.stderr
    assert "<script" not in (latest / "trend.html").read_text()
    assert "photos" in (latest / "nightly.md").read_text()
    cases = ElementTree.parse(latest / "junit.xml").iter("testcase")
    assert {case.get("classname") for case in cases}
    with History(home / "bench" / "history.sqlite") as history:
        assert history.accepted().number == 1
        results = history.results(1)
    assert [r.cell.name for r in results] == [
        "photos seed 0 Flat", "photos seed 0 HNSW8 efSearch=4", "photos seed 0 HNSW8 efSearch=32"]  # fmt: skip
    metrics = {figure.metric for figure in results[1].figures}
    assert metrics >= {"recall", "map_at_r", "cross_boundary_error", "roc_auc", "ann_recall", "qps", "latency_p50",
                       "latency_p99", "seconds", "bytes", "peak_memory"}  # fmt: skip
    assert {f.scope for f in results[0].figures if f.metric == "seconds"} >= {"train", "embed", "index", "evaluate"}


def test_a_second_night_is_made_anew_and_passes(job):
    matrix, home, _ = job
    done = run_cli("bench", matrix, "--home", home, "--json", check=0)
    found = json.loads(done.stdout)
    assert (found["verdict"], found["exit"], found["accepted"]) == ("pass", 0, 1)
    assert done.stderr.count("Trained") == 1, "train runs anew each night, and once for three indexes"
    assert "Read  " not in done.stderr, "the data set is the home's"
    assert len(found["cells"]) == 3
    assert not found["regressions"]
    scratch = next((home / "bench").glob("*/night-000002")).parent
    assert {path.name for path in scratch.glob("night-*")} == {
        f"night-{found['accepted']:06d}",
        f"night-{found['night']:06d}",
    }


def test_accept_needs_a_reason_and_moves_the_baseline(job):
    matrix, home, _ = job
    assert "takes a reason" in run_cli("bench", "accept", "--home", home, check=2).stderr
    assert "belongs to accept" in run_cli("bench", matrix, "--reason", "x", "--home", home, check=2).stderr
    run_cli("bench", "accept", "--reason", "meant so", "--home", home, check=0)
    with History(home / "bench" / "history.sqlite") as history:
        number, _, reason = history.accepts()[-1]
        assert (number, reason) == (history.nights()[-1].number, "meant so")
    assert "no history" in run_cli("bench", "accept", "--reason", "x", "--home", home / "none", check=2).stderr


def test_export_writes_the_history(job, tmp_path):
    _, home, _ = job
    run_cli("bench", "--export", tmp_path / "out.csv", "--home", home, check=0)
    assert "latency_p50" in (tmp_path / "out.csv").read_text()
    assert ".csv or .jsonl" in run_cli("bench", "--export", tmp_path / "out.txt", "--home", home, check=2).stderr


def test_a_recipe_that_fails_is_named_and_the_others_run(job, tmp_path):
    matrix, home, _ = job
    (tmp_path / "photos.toml").write_text((matrix.parent / "photos.toml").read_text())
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.toml").write_text(RECIPE.format(folder=tmp_path / "empty"))
    (tmp_path / "m.toml").write_text(
        MATRIX.replace('["photos.toml"]', '["bad.toml", "photos.toml"]').replace('"HNSW8"', '"PQ3"')
    )
    done = run_cli("bench", tmp_path / "m.toml", "--home", home, "--history", tmp_path / "h.sqlite", "--json", check=2)
    found = json.loads(done.stdout)
    assert found["verdict"] == "failed"
    status = {cell["cell"]: (cell["status"], cell["stage"]) for cell in found["cells"]}
    assert status["bad seed 0 Flat"] == ("failed", "dataset")
    assert status["photos seed 0 Flat"][0] == "measured"
    assert status["photos seed 0 PQ3"] == ("failed", "index")
    assert all(entry["error"] for entry in found["failed"])
    assert any("no night is accepted" in note for note in found["notes"])


def test_wrong_words_and_files(job, tmp_path):
    _, home, _ = job
    assert "no matrix file" in run_cli("bench", "nonsense", "--home", home, check=2).stderr
    assert "one MATRIX" in run_cli("bench", "a", "b", "--home", home, check=2).stderr
    (tmp_path / "h.sqlite").write_text("this is no database, however long it is" * 100)
    done = run_cli("bench", "--history", tmp_path / "h.sqlite", "--home", home, check=2)
    assert "not a database" in done.stderr
    assert "hint:" in done.stderr


@pytest.mark.parametrize("said", ["Trained", "Cell 2", "Cell 3"])
def test_killed_after(job, tmp_path, said):
    matrix, _, _ = job
    home = tmp_path / "home"
    command = [*ENTRY, "bench", str(matrix), "--home", str(home)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stderr:
        if line.startswith(said):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    done = run_cli("bench", matrix, "--home", home, "--json", check=0)
    assert "Going on with night 1" in done.stderr
    if said == "Cell 3":
        assert "Trained" not in done.stderr, "what was finished before the kill is used"
        assert "Cell 2" not in done.stderr
    assert [cell["status"] for cell in json.loads(done.stdout)["cells"]] == ["measured"] * 3
    with sqlite3.connect(home / "bench" / "history.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*), count(DISTINCT cell) FROM cells").fetchone() == (3, 3)
        assert database.execute("SELECT verdict FROM ends").fetchall() == [("pass",)]


def in_process(matrix, home):
    with History(home / "bench" / "history.sqlite") as history:
        return Job(Home(home), history, read_matrix(str(matrix))).run()


def test_a_night_of_other_code_is_not_continued_and_a_clock_that_went_back_is_told(job, monkeypatch):
    matrix, home, _ = job
    with History(home / "bench" / "history.sqlite") as history:
        left = history.begin(history.nights()[-1])
    monkeypatch.setattr(module.machine, "code_digest", lambda: "other")
    monkeypatch.setattr(module, "now", lambda: "2020-01-01T00:00:00+00:00")
    story = in_process(matrix, home)
    assert story.verdict.outcome == "pass"
    assert any("the clock went back" in note for note in story.verdict.notes)
    assert any("own code" in note for note in story.verdict.notes)
    with History(home / "bench" / "history.sqlite") as history:
        assert history.nights()[left.number - 1].verdict == "abandoned"
        assert story.night.number == left.number + 1


def test_the_bound_on_time_drops_the_last_cells_and_says_which(job, monkeypatch):
    matrix, home, _ = job
    short = matrix.with_name("short.toml")
    # By what the cells took in earlier nights, the first alone fits.
    with History(home / "bench" / "history.sqlite") as history:
        seconds = history.results(history.nights()[-1].number, per_query=False)[0].seconds
    limit = sum(s for stage, s in seconds.items() if stage != "dataset") + 0.001
    monkeypatch.setattr(module, "bounded", lambda left: bounded(600))
    short.write_text(MATRIX + f"[limits]\nseconds = {limit}\n")
    monkeypatch.setattr(module.time, "monotonic", lambda: 0.0)
    story = in_process(short, home)
    assert [cell.name for cell in story.verdict.dropped] == [
        "photos seed 0 HNSW8 efSearch=4", "photos seed 0 HNSW8 efSearch=32"]  # fmt: skip
    assert story.verdict.outcome == "pass"


def test_bounded_rings_once_and_leaves_the_handler_as_it_was():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(OutOfTimeError), bounded(0.02):
        time.sleep(60)
    with bounded(60):
        time.sleep(0)
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_scratch_areas_that_are_kept(tmp_path):
    for name in ("night-000001", "night-000002", "night-000003", ".old-night-000000-5", "other"):
        (tmp_path / name / "artifacts").mkdir(parents=True)
    remove_nights(tmp_path, {"night-000001", "night-000003"})
    assert {path.name for path in tmp_path.iterdir()} == {"night-000001", "night-000003", "other"}
    remove_nights(tmp_path / "none", set())


def test_help_names_the_exit_codes():
    text = re.sub(r"\s+", " ", run_cli("bench", "--help", check=0).stdout)
    assert "0 pass, 1 regression, 2 could not run" in text


def test_a_night_keeps_its_verdict_where_stdout_is_full(monkeypatch, tmp_path, capsys):
    from simsearch.cli import benching, printing

    monkeypatch.setattr("simsearch.bench.written.publish", lambda story, folder: {"trend": "trend.html"})
    monkeypatch.setattr("simsearch.bench.outputs.terminal_table", lambda story: "a table")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(printing, "_answers", full)
        assert benching._tell(None, tmp_path, False) == 2
    said = capsys.readouterr().err
    assert "error: the night could not be printed: stdout cannot be written: No space left on device" in said
