"""exact_search against a sort of all distances, ties and left-out rows included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from simsearch.errors import VectorsError
from simsearch.vectors import exact
from simsearch.vectors.again import slack
from simsearch.vectors.exact import Ranking, exact_search


def slow(queries, base, k, metric, own):
    rows, values = [], []
    for query, out in zip(queries.astype(np.float64), own, strict=True):
        scores = base.astype(np.float64) @ query
        if metric == "l2":
            scores = ((base.astype(np.float64) - query) ** 2).sum(axis=1)
        order = sorted(
            (row for row in range(len(base)) if row != out),
            key=lambda r: (scores[r] * (1 if metric == "l2" else -1), r),
        )
        rows.append(order[:k])
        values.append(scores[order[:k]])
    return np.array(values), np.array(rows)


def collect(found):
    parts = list(found)
    assert [p[0].start for p in parts] == [0, *(p[0].stop for p in parts[:-1])]
    return np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts])


@given(st.data())
def test_whole_numbers_with_many_ties_come_in_the_stated_order(data):
    """Small integers make every score exact, so that ties are ties in both computations."""
    seed = data.draw(st.integers(0, 10_000))
    n, q, k = data.draw(st.integers(2, 40)), data.draw(st.integers(1, 70)), data.draw(st.integers(1, 45))
    metric = data.draw(st.sampled_from(["ip", "l2"]))
    random = np.random.default_rng(seed)
    base = random.integers(-2, 3, (n, 3)).astype(np.float32)
    base -= 0 if metric == "ip" else base.mean(axis=0).round()
    base = np.concatenate((base, -base))  # mean zero: the shift to the centre stays exact as well
    queries = random.integers(-2, 3, (q, 3)).astype(np.float32)
    own = random.integers(-1, 2 * n, q) if data.draw(st.booleans()) else np.full(q, -1)
    left = 2 * n - int((own >= 0).any())
    values, rows = collect(exact_search(queries, base, k, metric, own))
    expected_values, expected_rows = slow(queries, base, min(k, left), metric, own)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(values, expected_values)


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_tiles_and_blocks_do_not_change_the_answer(metric, monkeypatch):
    random = np.random.default_rng(0)
    base, queries = random.standard_normal((500, 8), np.float32), random.standard_normal((100, 8), np.float32)
    own = np.where(np.arange(100) % 3 == 0, np.arange(100), -1)
    expected = slow(queries, base, 37, metric, own)
    monkeypatch.setattr(exact, "_TILE", 64)
    values, rows = collect(exact_search(queries, base, 37, metric, own))
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_allclose(values, expected[0], rtol=1e-4, atol=1e-5)


def in_full(queries, base, k, metric, own):
    """Every score ranked: what sifting must not change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_SAMPLE", 1)
        patch.setattr(exact, "_sift", None)
        return collect(exact_search(queries, base, k, metric, own))


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("order", ["drawn", "ascending", "descending"])
def test_sifting_changes_nothing_whatever_the_order_of_the_base(metric, order, monkeypatch):
    random = np.random.default_rng(1)
    base = random.integers(-4, 5, (3000, 5)).astype(np.float32)
    base = np.concatenate((base, -base))  # whole numbers, mean zero: all scores are exact, many are ties
    if order != "drawn":
        base = base[np.argsort(base[:, 0] * (1 if order == "ascending" else -1), kind="stable")]
    own = random.integers(-1, len(base), 300)
    own[::5] = 16 * (own[::5] // 16)  # rows of the sample
    queries = base[own] + random.integers(0, 2, (300, 5)).astype(np.float32)
    monkeypatch.setattr(exact, "_SIFTED", 64)
    monkeypatch.setattr(exact, "_SIFT", 700)
    for k in (1, 10):
        for left_out in (None, own):
            values, rows = collect(exact_search(queries, base, k, metric, left_out))
            expected = in_full(queries, base, k, metric, left_out)
            np.testing.assert_array_equal(rows, expected[1])
            np.testing.assert_array_equal(values, expected[0])


def test_where_sifting_leaves_too_many_or_too_few_everything_is_ranked(monkeypatch):
    base, queries = np.ones((2000, 3), np.float32), np.ones((600, 3), np.float32)
    _, rows = collect(exact_search(queries, base, 2, "ip"))
    np.testing.assert_array_equal(rows, np.tile([0, 1], (600, 1)))
    monkeypatch.setattr(exact.np, "partition", lambda scores, *_, **__: scores + np.float32(9))
    _, rows = collect(exact_search(queries, base, 2, "l2"))
    np.testing.assert_array_equal(rows, np.tile([0, 1], (600, 1)))


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_a_search_may_be_left_and_failures_reach_the_caller(monkeypatch):
    random = np.random.default_rng(2)
    base, queries = random.standard_normal((600, 4), np.float32), random.standard_normal((2000, 4), np.float32)
    before = blas_threads()
    for k in (1, 500):
        found = exact_search(queries, base, k, "ip")
        next(found)
        found.close()
    assert blas_threads() == before
    monkeypatch.setattr(exact, "_rank_all", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(exact_search(queries, base, 500, "ip"))


def test_distances_far_from_the_origin_keep_their_order():
    base = (np.arange(8, dtype=np.float32) + 10_000)[:, None] * np.ones((1, 4), np.float32)
    _, rows = collect(exact_search(base[[2]], base, 3, "l2"))
    assert rows.tolist() == [[2, 1, 3]]


def test_shapes_empty_bases_and_endless_vectors_are_refused():
    one = np.ones((1, 3), np.float32)
    with pytest.raises(VectorsError, match=r"seen \(1, 3\), \(1, 2\)"):
        exact_search(one, np.ones((1, 2), np.float32), 1, "ip")
    with pytest.raises(VectorsError, match="nothing to search"):
        exact_search(one, one, 1, "ip", np.array([0]))
    for bad in (np.nan, np.inf, 1e30):
        with pytest.raises(VectorsError, match="beyond float32"):
            exact_search(one, one * np.float32(bad), 1, "ip")


def test_ranking_takes_minus_zero_for_zero_and_keeps_negative_scores_in_order():
    ranking = Ranking(1, 4)
    ranking.update(0, np.array([[-1.5, -0.0, 2.0, 0.0, -1e-30]], np.float32))
    scores, rows = ranking.result()
    assert rows.tolist() == [[2, 1, 3, 4]]
    np.testing.assert_array_equal(scores, np.array([[2.0, 0, 0, -1e-30]], np.float32))


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_whole_numbers_of_any_centre_tie_by_row(metric, k):
    """Every true score is a whole number; the centre is not, so that float32 rounds each of them otherwise."""
    random = np.random.default_rng(k)
    base, queries = random.integers(0, 4, (3000, 6)).astype(np.float32), random.integers(0, 4, (150, 6))
    queries = queries.astype(np.float32)
    own = np.where(np.arange(150) % 2 == 0, random.integers(0, 3000, 150), -1)
    values, rows = collect(exact_search(queries, base, k, metric, own))
    expected = slow(queries, base, k, metric, own)
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_allclose(values, expected[0], rtol=2e-6)


def twins(apart, dim=64, groups=40, each=30):
    """Unit directions times their lengths, `each` copies of every one of them moved by `apart` of its length."""
    random = np.random.default_rng(dim)
    middle = np.repeat(random.standard_normal((groups, dim)) * random.uniform(1, 3, (groups, 1)), each, axis=0)
    moved = random.standard_normal(middle.shape)
    moved *= apart * np.linalg.norm(middle, axis=1, keepdims=True) / np.linalg.norm(moved, axis=1, keepdims=True)
    moved *= random.uniform(0.9, 1.1, (len(moved), 1))
    return (middle + moved).astype(np.float32)[random.permutation(len(middle))]


@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("apart", [1e-2, 1e-3, 1e-4, 1e-5])
def test_twins_are_ranked_as_in_float64(metric, apart):
    base = twins(apart)
    own = np.arange(120)
    for k in (3, 10, 29):  # beyond the margin too: 29 twins of each, some of them after the k-th
        values, rows = collect(exact_search(base[:120], base, k, metric, own))
        expected = slow(base[:120], base, k, metric, own)
        np.testing.assert_array_equal(rows, expected[1])
        if metric == "l2":
            np.testing.assert_allclose(values, expected[0], rtol=1e-6)


def test_blocks_of_a_base_are_joined_in_float64():
    base = twins(1e-4)
    own = np.arange(120)
    blocks = [base[start : start + 100] for start in range(0, len(base), 100)]
    _, rows = exact.exact_neighbours(base[:120], blocks, 12, own)
    np.testing.assert_array_equal(rows, slow(base[:120], base, 12, "ip", own)[1])


@pytest.mark.parametrize("dim", [2, 64, 512, 2048])
def test_float32_is_never_off_by_more_than_the_slack(dim):
    random = np.random.default_rng(0)
    for sign in (0, 1):  # all of one sign is the worst: nothing cancels
        a, b = (np.abs(v) if sign else v for v in random.standard_normal((2, 400, dim)).astype(np.float32))
        true = a.astype(np.float64) @ b.T.astype(np.float64)
        product = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
        assert (np.abs(a @ b.T - true) <= slack(dim) * product).all()


def test_one_very_long_vector_does_not_hide_the_near_ones():
    base = twins(1e-4)
    base[7] *= 1000
    own = np.arange(120)
    _, rows = collect(exact_search(base[:120], base, 5, "l2", own))
    np.testing.assert_array_equal(rows, slow(base[:120], base, 5, "l2", own)[1])


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_of_a_deep_search_the_first_are_in_order_and_none_is_twice(metric):
    base = twins(1e-4)
    _, rows = collect(exact_search(base[:40], base, 400, metric))
    np.testing.assert_array_equal(rows[:, :200], slow(base[:40], base, 200, metric, np.full(40, -1))[1])
    assert all(len(set(row)) == 400 for row in rows.tolist())
