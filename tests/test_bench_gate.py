"""The gate: direction, sureness, what matters, which cells and queries are compared, speed twice; no false alarm."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from nights import MATRIX

from simsearch.bench.judging.compared import shared_queries
from simsearch.bench.judging.gate import judge, pair_cells, quality, speed
from simsearch.bench.judging.metrics import METRICS
from simsearch.bench.matrix import read_matrix
from simsearch.bench.measuring.speed import Reference, measure
from simsearch.bench.records import Cell, Night, NightFigure, Result
from simsearch.statistics.significance import holm, sign_flip_bound, sign_flip_test

QUERIES = 300
NIGHT = Night(1, "2026-11-25T02:00:00+00:00", None, "c", "m", "machine", "f", {})


@pytest.fixture
def matrix(tmp_path):
    (tmp_path / "m.toml").write_text(MATRIX.replace("small.toml", "digits").replace("1000.0", "0.5"))
    return read_matrix(str(tmp_path / "m.toml"))


def cell(factory="Flat", search=(), seed=0, slot=(0, 0)):
    return Cell("digits", seed, factory, tuple(search), "digits", (), slot)


def measured(where, values, *, names=None, figures=()):
    names = tuple(names or (f"{i}.png" for i in range(len(next(iter(values.values()))))))
    return Result(where, "measured", queries=names, per_query=values, figures=tuple(figures))


def values(random, recall=0.95, error=0.05):
    return {
        "recall@1": (random.random(QUERIES) < recall).astype(float),
        "cross_boundary_error@10": random.binomial(10, error, QUERIES) / 10,
        "ann_recall@1": np.ones(QUERIES),
        "ann_recall@10": np.ones(QUERIES),
        "map_at_r": 1 - random.random(QUERIES) * error,
        "boundary": (np.arange(QUERIES) % 10 == 0).astype(float),
    }


def never(_):
    raise AssertionError("speed must not be measured again")


def test_every_direction_comes_from_the_table(matrix):
    random = np.random.default_rng(0)
    good = values(random)
    for name in ("recall@1", "cross_boundary_error@10", "map_at_r", "ann_recall@10"):
        metric = name.partition("@")[0]
        sign = -1 if METRICS[metric].higher_is_better else 1
        bad = {**good, name: np.clip(good[name] + sign * 0.3, -1, 2)}
        for before, after, word in ((good, bad, "worse"), (bad, good, "better")):
            found = quality(matrix, [(measured(cell(), before), measured(cell(), after))])
            moved = {f.metric for f in found if getattr(f, word)}
            assert moved == {metric}
            assert not any(getattr(f, {"worse": "better", "better": "worse"}[word]) for f in found)


def test_a_sure_loss_below_the_least_that_matters_passes(matrix):
    good = values(np.random.default_rng(0))
    bad = {**good, "map_at_r": good["map_at_r"] - 0.001}
    (found,) = [f for f in quality(matrix, [(measured(cell(), good), measured(cell(), bad))]) if f.metric == "map_at_r"]
    assert found.p_holm < 1e-6
    assert not found.worse
    stricter = replace(matrix, gate=matrix.gate.model_copy(update={"least": {"map_at_r": 0.0005}}))
    (found,) = [
        f for f in quality(stricter, [(measured(cell(), good), measured(cell(), bad))]) if f.metric == "map_at_r"
    ]
    assert found.worse


@pytest.mark.parametrize("lost", [4, 9])
def test_a_large_loss_that_is_not_sure_passes(matrix, lost):
    """Nine lost queries would be sure in a test by itself, and are not among all tests of a night."""
    matrix = replace(matrix, gate=matrix.gate.model_copy(update={"least": {"recall": 0.0}}))
    good = values(np.random.default_rng(0))
    bad = {**good, "recall@1": good["recall@1"].copy()}
    bad["recall@1"][np.flatnonzero(good["recall@1"])[:lost]] = 0
    findings = quality(matrix, [(measured(cell(), good), measured(cell(), bad))])
    assert not any(f.worse for f in findings)
    (found,) = [f for f in findings if f.metric == "recall"]
    assert found.p_holm > matrix.gate.p
    assert (found.p_value < matrix.gate.p) == (lost == 9)


def test_boundary_queries_are_those_of_either_night(matrix):
    one, other = (values(np.random.default_rng(0)) for _ in range(2))
    other["boundary"] = np.roll(other["boundary"], 1)
    (found,) = [f for f in quality(matrix, [(measured(cell(), one), measured(cell(), other))]) if f.scope == "boundary"]
    assert found.n == 60


def test_only_shared_queries_are_compared_and_that_is_said(matrix):
    one = values(np.random.default_rng(0))
    kept = np.arange(QUERIES)[::-1][:200]
    other = {name: column[kept] for name, column in one.items()}
    before, after = measured(cell(), one), measured(cell(), other, names=[f"{i}.png" for i in kept])
    a, b = shared_queries(before, after)
    assert [before.queries[i] for i in a] == [after.queries[i] for i in b]
    verdict = judge(matrix, (NIGHT, [before]), (NIGHT, [after]), never)
    assert verdict.outcome == "pass"
    assert all(f.difference == 0 and f.n in (200, 20) for f in verdict.findings)
    assert any("on the 200 queries that both nights have" in note for note in verdict.notes)


def test_cells_whose_setting_was_changed_are_pairs_and_not_new():
    kept, gone = cell("Flat"), cell("PQ8", slot=(5, 0))

    def lists(nprobe):
        return cell("IVF16,Flat", [("nprobe", nprobe)], slot=(1, 0))

    before = [measured(c, {}, names=["a"]) for c in (kept, lists(8), cell("HNSW8", slot=(2, 0)), gone)]
    tonight = (cell("HNSW32", slot=(2, 0)), kept, lists(1), cell("SQ8", seed=1))
    after = [measured(c, {}, names=["a"]) for c in tonight]
    pairs, left, new = pair_cells(before, after)
    assert [(a.cell.factory, b.cell.factory) for a, b in pairs] == [
        ("HNSW8", "HNSW32"), ("Flat", "Flat"), ("IVF16,Flat", "IVF16,Flat")]  # fmt: skip
    assert [r.cell for r in left] == [gone]
    assert [r.cell.factory for r in new] == ["SQ8"]


def speeds(p50, qps):
    return [NightFigure("latency_p50", None, "ratio", p50, n=7), NightFigure("qps", None, "ratio", qps, n=7),
            NightFigure("latency_p50", None, "all", 99.0, n=7)]  # fmt: skip


def test_speed_is_judged_by_its_ratio_and_measured_again(matrix):
    before = measured(cell(), {}, names=["a"], figures=speeds(1.0, 10.0))
    same = measured(cell(), {}, names=["a"], figures=speeds(1.4, 7.0))
    assert not any(f.worse for f in speed(matrix, [(before, same)], never))
    slow = measured(cell(), {}, names=["a"], figures=speeds(1.6, 5.0))
    asked = []

    def again(which):
        asked.append(which)
        return speeds(1.1, 5.5)

    found = {f.metric: f for f in speed(matrix, [(before, slow)], again)}
    assert asked == [cell()], "one wolf, one second look"
    assert not found["latency_p50"].worse, "the second run was quick"
    assert found["qps"].worse
    assert found["qps"].after == 5.5


def test_the_clock_on_the_wall_counts_where_the_machine_was_idle(matrix):
    def night(wall, share):
        more = [
            NightFigure("latency_p50", None, "wall ratio", wall, n=7),
            NightFigure("processor_share", None, "all", share, n=7),
        ]
        return measured(cell(), {}, names=["a"], figures=[*speeds(1.0, 10.0), *more])

    def slow(before, after, second=None):
        found = speed(matrix, [(before, after)], lambda _: None if second is None else second.figures)
        return {(f.metric, f.scope) for f in found if f.worse}

    assert slow(night(1.0, 0.99), night(2.0, 0.99)) == {("latency_p50", "wall ratio")}, "as when an answer sleeps"
    assert slow(night(1.0, 0.99), night(2.0, 0.5)) == set(), "other work had the cores tonight"
    assert slow(night(1.0, 0.5), night(2.0, 0.99)) == set(), "or when the night was accepted"
    assert slow(night(1.0, 0.99), night(2.0, 0.99), night(9.0, 0.4)) == set(), "or when it was timed again"
    off = replace(matrix, gate=matrix.gate.model_copy(update={"speed": False}))
    assert speed(off, [(night(1.0, 1.0), night(9.0, 1.0))], never) == []


def test_a_busy_machine_is_no_slow_search():
    """The ratios by the thread's own clock stay near what they are when other processes want the cores."""
    random = np.random.default_rng(0)
    base = random.standard_normal((30_000, 64), dtype=np.float32)

    def answer(i):
        return np.argpartition(base @ base[i], 10)

    def batch():
        for i in range(20):
            answer(i)
        return 20

    idle = measure(Reference(), answer, 100, batch, repeats=3)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        seen = measure(Reference(), answer, 100, batch, repeats=3)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    before, after = ({(f.metric, f.scope): f for f in timing} for timing in (idle, seen))
    for name in ("latency_p50", "qps"):
        assert 1 / 3 < before[name, "ratio"].value / after[name, "ratio"].value < 3
    for share in (before["processor_share", "all"], after["processor_share", "all"]):
        assert 0 < share.low <= share.value <= share.high <= 1
        assert share.n == 3


def test_speed_of_another_machine_is_not_judged(matrix):
    before = measured(cell(), values(np.random.default_rng(0)), figures=speeds(1.0, 10.0))
    after = replace(before, figures=tuple(speeds(9.0, 1.0)))
    verdict = judge(matrix, (NIGHT, [before]), (replace(NIGHT, fingerprint="g"), [after]), never)
    assert verdict.outcome == "pass"
    assert any("another machine" in note for note in verdict.notes)
    verdict = judge(matrix, (NIGHT, [before]), (NIGHT, [after]), lambda _: None)
    assert verdict.outcome == "regression"
    assert verdict.code == 1


def test_failed_cells_are_two_and_one_when_something_got_worse_as_well(matrix):
    good = values(np.random.default_rng(0))
    bad = {**good, "recall@1": np.zeros(QUERIES)}
    failed = Result(cell(seed=1), "failed", stage="train", error="no")
    known = [measured(cell(), good), measured(cell(seed=1), good)]
    assert judge(matrix, (NIGHT, known), (NIGHT, [measured(cell(), good), failed]), never).code == 2
    assert judge(matrix, (NIGHT, known), (NIGHT, [measured(cell(), bad), failed]), never).code == 1
    broken = replace(failed, broken=True)
    assert judge(matrix, (NIGHT, known), (NIGHT, [measured(cell(), good), broken]), never).code == 1
    assert judge(matrix, None, (NIGHT, [failed]), never).code == 2
    assert judge(matrix, None, (NIGHT, [measured(cell(), good)]), never).code == 0


def test_the_bound_is_never_below_the_exact_p_value():
    random = np.random.default_rng(1)
    for size in (3, 8, 12):
        differences = np.round(random.normal(0.3, 1, size), 2)
        signs = np.array(np.meshgrid(*[(-1, 1)] * size)).reshape(size, -1)
        exact = (np.abs(signs.T @ differences) >= abs(differences.sum()) - 1e-9).mean()
        assert sign_flip_bound(differences) >= exact
    assert sign_flip_bound(np.zeros(5)) == 1
    plain = np.ones(100)
    assert sign_flip_bound(plain) < 1e-20 < sign_flip_test(plain)


@pytest.mark.slow
def test_200_nights_without_a_change_cry_wolf_in_at_most_1_percent(matrix):
    """Both nights of a pair are drawn from the same stored values, each query now and then answering as another did."""
    random = np.random.default_rng(7)
    cells = [cell(seed=seed) for seed in range(4)]
    stored = [values(random, error=0.02 + 0.02 * i) for i in range(len(cells))]
    alarms = seen = 0
    for _ in range(200):
        pairs = []
        for where, column in zip(cells, stored, strict=True):
            sides = []
            for _side in range(2):
                moved = random.random(QUERIES) < 0.15
                rows = np.where(moved, random.integers(0, QUERIES, QUERIES), np.arange(QUERIES))
                # All metrics of a query move together, as they do when a neighbour changes.
                drawn = {name: v[rows] if name != "boundary" else v for name, v in column.items()}
                drawn["ann_recall@10"] = 1 - (random.random(QUERIES) < 0.1) * 0.1
                sides.append(measured(where, drawn))
            pairs.append((sides[0], sides[1]))
        found = quality(matrix, pairs)
        alarms += any(f.worse for f in found)
        seen += any(f.p_value < 0.05 for f in found)
    assert alarms <= 2
    assert seen > 60, "the simulation has differences to be mistaken for losses"


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.5, 0.4]) == [1.0, 1.0, 1.0]


def test_a_sure_loss_fails_only_where_its_interval_lies_wholly_beyond_the_least(matrix):
    good = values(np.random.default_rng(0))
    bad = {**good, "recall@1": good["recall@1"].copy()}
    hits = np.flatnonzero(good["recall@1"])
    bad["recall@1"][hits[:12]] = 0  # a loss of .04 [.02, .06]

    def found(least, *nights):
        stricter = replace(matrix, gate=matrix.gate.model_copy(update={"least": {"recall": least}}))
        before, after = (measured(cell(), night) for night in nights)
        return next(f for f in quality(stricter, [(before, after)]) if f.metric == "recall")

    low, high = sorted(-end for end in found(0.0, good, bad).interval)
    assert 0.005 < low < 0.04 < high
    assert found(0.0, good, bad).p_holm < 0.01
    assert found(low - 0.001, good, bad).worse
    assert not found(low + 0.001, good, bad).worse, "part of the interval does not matter, though its middle does"
    assert found(low - 0.001, bad, good).better
    assert not found(low + 0.001, bad, good).better, "a gain is one by the same rule"


def test_a_second_timing_that_is_worse_does_not_count(matrix):
    before = measured(cell(), {}, names=["a"], figures=speeds(1.0, 10.0))
    slow = measured(cell(), {}, names=["a"], figures=speeds(1.6, 6.0))
    found = {f.metric: f for f in speed(matrix, [(before, slow)], lambda _: speeds(9.0, 0.1))}
    assert (found["latency_p50"].after, found["qps"].after) == (1.6, 6.0)


def redrawn_seeds(random, count, error):
    """Pairs of nights that differ as seeds do, and stand-ins that are what they were."""
    pairs = []
    for seed in range(count):
        old, new = (values(random, recall=0.95 - random.random() * 0.02, error=error) for error in (0.05, error))
        pairs.append((measured(cell(seed=seed), old), measured(cell(seed=seed), new)))
    return pairs, {before.cell.name: before for before, _ in pairs}


OTHER_VERSIONS = replace(NIGHT, versions={"torch": "9"})


def judged(matrix, pairs, stand_ins):
    before, after = ([pair[side] for pair in pairs] for side in (0, 1))
    return judge(matrix, (NIGHT, before), (OTHER_VERSIONS, after), never, stand_ins)


def test_a_retraining_by_other_versions_is_judged_by_a_stand_in_and_with_few_seeds_not_itself(matrix):
    random = np.random.default_rng(1)
    pairs, stand_ins = redrawn_seeds(random, 2, error=0.5)
    verdict = judged(matrix, pairs, stand_ins)
    assert verdict.outcome == "pass"
    assert all(f.difference == 0 for f in verdict.findings), "the accepted embedder answers as it did"
    assert any("not judged: 2 seeds, at least 5 needed" in note for note in verdict.notes)
    assert judged(matrix, pairs, {}).outcome == "regression", "as it is judged where nothing but the training moved"
    name = pairs[0][0].cell.name
    worse = replace(stand_ins[name], per_query={**stand_ins[name].per_query, "recall@1": np.zeros(QUERIES)})
    assert {f.cell for f in judged(matrix, pairs, {**stand_ins, name: worse}).worse} == {name}
    lost = Result(pairs[0][0].cell, "failed", error="it is not there any more")
    verdict = judged(matrix, pairs, {**stand_ins, name: lost})
    assert verdict.outcome == "failed"
    assert any("could not be judged" in note and "not there any more" in note for note in verdict.notes)


def test_a_retraining_of_five_seeds_is_judged_against_their_spread(matrix):
    random = np.random.default_rng(2)
    pairs, stand_ins = redrawn_seeds(random, 5, error=0.3)
    verdict = judged(matrix, pairs, stand_ins)
    assert {f.metric for f in verdict.worse} == {"cross_boundary_error", "map_at_r"}
    assert {f.cause.stage for f in verdict.worse} == {"embedder"}
    found = next(f for f in verdict.worse if f.metric == "map_at_r")
    before, after = ([pair[side].per_query["map_at_r"].mean() for pair in pairs] for side in (0, 1))
    assert found.difference == pytest.approx(np.mean(after) - np.mean(before))
    half = 2.7764451 * np.std(before, ddof=1) * np.sqrt(2 / 5)  # t of 4 degrees of freedom
    spread = max(half, 2.7764451 * np.sqrt(2 / 5) / QUERIES)
    assert found.interval == pytest.approx((found.difference - spread, found.difference + spread))
    assert any("judged by its mean over 5 seeds" in note for note in verdict.notes)
    same, stand_ins = redrawn_seeds(random, 5, error=0.05)
    assert judged(matrix, same, stand_ins).outcome == "pass"


def test_a_recipe_of_few_seeds_does_not_hide_the_next(matrix):
    random = np.random.default_rng(2)
    few, stand_ins = redrawn_seeds(random, 2, error=0.3)
    pairs, _ = redrawn_seeds(random, 5, error=0.3)
    pairs = [tuple(replace(side, cell=replace(side.cell, factory="PQ8")) for side in pair) for pair in pairs]
    stand_ins |= {before.cell.name: before for before, _ in pairs}
    verdict = judged(matrix, [*few, *pairs], stand_ins)
    assert {f.metric for f in verdict.worse} == {"cross_boundary_error", "map_at_r"}
    assert {f.cell for f in verdict.worse} == {pairs[0][1].cell.name}


def test_seeds_that_came_out_alike_are_told_apart_by_a_query(matrix):
    ones = {**values(np.random.default_rng(0)), "recall@1": np.ones(QUERIES)}
    for lost, outcome in ((2, "pass"), (60, "regression")):
        worse = {**ones, "recall@1": np.where(np.arange(QUERIES) < lost, 0.0, 1.0)}
        pairs = [(measured(cell(seed=s), ones), measured(cell(seed=s), worse)) for s in range(5)]
        verdict = judged(matrix, pairs, {before.cell.name: before for before, _ in pairs})
        assert verdict.outcome == outcome
