"""A factory without search settings in `index import`: they are tuned on rows that the index does not hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import run_cli, snapshot
from test_import import ROWS, unit

import simsearch
from simsearch.cli import main
from simsearch.exchange.vectors_in import import_command, run_import
from simsearch.home import Home
from simsearch.integrity.repairing import repair_build
from simsearch.report.reading import report_of
from simsearch.vectors.index import build, settings_of
from simsearch.vectors.tuning import given, verify

RANDOM = np.random.default_rng(3)
MIX = RANDOM.normal(size=(40, 12))


def factors(rows):
    """Vectors without clusters, as hard for lists as for graphs."""
    return (np.abs(RANDOM.normal(size=(rows, 40))) @ MIX).astype(np.float32)


BASE, FRESH = factors(2_000), factors(500)


class Rows:
    shape = BASE.shape

    def read(self, start, stop):
        return BASE[start:stop]


def ann_recall(index, search):
    """The share of the exact first ten of queries that the index never held."""
    exact = np.sort(unit(FRESH) @ unit(BASE).T, axis=1)[:, -10:].min(axis=1, keepdims=True)
    return float((index.search(unit(FRESH), 10, search).scores >= exact - 1e-6).mean())


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """(folder, what the command said, home) of the build `mine` of IVF32,Flat, whose settings were left out."""
    root = tmp_path_factory.mktemp("tuned")
    np.save(root / "x.npy", BASE)
    done = run_cli("index", "import", root / "x.npy", "--name", "mine", "--factory", "IVF32,Flat",
                   "--home", root / "home", check=0)  # fmt: skip
    return root, done.stderr, Home(root / "home")


def test_settings_that_are_left_out_reach_the_default_target(tuned):
    _, told, home = tuned
    made = home.build("mine")
    nprobe = made.record.search.nprobe
    assert 1 < nprobe < 32
    assert made.record.recipe["index"]["factory"] == "IVF32,Flat"
    assert made.record.recipe["index"]["target_recall"] == 0.95
    assert f"nprobe {nprobe}: tuned to ann_recall@10 0.95" in told
    assert "200 rows that tuned nothing, held out of the index" in told
    assert "--set index.nprobe= for another" in told
    assert report_of(made)["index"]["ann_recall"]["10"] >= 0.93
    index = home.store.open("index", **made.record.stages["index"])
    choice = json.loads(index.file("index.json").read_bytes())["choice"]
    assert choice["held_out"] == {"tuning": 200, "verifying": 200, "val": 0, "others": 400}
    assert choice["reached"]
    assert choice["interval"][0] >= 0.95
    assert {line["rows"] for line in choice["table"]} == {1600, 2000}
    (chosen,) = [line for line in choice["table"] if line["chosen"]]
    assert chosen["nprobe"] == nprobe


def test_the_promise_holds_for_fresh_queries_and_the_index_is_that_of_the_factory(tuned):
    made = tuned[2].build("mine")
    plain = build(lambda: [BASE], 12, "IVF32,Flat", rows=len(BASE))
    searcher = simsearch.open(made)
    hits = searcher.search_vectors(FRESH, k=10)
    found = plain.search(unit(FRESH), 10, made.record.search)
    assert [[hit.row for hit in one] for one in hits] == found.rows.tolist()
    assert ann_recall(plain, made.record.search) >= 0.95
    assert ann_recall(plain, replace(made.record.search, nprobe=1)) < 0.6


def test_a_tuned_import_is_kept_shown_and_repaired(tuned):
    root, _, home = tuned
    made = home.build("mine")
    assert import_command(made).endswith("--factory IVF32,Flat --target-recall 0.95")
    shown = run_cli("show", "mine", "--home", home.path, check=0).stdout
    assert "# nprobe: tuned to target_recall" in shown
    page = made.page_path.read_text()
    assert "tuned to ann_recall@10 0.95" in page
    before = snapshot(home.path)
    assert not run_import(str(root / "x.npy"), home, "mine", {"factory": "IVF32,Flat"}).ran
    assert snapshot(home.path) == before
    index = home.store.open("index", **made.record.stages["index"])
    damaged = index.file("index.faiss")
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    mended, found = repair_build(made, home)
    assert found.sound
    assert mended.record.stages["index"]["digest"] == made.record.stages["index"]["digest"]
    assert mended.record.search.nprobe > 1


@pytest.mark.parametrize("factory", ["HNSW8", "PQ4x4,RFlat", "IVF16,PQ4x4,Refine(Flat)"])
def test_every_kind_of_setting_is_tuned(factory):
    choice = given.tune(Rows(), len(BASE), factory, target_recall=0.9)
    assert choice.reached
    assert [*choice.search.given()] == settings_of(factory, 12)[0]
    assert choice.index.ntotal == len(BASE)
    assert ann_recall(choice.index, choice.search) >= 0.88
    for key in choice.search.given():
        assert f"--set index.{key}=" in choice.why


def test_what_no_setting_reaches_is_said_and_strict_says_no_where_a_target_was_asked_for(tmp_path, capsys):
    np.save(tmp_path / "x.npy", BASE[:1200])
    command = ["index", "import", str(tmp_path / "x.npy"), "--name", "mine", "--factory", "IVF8,PQ2x2",
               "--home", str(tmp_path / "home"), "--strict"]  # fmt: skip
    for more, code in (([], 0), (["--target-recall", "0.95"], 1)):
        with pytest.raises(SystemExit) as caught:
            main([*command, *more])
        assert caught.value.code == code
        assert "warning: IVF8,PQ2x2 reached ann_recall@10 0.95 at no setting" in capsys.readouterr().err


@pytest.mark.parametrize("factory", ["IVF16,Flat", "HNSW8", "PQ4x4,RFlat"])
@pytest.mark.parametrize("rows", [40, 300])
def test_few_rows_are_looked_at_all(tmp_path, factory, rows):
    np.save(tmp_path / "x.npy", ROWS[:rows])
    home = Home(tmp_path / "home")
    outcome = run_import(str(tmp_path / "x.npy"), home, "mine", {"factory": factory})
    assert outcome.missed is None
    assert outcome.report["index"]["ann_recall"]["10"] > 0.99
    (most,) = outcome.build.record.search.given().values()
    assert most == {"IVF16,Flat": 16, "HNSW8": rows, "PQ4x4,RFlat": rows / 10}[factory]


def test_the_check_uses_other_rows_than_tuning_and_dearer_settings_follow(monkeypatch):
    """Where the rows that verify find less than those that tuned, the next settings are tried, not the first taken."""
    whole, seen = verify.measure, []

    def harder(index, questions, search, **more):
        point = whole(index, questions, search, **more)
        seen.append(search.nprobe)
        return replace(point, low=0.0) if len(seen) < 4 else point

    monkeypatch.setattr(verify, "measure", harder)
    choice = given.tune(Rows(), len(BASE), "IVF32,Flat", target_recall=0.95)
    assert len(seen) == 5
    assert seen[:4] == sorted(set(seen[:4]))
    assert choice.search.nprobe == seen[3]
    assert choice.reached
