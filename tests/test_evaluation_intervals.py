"""Bootstrap intervals against a slow loop over the same draws, and all intervals against their own promise."""

import math

import numpy as np
import pytest

from simsearch.evaluation.figures import CLAIM
from simsearch.evaluation.measured import SystemResult, evaluate_system, with_intervals
from simsearch.evaluation.own import Own
from simsearch.evaluation.retrieval import relevant_counts
from simsearch.statistics import intervals as module
from simsearch.statistics.intervals import percentile_intervals, wilson_interval


def trees(results, ks):
    found = with_intervals(results, ks)
    return {name: result.tree(ks, lambda one: one.interval) for name, result in found.items()}


def slow(values, resamples, seed):
    """One resample at a time, one column at a time; rows without any value are nobody."""
    values = values[~np.isnan(values).all(axis=1)]
    random = np.random.default_rng(seed)
    drawn = [random.integers(0, len(values), len(values)) for _ in range(resamples)]
    found = []
    for column in values.T:
        means = [np.mean(kept) for rows in drawn if len(kept := [x for x in column[rows] if not np.isnan(x)])]
        found.append(np.quantile(means, (0.025, 0.975)) if means else (np.nan, np.nan))
    return np.array(found)


@pytest.mark.parametrize("block", [2_000_000, 40, 1])
def test_columns_equal_a_loop_over_the_same_draws(monkeypatch, block):
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", block)
    random = np.random.default_rng(0)
    values = random.random((30, 5))
    values[::4, 1] = np.nan
    values[2:, 2] = np.nan  # so few that some resamples have none
    values[:, 3] = np.nan
    values[7] = np.nan
    values[:, 4] = 0.1  # no variance: a point, whatever rounding does
    got = percentile_intervals(values, resamples=200, seed=3)
    np.testing.assert_allclose(got[:4], slow(values, 200, 3)[:4], atol=1e-12)
    assert got[4].tolist() == [0.1, 0.1]
    assert np.isnan(got[3]).all()


def test_one_query_or_none_is_no_crash():
    assert percentile_intervals(np.array([[0.3, np.nan]])).tolist()[0] == [0.3, 0.3]
    assert np.isnan(percentile_intervals(np.full((4, 2), np.nan))).all()
    assert np.isnan(percentile_intervals(np.empty((0, 2)))).all()
    assert percentile_intervals(np.empty((5, 0))).shape == (0, 2)


def test_the_tree_is_that_of_the_figures():
    random = np.random.default_rng(1)
    labels, gallery = random.integers(0, 3, 50), random.integers(0, 3, 40)
    labels[:5] = 9  # unanswerable
    boundary = np.arange(50) % 10 == 7
    relevant = relevant_counts(labels, gallery, Own(np.full(50, -1)))
    rows = np.stack([random.permutation(40) for _ in labels])
    result = evaluate_system(
        [(slice(0, 50), rows)], labels, gallery, relevant=relevant, boundary=boundary, ks=(1, 10), deep=True
    )
    found = trees({"a": result, "b": SystemResult()}, (1, 10))
    assert found["b"]["recall"] == {"1": None, "10": None}
    assert found["b"]["map_at_r"] is None
    tree = found["a"]
    for k in (1, 10):
        error, shares = result.values(CLAIM, k), result.values("relevant_recall", k)
        columns = np.stack((shares, 1 - error, error, np.where(boundary, error, np.nan)), 1)
        expected = percentile_intervals(columns).tolist()
        if k == 1:  # one figure with recall@1, and its interval; the share of all relevant images is none
            known = [column[~np.isnan(column)] for column in columns.T[1:]]
            expected[1:] = [list(wilson_interval(float(column.sum()), len(column))) for column in known]
        both = tree["cross_boundary_error"][str(k)]
        got = [tree["relevant_recall"][str(k)], tree["precision"][str(k)], both["all"], both["boundary"]]
        np.testing.assert_allclose(got, expected, atol=1e-12)
        hits = result.values("recall", k)[~np.isnan(result.values("recall", k))]
        assert tree["recall"][str(k)] == wilson_interval(float(hits.sum()), len(hits))
        assert both["boundary"][0] <= result.mean(CLAIM, k, "boundary") <= both["boundary"][1]
    assert tree["map_at_r"][0] < result.mean("map_at_r") < tree["map_at_r"][1]
    assert tree["r_precision"][0] < result.mean("r_precision") < tree["r_precision"][1]
    assert tree["roc_auc"] is tree["eer"] is tree["inversion_rate"] is tree["tar_at_far"] is None
    result = evaluate_system(
        [(slice(0, 50), rows)], labels, gallery, relevant=relevant, boundary=None, ks=(1,), deep=False
    )
    tree = trees({"a": result}, (1,))["a"]
    assert tree["cross_boundary_error"]["1"]["boundary"] is tree["map_at_r"] is None


def test_a_95_percent_interval_holds_the_truth_in_95_percent():
    """500 data sets: a share of hits, and errors in tenths over all and over some of the queries, by mask."""
    random = np.random.default_rng(4)
    truth = np.array([0.8, 0.3, 0.3])
    held = np.zeros(3)
    for seed in range(500):
        hits, errors = random.random(200) < truth[0], random.binomial(10, truth[1], 200) / 10
        boundary = random.random(200) < 0.4
        values = np.column_stack((hits, errors, np.where(boundary, errors, np.nan)))
        low, high = percentile_intervals(values, resamples=400, seed=seed).T
        held += (low <= truth) & (high >= truth)
    assert (held / 500 >= 0.93).all()
    assert (held / 500 <= 0.97).all()


@pytest.mark.parametrize(("share", "count"), [(0.99, 360), (0.9, 20), (0.8, 200)])
def test_the_interval_of_recall_holds_the_truth_in_95_percent(share, count):
    """Summed over every number of hits that may be seen, each with its binomial probability."""
    held = 0.0
    for hits in range(count + 1):
        low, high = wilson_interval(hits, count)
        assert 0 <= low <= hits / count <= high <= 1
        if low <= share <= high:
            held += math.comb(count, hits) * share**hits * (1 - share) ** (count - hits)
    assert 0.92 <= held <= 0.98


def test_all_hits_are_no_certainty_and_one_query_has_no_interval():
    assert wilson_interval(12, 12) == (pytest.approx(0.7575, abs=1e-4), 1.0)  # 12 / (12 + 1.96^2)
    assert wilson_interval(0, 12) == (0.0, pytest.approx(0.2425, abs=1e-4))
    labels = np.array([0, 1, 9])  # the third cannot be answered
    for count, expected in ((2, (pytest.approx(0.3424, abs=1e-4), 1.0)), (1, None)):
        chosen = labels[-count - 1 :] if count == 2 else labels[1:]
        gallery = np.array([0, 1])
        result = evaluate_system(
            [(slice(0, len(chosen)), np.searchsorted(gallery, chosen.clip(max=1))[:, None])],
            chosen,
            gallery,
            relevant=relevant_counts(chosen, gallery, Own(np.full(len(chosen), -1))),
            boundary=None,
            ks=(1,),
            deep=False,
        )
        tree = trees({"a": result}, (1,))["a"]
        assert tree["recall"]["1"] == expected
        assert (tree["precision"]["1"] is None) == (expected is None)
