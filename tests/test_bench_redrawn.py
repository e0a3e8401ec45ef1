"""Nights whose versions, machine or threads are others: a retraining is another draw, and cries no wolf."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from nights import run_night, write_job, write_table

from simsearch.bench.judging.gate import judge
from simsearch.bench.matrix import read_matrix
from simsearch.bench.measuring.measure import run_cell
from simsearch.bench.measuring.scratch import NightHome
from simsearch.bench.records import Night
from simsearch.console import Progress
from simsearch.home import Home
from simsearch.stages import training

pytestmark = pytest.mark.slow

TRAININGS = 41
NIGHT = Night(1, "2026-11-25T02:00:00+00:00", None, "c", "m", "machine", "f", {"torch": "1"})
TONIGHT = replace(NIGHT, number=2, versions={"torch": "2"})


def test_other_threads_train_otherwise_and_the_accepted_embedder_is_judged(tmp_path, monkeypatch):
    write_table(tmp_path)
    write_job(tmp_path)
    assert run_night(tmp_path, tmp_path / "home").verdict.outcome == "pass"
    monkeypatch.setattr(training, "THREADS", 1)
    story = run_night(tmp_path, tmp_path / "home")
    assert story.verdict.outcome == "pass"
    assert any("was not judged: 1 seed" in note for note in story.verdict.notes)
    tested = [finding for finding in story.verdict.findings if finding.p_value is not None]
    assert tested
    assert not any(finding.difference for finding in tested), "the same embedder answers as it did"
    assert not list((tmp_path / "home" / "bench").glob("*/*-accepted")), "the place of the stand-in is removed"
    # What tonight's settings do to answers is still seen, and its cause is found.
    write_job(tmp_path, nprobe=1)
    story = run_night(tmp_path, tmp_path / "home")
    assert story.verdict.outcome == "regression"
    assert {finding.cause.stage for finding in story.verdict.worse} == {"search settings"}
    # A training of other settings is no other draw: it is judged as ever.
    write_job(tmp_path, epochs=1)
    story = run_night(tmp_path, tmp_path / "home")
    assert {finding.cause.stage for finding in story.verdict.worse} == {"embedder"}
    assert not any("was not judged" in note for note in story.verdict.notes)


def test_of_40_pairs_of_trainings_at_most_2_are_red(tmp_path):
    """Another seed stands for another version of torch: the same settings and data, another draw."""
    write_table(tmp_path)
    matrix = read_matrix(str(write_job(tmp_path, epochs=2)))
    home, progress = Home(tmp_path / "home"), Progress()
    (cell,) = matrix.cells
    results = []
    for seed in range(TRAININGS):
        settings = (*cell.settings, f"training.seed={seed}")
        made = run_cell(replace(cell, settings=settings), NightHome(tmp_path / "night", home, progress), home, None)
        assert made.status == "measured", made.error
        results.append(replace(made, cell=cell))
    assert len({tuple(result.per_query["map_at_r"]) for result in results}) == TRAININGS

    def red(before, after, stand_ins):
        return judge(matrix, (NIGHT, before), (TONIGHT, after), lambda _: None, stand_ins).outcome == "regression"

    single = [red([old], [new], {cell.name: old}) for old, new in pairwise(results)]
    assert len(single) == 40
    random, five = np.random.default_rng(0), []
    for _ in range(40):
        drawn = [results[i] for i in random.permutation(TRAININGS)[:10]]
        seeds = [replace(one, cell=replace(cell, seed=i % 5)) for i, one in enumerate(drawn)]
        five.append(red(seeds[:5], seeds[5:], {one.cell.name: one for one in seeds[:5]}))
    as_before = [red([old], [new], {}) for old, new in pairwise(results)]
    print(
        f"red of 40: one seed {sum(single)}, five seeds {sum(five)}, by a paired test of two trainings {sum(as_before)}"
    )
    assert sum(single) <= 2
    assert sum(five) <= 2
