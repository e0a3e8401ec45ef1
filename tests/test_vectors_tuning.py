"""Choosing an index by measuring: maths against slow loops, and a choice that holds what it says."""

import dataclasses
from functools import partial
from statistics import NormalDist

import numpy as np
import pytest

from simsearch.errors import VectorsError
from simsearch.vectors.index import FaissIndex, Trained, build, find_centroids
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import Search
from simsearch.vectors.tuning import sweep as sweeping
from simsearch.vectors.tuning import verify
from simsearch.vectors.tuning.candidates import Candidate, candidates, total_bytes
from simsearch.vectors.tuning.choose import choose
from simsearch.vectors.tuning.held import Without, hold_out
from simsearch.vectors.tuning.sweep import Point, mark_pareto, search_seconds, sweep
from simsearch.vectors.tuning.truth import Questions, ask, interval, take, unit_blocks

N, D = 6000, 16


class Array:
    """Features in memory, as FeatureFile gives them; `read_rows` counts what was read at a time."""

    def __init__(self, features):
        self.features, self.most = features, 0

    @property
    def shape(self):
        return self.features.shape

    def read(self, start, stop):
        assert 0 <= start <= stop <= len(self.features)
        self.most = max(self.most, stop - start)
        return self.features[start:stop]


def clustered(rows=N, dim=D, seed=0):
    random = np.random.default_rng(seed)
    centres = random.standard_normal((60, dim))
    noise = 0.3 * random.standard_normal((rows, dim))
    return (3 * (centres[random.integers(0, 60, rows)] + noise)).astype(np.float32)


@pytest.fixture(scope="module")
def chosen():
    source = Array(clustered())
    return source, choose(source, N - 500, target_recall=0.95)


def test_the_choice_is_an_index_over_all_rows_that_reaches_the_target_on_queries_of_our_own(chosen):
    source, choice = chosen
    assert choice.reached
    assert choice.interval[0] >= 0.95
    assert choice.index.ntotal == N - 500
    assert choice.factory == choice.index.factory
    queries, base = normalize(source.features[N - 500 :]), normalize(source.features[: N - 500])
    _, rows, _ = choice.index.search(queries, 10, choice.search)
    exact = queries @ base.T
    kth = np.sort(exact, axis=1)[:, -10]
    recall = (np.take_along_axis(exact, rows, axis=1) >= kth[:, None] - 1e-6).mean()
    assert recall > 0.94
    # What it said of itself is what others find.
    assert choice.interval[0] - 0.03 < recall < choice.interval[1] + 0.03


def test_the_table_holds_every_point_and_one_of_them_is_chosen(chosen):
    _, choice = chosen
    stages = [line["stage"] for line in choice.table]
    assert set(stages) == {"sample", "full", "check", "served"}
    assert {line["factory"] for line in choice.table} >= {"Flat", "HNSW32", "IVF64,Flat", "PQ8x4fs,RFlat"}
    (line,) = (line for line in choice.table if line["chosen"])
    assert (line["factory"], line["ann_recall"]) == (choice.factory, round(choice.ann_recall, 6))
    looks = [one for one in choice.table if one["stage"] in ("check", "served") and one["factory"] == choice.factory]
    assert line["ann_recall"] == min(one["ann_recall"] for one in looks[-2:])  # the lower of both
    assert {key: line[key] for key in choice.search.given()} == choice.search.given()
    assert looks[-2]["rows"] == N - 500 - sum(choice.held_out[key] for key in ("tuning", "verifying"))
    assert {line["rows"] for line in choice.table if line["stage"] == "served"} == {N - 500}
    assert f"{choice.factory} with " in choice.why or choice.why.startswith(f"{choice.factory} is ")
    assert "is the fastest of" in choice.why
    assert "0.95" in choice.why
    assert all(0 <= line["low"] <= line["ann_recall"] <= line["high"] <= 1 for line in choice.table)


@pytest.mark.slow
def test_bytes_limit_what_is_chosen_and_what_cannot_be_is_said():
    source = Array(clustered())
    flat = N * D * 4
    small = choose(source, N, target_recall=0.999, max_bytes=flat // 2)
    assert not small.reached
    assert small.why.startswith("No index of ")
    assert small.index.measured_bytes() < 0.7 * flat
    assert small.index.ntotal == N
    with pytest.raises(VectorsError, match="keeps within max_bytes = 10: the smallest") as caught:
        choose(source, N, target_recall=0.9, max_bytes=10)
    assert "max_bytes to" in caught.value.hint


@pytest.mark.slow
def test_a_target_of_one_takes_the_flat_index():
    choice = choose(Array(clustered(3000)), 3000, target_recall=1)
    assert (choice.factory, choice.reached, choice.interval) == ("Flat", True, (1.0, 1.0))


@pytest.mark.parametrize("rows", [1, 2, 19, 20, 25, 60, 999])
def test_few_rows_are_searched_flat(rows):
    choice = choose(Array(clustered(rows)), rows, target_recall=0.99)
    assert (choice.factory, choice.reached, choice.index.ntotal) == ("Flat", True, rows)
    choice.to_json()


def test_limits_hold_for_a_handful_of_rows_too():
    with pytest.raises(VectorsError, match="keeps within max_bytes = 10") as caught:
        choose(Array(clustered(5)), 5, target_recall=0.99, max_bytes=10)
    least = int(caught.value.hint.split()[4])
    assert choose(Array(clustered(5)), 5, target_recall=0.99, max_bytes=least).reached
    for rows in 5, 500:  # nothing is tuned, or Flat alone is tried
        slow = choose(Array(clustered(rows)), rows, target_recall=0.99, max_build_seconds=1e-9)
        assert not slow.reached
        assert "more than the 1e-09 s allowed" in slow.why


@pytest.mark.parametrize("rows", [5, 50])
def test_bytes_are_those_of_the_index_when_all_its_rows_are_in_it(rows):
    source, in_end = Array(clustered(rows)), 2 * rows
    size = build(lambda: [clustered(in_end)], D, "Flat").measured_bytes()
    choice = choose(source, rows, target_recall=0.99, max_bytes=int(1.05 * size), rows_in_end=in_end)
    assert choice.bytes == pytest.approx(size, rel=0.05)
    with pytest.raises(VectorsError, match=f"no index of {in_end} rows"):
        choose(source, rows, target_recall=0.99, max_bytes=int(0.9 * size), rows_in_end=in_end)


@pytest.mark.parametrize("target", [0, -1, 1.01, float("nan")])
def test_a_target_that_is_no_share_is_refused(target):
    with pytest.raises(VectorsError, match="expected above 0 and at most 1"):
        choose(Array(clustered(100)), 100, target_recall=target)


def test_a_broken_row_is_named():
    broken = clustered(3000)
    broken[1234] = np.nan
    with pytest.raises(VectorsError, match="image 1234 is NaN"):
        choose(Array(broken), 3000, target_recall=0.9, name=str)


def test_equal_rows_count_as_one_another():
    """Half of the rows are copies: the own row is left out, its copies are not, and ties may permute."""
    half = clustered(2000)
    source = Array(np.concatenate([half, half]))
    assert choose(source, 4000, target_recall=0.95).reached


def test_exact_neighbours_over_blocks_are_those_of_a_slow_loop():
    features = clustered(300)
    unit = normalize(features)
    own = np.array([3, 150, 299])
    found = ask(unit[own], own, [unit[:100], unit[100:101], unit[101:]])
    for i, row in enumerate(own):
        order = sorted((-float(unit[row] @ unit[other]), other) for other in range(300) if other != row)[:32]
        np.testing.assert_array_equal(found.rows[i], [other for _, other in order])
        np.testing.assert_allclose(found.scores[i], [-score for score, _ in order], atol=1e-6)
    source = Array(features)
    np.testing.assert_array_equal(take(source, 300, own[::-1], None), unit[own[::-1]])
    assert sum(len(block) for block in unit_blocks(source, 250, None)) == 250


def test_shares_count_ties_and_leave_the_own_row_out():
    exact = np.linspace(0.9, 0.6, 12, dtype=np.float32)[None]
    exact[0, 9:12] = exact[0, 9]  # the tenth ties with two more
    rows = np.arange(100, 112)[None]
    questions = Questions(np.zeros((1, 4), np.float32), np.array([7]), exact, rows)
    returned = np.array([[7, *range(100, 109), 111]])  # the own row, nine, and a tie in place of the tenth
    scores = np.concatenate([[1.0], exact[0, :9], exact[0, 11:]])[None].astype(np.float32)
    for by_score in (True, False):
        assert questions.shares(scores, returned, exact=by_score).tolist() == [1.0]
    returned[0, 3], scores[0, 3] = 500, 0.1
    for by_score in (True, False):
        assert questions.shares(scores, returned, exact=by_score).tolist() == [0.9]


def test_the_interval_is_a_normal_one_with_a_doubt():
    shares = np.random.default_rng(0).choice([1.0, 0.9, 0.8], 1000, p=[0.9, 0.07, 0.03])
    low, high = interval(shares)
    half = 1.96 * shares.std(ddof=1) / 1000**0.5
    assert high == pytest.approx(shares.mean() + half, abs=1e-6)
    assert shares.mean() - half - 0.003 < low < shares.mean() - half
    # 1,000 perfect queries do not prove 1: with a chance of 1 in 20 as many come from a share of 0.997.
    assert interval(np.ones(1000))[0] == pytest.approx(1 - 3 / 1000, abs=2e-4)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    truth = 0.99 + 0.01 * 0.5
    covered = [
        low <= truth <= high
        for low, high in (interval(random.choice([1.0, 0.5], 500, p=[0.99, 0.01])) for _ in range(400))
    ]
    assert 0.9 < np.mean(covered) <= 1


def test_the_pareto_marks_are_those_of_a_slow_loop():
    random = np.random.default_rng(2)
    table = [
        {"stage": "s", "qps": float(q), "ann_recall": float(r)}
        for q, r in zip(random.integers(1, 9, 60), random.integers(0, 9, 60), strict=True)
    ]
    mark_pareto(table)
    for line in table:
        beaten = any(
            (o["qps"] >= line["qps"] and o["ann_recall"] > line["ann_recall"])
            or (o["qps"] > line["qps"] and o["ann_recall"] == line["ann_recall"])
            for o in table
        )
        if beaten:
            assert not line["pareto"], line
    assert {(line["qps"], line["ann_recall"]) for line in table if line["pareto"]}


def test_candidates_fit_the_rows_and_the_width():
    assert [c.factory for c in candidates(500, 64)] == ["Flat"]
    for rows, dim in ((2_000, 2), (50_000, 9), (300_000, 64), (10_000_000, 512), (2_000, 9216)):
        found = candidates(rows, dim)
        assert len({c.factory for c in found}) == len(found)
        assert all(c.nlist * 24 <= rows for c in found)
        sizes = [int(c.factory.partition("PQ")[2].partition("x")[0]) for c in found if "PQ" in c.factory]
        assert (sizes != []) == (dim >= 8)
        assert all(dim % size == 0 and size <= 256 for size in sizes)
        assert {"Flat", "HNSW32"} <= {c.factory for c in found}


def timed(nprobe, k_factor, seconds):
    return Point(Search(nprobe, None, k_factor), 0.5, 0.4, 0.6, 1 / seconds)


def test_predictions_grow_with_the_rows_only_where_the_work_does():
    flat, lists, graph = Candidate("Flat"), Candidate("IVF64,Flat", 64), Candidate("HNSW32")
    one = timed(None, None, 1e-3)
    assert search_seconds(flat, [one], one, 10) == pytest.approx(1e-2)
    assert search_seconds(graph, [one], one, 10) < 2e-3
    once = timed(1, None, 1e-3)
    assert 4e-4 + 5e-3 < search_seconds(lists, [once], once, 10, coarse=4e-4) < 7e-3
    assert total_bytes(lists, 1000, 10_000, 16, 64 * 16 * 4 + 72_000) == 64 * 16 * 4 + 720_000


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_several_points_tell_scanning_from_scoring_again(noise):
    random = np.random.default_rng(0)
    codes, lists = Candidate("PQ8x4fs,RFlat"), Candidate("IVF64,PQ8x4fs,RFlat", 64)
    fixed, scan, again = 1e-5, 2e-6, 1e-6
    jitter = lambda: 1 + noise * random.standard_normal()  # noqa: E731
    points = [
        timed(n, k, (fixed + scan * n + again * k) * jitter()) for n, k in ((1, 1), (2, 1), (1, 2), (4, 4), (8, 4))
    ]
    expected = fixed + 10 * scan * 8 + again * 4
    assert search_seconds(lists, points, points[-1], 10) == pytest.approx(expected, rel=1e-6 + 6 * noise)
    without = [timed(None, k, (fixed + again * k) * jitter()) for k in (1, 2, 4)]
    expected = 10 * fixed + again * 4
    assert search_seconds(codes, without, without[-1], 10) == pytest.approx(expected, rel=1e-6 + 6 * noise)


def test_lists_that_were_only_scored_again_otherwise_tell_scanning_by_what_is_left():
    """One nprobe, several k_factor: the fit would take what scoring again costs for what scanning does."""
    lists, coarse = Candidate("IVF64,PQ8x4fs,RFlat", 64), 4e-5
    points = [timed(4, k, 1e-4 + 1e-6 * k) for k in (1, 2, 4)]
    scanning = 1.04e-4 - coarse - 4 * 2e-7
    expected = 1.04e-4 + 9 * scanning
    assert search_seconds(lists, points, points[-1], 10, coarse=coarse) == pytest.approx(expected)


def test_exact_by_its_nature_is_one_and_by_luck_is_a_bound(monkeypatch):
    monkeypatch.setattr(sweeping, "SECONDS", 0.0)
    unit = normalize(clustered(200))
    index, questions = build(lambda: [unit], D, "Flat"), ask(unit[:50], np.arange(50), [unit])
    for by_nature in (True, False):
        point = sweeping.measure(index, questions, Search(), exact_index=by_nature)
        assert point.recall == 1
        assert (point.low == 1) == by_nature
        assert point.high == 1


def test_a_prediction_stays_between_no_growth_and_all_of_it():
    lists = Candidate("IVF64,PQ8x4fs,RFlat", 64)
    faster = [timed(1, 1, 3e-5), timed(2, 1, 2e-5), timed(4, 2, 1e-5)]  # a busy moment at the start
    assert 1e-5 < search_seconds(lists, faster, faster[-1], 8) < 2e-5
    steep = [timed(1, 1, 1e-6), timed(2, 1, 4e-6), timed(4, 2, 1e-4)]
    assert search_seconds(lists, steep, steep[-1], 8) <= 8e-4


def test_a_sweep_stops_where_the_target_is_reached_and_where_it_is_hopeless():
    unit = normalize(clustered())
    base, queries = unit[: N - 500], unit[N - 500 :]
    questions = ask(queries, np.full(500, -1), [base])
    trained = Trained(base, find_centroids(base, 64))
    index = build(lambda: [base], D, "IVF64,Flat", rows=len(base), trained=trained)
    kind = Candidate("IVF64,Flat", 64)
    points = sweep(index, kind, questions, 0.9, lambda points, point: False)
    reaching = [p for p in points if p.reaches(0.9)]
    assert reaching
    recalls = {p.search.nprobe: p.recall for p in points}
    assert [recalls[n] for n in sorted(recalls)] == sorted(recalls.values())
    least = min(p.search.nprobe for p in reaching)
    assert least == 1 or not any(p.reaches(0.9) for p in points if p.search.nprobe == least - 1)
    assert len(sweep(index, kind, questions, 2.0, lambda points, point: True)) == 1
    refined = build(lambda: [base], D, "IVF64,PQ8x4fs,RFlat", rows=len(base), trained=trained)
    points = sweep(refined, Candidate("IVF64,PQ8x4fs,RFlat", 64), questions, 0.9, lambda points, point: False)
    best = max((p for p in points if p.reaches(0.9)), key=lambda p: p.qps)
    assert best.search.k_factor > 1
    assert best.search.nprobe >= 1


def test_a_point_reaches_only_with_room_for_other_queries():
    assert not Point(Search(), 0.991, 0.9895, 0.9925, 1.0).reaches(0.99)
    assert Point(Search(), 0.993, 0.9915, 0.9945, 1.0).reaches(0.99)
    assert Point(Search(), 1.0, 1.0, 1.0, 1.0).reaches(1.0)


def test_a_large_file_is_mapped_and_answers_alike(tmp_path):
    features = np.random.default_rng(3).standard_normal((40_000, 512)).astype(np.float32)
    index = build(lambda: [features], 512, "Flat")
    index.save(tmp_path / "index.faiss")
    assert (tmp_path / "index.faiss").stat().st_size > 64 << 20
    queries = normalize(features[:5])
    before = resident()
    mapped = FaissIndex.load(tmp_path / "index.faiss", mapped=True)
    assert resident() - before < 20_000_000
    np.testing.assert_array_equal(mapped.search(queries, 10)[1], index.search(queries, 10)[1])
    grown = FaissIndex.load(tmp_path / "index.faiss")
    grown.add(features[:1])
    assert grown.ntotal == 40_001, "one that was read takes rows"
    whole = (tmp_path / "index.faiss").stat().st_size
    for length in (whole - 1, whole // 2, 20):
        with (tmp_path / "short.faiss").open("wb") as file:
            file.write((tmp_path / "index.faiss").read_bytes()[: max(length, 0)])
        with pytest.raises(VectorsError, match="cannot read index"):
            FaissIndex.load(tmp_path / "short.faiss", mapped=True)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


SMALL = 2500


def watched(monkeypatch, low=lambda index, point: point.low):
    """What was measured, (index, queries, whether to verify, z); `low` says the bound that a check finds."""
    seen = []
    plain = sweeping.measure

    def measure(index, questions, search, *, verifying, **options):
        point = plain(index, questions, search, **options)
        seen.append((index, questions, verifying, options.get("z")))
        return dataclasses.replace(point, low=low(index, point)) if verifying else point

    kinds = [Candidate("Flat"), Candidate("IVF64,Flat", 64)]
    monkeypatch.setattr("simsearch.vectors.tuning.choose.candidates", lambda rows, dim: kinds)
    monkeypatch.setattr(sweeping, "measure", partial(measure, verifying=False))
    monkeypatch.setattr(verify, "measure", partial(measure, verifying=True))
    return seen


def test_rows_that_verify_tuned_nothing_and_are_in_no_index_that_is_tried(monkeypatch):
    seen = watched(monkeypatch)
    features = clustered(SMALL)
    choice = choose(Array(features), SMALL, target_recall=0.9)
    held = sum(choice.held_out[key] for key in ("tuning", "verifying"))
    assert held == SMALL // 5
    rows_of = {row.tobytes(): number for number, row in enumerate(normalize(features))}
    tuned, checked = set(), set()
    for index, questions, verifying, _ in seen:
        (checked if verifying else tuned).update(rows_of[row.tobytes()] for row in questions.embeddings)
        if index.ntotal < SMALL:  # its own row would answer with 1
            assert index.ntotal <= SMALL - held
            assert (build_scores(index, questions) < 1 - 1e-5).all()
    assert tuned
    assert len(checked) == choice.held_out["verifying"]
    assert not tuned & checked
    assert choice.index.ntotal == SMALL


def build_scores(index, questions):
    if not index.scores_are_exact:
        return np.zeros(1)
    return index.search(questions.embeddings, 1)[0]


def test_the_bound_decides_and_not_the_recall(monkeypatch):
    """Without the rows held out, and only there: the look at the index over all rows would let it pass."""
    seen = watched(monkeypatch, low=lambda index, point: 1.0 if index.is_flat or index.ntotal == SMALL else 0.89)
    choice = choose(Array(clustered(SMALL)), SMALL, target_recall=0.9)
    checks = [line for line in choice.table if line["stage"] == "check" and line["factory"] != "Flat"]
    assert checks
    assert max(line["ann_recall"] for line in checks) > 0.9
    assert (choice.factory, choice.reached) == ("Flat", True)
    assert {line["factory"] for line in choice.table if line["stage"] == "served"} == {"Flat"}
    # Each further attempt on the same rows by a wider bound, and what is served by that of its own.
    widths = [verify.doubt_after(attempt + 1) for attempt in range(len(checks) + 1)]
    assert [z for _, _, verifying, z in seen if verifying] == [*widths, widths[-1]]


def test_a_wider_bound_is_lower(monkeypatch):
    unit = normalize(clustered(SMALL))
    index = build(lambda: [unit[:2000]], D, "PQ4x4fs")
    questions = ask(unit[2000:], np.full(500, -1), [unit[:2000]])
    monkeypatch.setattr(sweeping, "SECONDS", 0.0)
    points = [sweeping.measure(index, questions, Search(), z=z) for z in (1.0, 2.0, 3.0)]
    assert len({point.recall for point in points}) == 1
    steps = np.diff([point.low for point in points])
    assert steps[0] == pytest.approx(steps[1])
    assert steps[0] < -0.001


def test_where_no_bound_holds_the_highest_recall_is_served_and_said_not_to_reach(monkeypatch):
    watched(monkeypatch, low=lambda index, point: 0.5)
    choice = choose(Array(clustered(SMALL)), SMALL, target_recall=0.9)
    assert not choice.reached
    assert choice.why.startswith("No index of ")
    checks = [line for line in choice.table if line["stage"] == "check"]
    assert {line["factory"] for line in checks} == {"Flat", "IVF64,Flat"}
    assert max(checks, key=lambda line: line["ann_recall"])["factory"] == choice.factory == "Flat"
    assert choice.index.ntotal == SMALL


def test_an_index_that_returns_less_over_all_rows_is_not_served(monkeypatch):
    watched(monkeypatch, low=lambda index, point: 0.89 if index.ntotal == SMALL and not index.is_flat else 1.0)
    choice = choose(Array(clustered(SMALL)), SMALL, target_recall=0.9)
    assert any(line["stage"] == "served" and line["factory"] != "Flat" for line in choice.table)
    assert (choice.factory, choice.reached) == ("Flat", True)


def test_val_rows_are_held_out_first_and_others_only_where_they_are_few():
    val = np.arange(100, 1600)
    held = hold_out(20_000, val, 0)
    assert held.to_json() == {"tuning": 750, "verifying": 750, "val": 1500, "others": 0}
    assert set(held.rows()) == set(val)
    few = hold_out(20_000, val[:300], 0)
    assert few.to_json() == {"tuning": 2000, "verifying": 2000, "val": 300, "others": 3700}
    assert set(val[:300]) <= set(few.rows())
    assert len(set(few.rows())) == 4000
    small = hold_out(1000, val, 0)  # val rows beyond the gallery are none of it
    assert small.to_json() == {"tuning": 100, "verifying": 100, "val": 200, "others": 0}
    assert set(small.rows()) <= set(range(100, 1000))


def test_what_is_left_is_read_as_by_a_slow_loop():
    features = clustered(50)
    for held in ([0, 1, 7, 20, 48, 49], [25], []):
        held = np.array(held, dtype=np.int64)
        rest = Without(Array(features), 50, held)
        kept = [row for row in range(50) if row not in held]
        assert rest.shape == (len(kept), D)
        assert rest.origin(np.arange(len(kept))).tolist() == kept
        for start in range(len(kept) + 1):
            for stop in range(start, len(kept) + 1):
                np.testing.assert_array_equal(rest.read(start, stop), features[kept[start:stop]])


def test_every_further_attempt_needs_a_wider_bound():
    widths = [verify.doubt_after(attempt) for attempt in range(1, 7)]
    assert widths[0] == pytest.approx(1.96, abs=1e-3)
    assert widths == sorted(widths)
    doubts = [NormalDist().cdf(-width) for width in widths]
    assert sum(doubts) < 0.05


def test_a_row_that_is_asked_for_gets_no_more_candidates_than_a_query():
    search = verify._beside_itself(Search(k_factor=15), 10)
    assert search.k_factor * 11 == pytest.approx(15 * 10 + 1)  # its own row is the one more
    assert verify._beside_itself(Search(nprobe=3), 10) == Search(nprobe=3)
