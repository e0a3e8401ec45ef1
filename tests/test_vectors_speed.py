"""Queries a second: one definition, by a clock of our own, and the same in a report as in tuning."""

import numpy as np
import pytest

from simsearch.evaluation.systems import Task
from simsearch.evaluation.through_index import evaluate_index
from simsearch.vectors import speed
from simsearch.vectors.index import FaissIndex, build
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import DEFAULT
from simsearch.vectors.speed import queries_per_second
from simsearch.vectors.tuning.choose import choose
from simsearch.vectors.tuning.sweep import measure
from simsearch.vectors.tuning.truth import ask


class Clock:
    """A clock that only a search moves, by the next of `seconds`, over and over; `calls` counts the searches."""

    def __init__(self, *seconds):
        self.seconds, self.now, self.calls = seconds, 0.0, 0

    def perf_counter(self):
        return self.now

    def search(self):
        self.now += self.seconds[self.calls % len(self.seconds)]
        self.calls += 1
        return self.calls


def timed(monkeypatch, *seconds, **options):
    clock = Clock(*seconds)
    monkeypatch.setattr(speed, "time", clock)
    found, answer = queries_per_second(clock.search, 100, **options)
    assert answer == 1, "the warm-up's"
    return found, clock.calls


def test_the_median_of_the_runs_after_a_warm_up(monkeypatch):
    quick = [0.01] * 7 + [0.02] + [0.06] * 7
    assert timed(monkeypatch, 50.0, *quick) == (pytest.approx(100 / 0.02), 16)


def test_runs_end_with_the_one_that_passes_the_budget_and_one_is_always_timed(monkeypatch):
    assert timed(monkeypatch, 9.0, 0.5, 0.9, 0.7, 0.1) == (pytest.approx(100 / 0.7), 4)
    assert timed(monkeypatch, 9.0, 0.5, 0.9, 0.7, seconds=0.6) == (pytest.approx(100 / 0.7), 3)
    assert timed(monkeypatch, 9.0, 5.0, 1.0) == (pytest.approx(100 / 5.0), 2)


def test_a_report_and_tuning_measure_one_index_alike(monkeypatch):
    rows = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)

    class Source:
        shape = rows.shape

        def read(self, start, stop):
            return rows[start:stop]

    # Any fifteen in a row have the same median, and neither the fastest nor the mean is it.
    clock = Clock(*[0.004] * 8, *[0.001] * 3, *[0.012] * 4)
    searched = FaissIndex.search

    def search(self, *args, **kwargs):
        clock.search()
        return searched(self, *args, **kwargs)

    index = build(lambda: [rows[:50]], 8, "Flat")
    monkeypatch.setattr(FaissIndex, "search", search)
    monkeypatch.setattr(speed, "time", clock)
    task = Task(50, np.arange(50, 60), None, (10,))
    thresholds = np.zeros((10, 1), dtype=np.float32)
    report = evaluate_index(index, Source(), task, None, thresholds, DEFAULT, timed_k=10).qps
    unit = normalize(rows)
    tuned = measure(index, ask(unit[50:], np.full(10, -1), [unit[:50]]), DEFAULT).qps
    assert (report, tuned) == (pytest.approx(10 / 0.004), pytest.approx(10 / 0.004))
    assert choose(Source(), 15, target_recall=0.9).qps == pytest.approx(15 / 0.004)
