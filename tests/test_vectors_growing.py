"""simsearch/vectors/tuning/growing.py: what a graph is taken to lose by the rows that are still to join it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from promises import Array

from simsearch.vectors.search import DEFAULT
from simsearch.vectors.tuning import growing as growing_module
from simsearch.vectors.tuning.candidates import Candidate
from simsearch.vectors.tuning.choose import choose
from simsearch.vectors.tuning.growing import Growing
from simsearch.vectors.tuning.sweep import Point
from simsearch.vectors.tuning.tuning import Built, Tuning

ROWS, HELD = 2_000, 400  # half of them tune
GRAPH = Candidate("HNSW8", given=True)
NO_VAL = np.empty(0, dtype=np.int64)


@pytest.fixture
def run():
    features = np.random.default_rng(0).standard_normal((ROWS, 16)).astype(np.float32)
    run = Tuning(Array(features), ROWS, 0.9, None, None, 0, None, lambda message: None, ROWS)
    run.draw([GRAPH], NO_VAL)
    assert len(run.held.rows()) == HELD
    return run


def built(candidate):
    return Built(candidate, None, [], 0, 0.0)


def test_what_was_lost_by_the_rows_that_joined_is_lost_once_more(run, monkeypatch):
    graph = Growing(run, built(GRAPH))
    assert graph.rows == ROWS - HELD / 2
    now = Point(DEFAULT, 0.95, 0.94, 0.96, 10.0)
    monkeypatch.setattr(growing_module, "measure", lambda index, questions, search, z: now)
    seen = graph.check(replace(now, recall=0.97), DEFAULT, 1.96)
    lost = 0.02 * math.log(2_000 / 1_800) / math.log(1_800 / 1_600)
    assert (seen.recall, seen.low, seen.high) == pytest.approx((0.95 - lost, 0.94 - lost, 0.96 - lost))
    assert graph.check(replace(now, recall=0.93), DEFAULT, 1.96) == now, "a chance gain is no gain"


def test_only_graphs_of_few_rows_are_built_once_more(run):
    assert Growing.matters(run, built(GRAPH))
    assert not Growing.matters(run, built(Candidate("IVF32,Flat", 32)))
    run.rows = HELD * 50
    assert not Growing.matters(run, built(GRAPH)), "a fiftieth changes nothing that a check could tell"


def test_a_graph_is_checked_over_all_rows_but_those_that_verify(run, monkeypatch):
    monkeypatch.setattr(
        "simsearch.vectors.tuning.choose.candidates", lambda rows, dim: list(map(Candidate, ("HNSW8", "HNSW16")))
    )
    choice = choose(run.source, ROWS, target_recall=0.8)
    checks = {line["rows"] for line in choice.table if line["stage"] == "check"}
    assert checks == {ROWS - HELD // 2}
    assert {line["rows"] for line in choice.table if line["stage"] == "full"} == {ROWS - HELD}
