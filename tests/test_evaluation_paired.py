"""Paired differences: what is said of them, and how often it is said where there is none."""

import numpy as np
import pytest

from simsearch.evaluation.comparison import difference_seen
from simsearch.evaluation.paired import paired_differences
from simsearch.statistics.intervals import percentile_intervals
from simsearch.statistics.significance import sign_flip_test


def is_seen(found):
    return difference_seen(found.p_value, found.interval)


def test_a_column_is_its_mean_interval_and_p():
    random = np.random.default_rng(0)
    columns = random.normal(0.3, 1, (60, 3))
    columns[::3, 1] = np.nan
    columns[:, 2] = np.nan
    one, part, nothing = paired_differences(columns)
    assert nothing is None
    assert one.n == 60
    assert one.difference == pytest.approx(columns[:, 0].mean())
    assert part.n == 40
    assert part.difference == pytest.approx(np.nanmean(columns[:, 1]))
    assert part.p_value == sign_flip_test(columns[~np.isnan(columns[:, 1]), 1])
    np.testing.assert_allclose(part.interval, percentile_intervals(columns)[1])
    assert one.interval[0] < one.difference < one.interval[1]


def test_one_pair_and_equal_pairs_are_no_difference_is_seen():
    (single,) = paired_differences(np.array([[0.4]]))
    assert (single.interval, single.p_value, is_seen(single)) == ((0.4, 0.4), 1.0, False)
    (equal,) = paired_differences(np.zeros((9, 1)))
    assert (equal.interval, equal.p_value, is_seen(equal)) == ((0.0, 0.0), 1.0, False)
    (clear,) = paired_differences(np.full((40, 1), -0.1))
    assert is_seen(clear)


def test_without_a_difference_one_is_seen_in_5_percent_at_most():
    """500 data sets of two systems whose errors in tenths come from one distribution, correlated as queries are."""
    random = np.random.default_rng(2)
    seen = 0
    for seed in range(500):
        hardness = random.beta(0.5, 2, 120)
        one, other = (random.binomial(10, hardness) / 10 for _ in range(2))
        (found,) = paired_differences((one - other)[:, None], resamples=500, flips=499, seed=seed)
        seen += is_seen(found)
    assert seen >= 0.02 * 500  # and it is not merely timid
    assert seen <= 500 * (0.05 + 2 * np.sqrt(0.05 * 0.95 / 500))
