"""The threshold of a stated rate of false alarms: by hand, and over thousands of fresh draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simsearch.defects.conformal import Calibration, drift_p, leave_one_group_out, numbered
from simsearch.defects.pooled import Mean, Neighbours
from simsearch.errors import VectorsError

DRAWS = 2000


def slow_p(score, scores, groups):
    """The definition: each group has one vote."""
    votes = [np.mean([s >= score for s, g in zip(scores, groups, strict=True) if g == group]) for group in set(groups)]
    return (1 + sum(votes)) / (len(votes) + 1)


def error(rate, draws=DRAWS):
    return math.sqrt(rate * (1 - rate) / draws)


def groups_of(random, sizes):
    """Scores of groups: all images of one are nearly alike, and large groups score lower."""
    middles = random.exponential(size=len(sizes)) - 0.03 * sizes
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return middles[groups] + 0.01 * random.normal(size=len(groups)), groups


def test_p_values_are_the_definition():
    random = np.random.default_rng(0)
    for _ in range(20):
        scores, groups = random.integers(0, 6, 30).astype(float), random.integers(0, 7, 30)
        asked = np.arange(-1, 8, 0.5)
        found = Calibration(scores, groups).p_values(asked)
        np.testing.assert_allclose(found, [slow_p(one, scores, groups) for one in asked])


def test_groups_of_one_are_the_usual_rule():
    scores = np.array([3.0, 1.0, 2.0, 2.0])
    for groups in (None, np.array([4, 9, 2, 0]), np.full(4, -1)):
        found = Calibration(scores, groups)
        assert found.n == 4
        assert found.p_values(np.array([0, 1, 1.5, 2, 3, 4])).tolist() == [1, 1, 0.8, 0.8, 0.4, 0.2]


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.07, 0.1, 1 / 3, 0.5])
def test_the_threshold_is_where_p_values_reach_the_rate(rate):
    random = np.random.default_rng(3)
    for groups in (None, random.integers(0, 130, 400)):
        scores = random.integers(0, 300, 400) / 10
        found = Calibration(scores, groups)
        threshold = found.threshold(rate)
        asked = np.concatenate((scores, [threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf)]))
        assert ((asked >= threshold) == (found.p_values(asked) <= rate)).all()


@pytest.mark.parametrize(("rate", "groups"), [(0.01, 99), (0.05, 19), (0.001, 999), (0.07, 14), (0.3, 3)])
def test_a_rate_that_so_few_cannot_tell_is_refused(rate, groups):
    assert Calibration(np.arange(float(groups))).threshold(rate) > groups - 1
    scores, of = np.arange(float(3 * groups - 3)), np.repeat(np.arange(groups - 1), 3)
    with pytest.raises(
        VectorsError, match=f"needs at least {groups} normal groups .* there are {groups - 1}"
    ) as caught:
        Calibration(scores, of).threshold(rate)
    possible = float(caught.value.hint.split("ask for ")[1].split(",")[0])
    assert possible < 1.1 * rate + 0.03
    Calibration(scores, of).threshold(possible)
    with pytest.raises(VectorsError, match=f"needs at least {groups} normal images"):
        Calibration(np.arange(groups - 1.0)).threshold(rate)


def test_what_cannot_be_a_calibration_is_refused():
    with pytest.raises(VectorsError, match="one normal image or more"):
        Calibration(np.empty(0))
    with pytest.raises(VectorsError, match="NaN or infinite"):
        Calibration(np.array([1.0, np.nan]))
    with pytest.raises(VectorsError, match="a group for each of 2 scores"):
        Calibration(np.array([1.0, 2.0]), np.array([1]))
    with pytest.raises(VectorsError, match="a defect score is NaN"):
        Calibration(np.array([1.0, 2.0])).p_values(np.array([np.nan]))
    for rate in (0.0, 1.0, -0.1, 5.0, math.nan):
        with pytest.raises(VectorsError, match="between 0 and 1"):
            Calibration(np.arange(99.0)).threshold(rate)


@pytest.mark.parametrize(("rate", "n"), [(0.05, 20), (0.05, 100), (0.05, 500), (0.01, 100), (0.01, 500)])
def test_the_rate_is_what_is_stated(rate, n):
    random = np.random.default_rng(n)
    scores = random.gamma(2, size=(DRAWS, n + 1))
    tied = np.ceil(4 * scores)
    kept = math.floor(rate * (n + 1) + 1e-9) / (n + 1)
    for values, low, high in (
        (scores, kept - 3 * error(kept), kept + 3 * error(kept)),
        (tied, 0, rate + 3 * error(rate)),
    ):
        alarms = [row[-1] >= Calibration(row[:-1]).threshold(rate) for row in values]
        assert low <= np.mean(alarms) <= high


@pytest.mark.parametrize(("rate", "n"), [(0.05, 20), (0.05, 100), (0.01, 130)])
def test_the_rate_holds_with_groups_and_counting_images_does_not(rate, n):
    random = np.random.default_rng(n)
    by_group, by_image = [], []
    for _ in range(DRAWS):
        sizes = random.choice([1, 2, 6, 40], n + 1)
        scores, groups = groups_of(random, sizes)
        fresh = random.choice(scores[groups == n])
        known = groups < n
        by_group.append(fresh >= Calibration(scores[known], groups[known]).threshold(rate))
        by_image.append(fresh >= Calibration(scores[known]).threshold(rate))
    assert np.mean(by_group) <= rate + 3 * error(rate)
    assert np.mean(by_group) >= 0.5 * rate
    assert np.mean(by_image) > rate + 6 * error(rate)


def things(random, count, shots=6, width=8):
    """Features of `count` things, `shots` of each all but equal, and which thing each is."""
    groups = np.repeat(np.arange(count), shots)
    middles = random.normal(size=(count, width)) + 3
    return (middles[groups] + 0.01 * random.normal(size=(len(groups), width))).astype(np.float32), groups


def left_out(features, own):
    """Distance to the nearest row that is not `own` (N, N), for all rows at once."""
    units = features.astype(np.float64)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return np.where(own, np.inf, np.sqrt(np.maximum(2 - 2 * units @ units.T, 0))).min(axis=1)


def test_leaving_single_images_out_does_not_keep_the_rate_and_leaving_groups_out_does():
    random = np.random.default_rng(5)
    rate, n = 0.05, 40
    alarms = {"images": [], "groups": []}
    for draw in range(DRAWS // 2):
        features, groups = things(random, n + 1)
        known = groups < n
        score = left_out(features, groups[:, None] == groups)[-1]
        own = {"images": np.eye(len(groups), dtype=bool)[known], "groups": (groups[:, None] == groups)[known]}
        for way, mask in own.items():
            of = groups[known] if way == "groups" else None
            scores = left_out(features[known], mask[:, known])
            if draw == 0:
                np.testing.assert_allclose(
                    leave_one_group_out(Neighbours.fit, features[known], of, most=240), scores, rtol=1e-4, atol=1e-6
                )
                np.testing.assert_allclose(Neighbours.fit(features[known]).scores(features[-1:]), score, rtol=1e-4)
            alarms[way].append(score >= Calibration(scores, groups[known]).threshold(rate))
    assert np.mean(alarms["groups"]) <= rate + 3 * error(rate, DRAWS // 2)
    assert np.mean(alarms["groups"]) >= 0.5 * rate
    assert np.mean(alarms["images"]) > 0.9


def test_leaving_groups_out_is_a_slow_loop():
    random = np.random.default_rng(1)
    features, groups = things(random, 5, shots=3)
    groups[:4] = -1  # four images that are each their own
    expected = np.empty(15)
    for i in range(15):
        kept = [j for j in range(15) if j != i and (groups[i] < 0 or groups[j] != groups[i])]
        expected[i] = Mean.fit(features[kept]).scores(features[i : i + 1])[0]
    np.testing.assert_allclose(leave_one_group_out(Mean.fit, features, groups), expected)
    with pytest.raises(VectorsError, match="at least 2 groups, seen 1"):
        leave_one_group_out(Mean.fit, features, np.zeros(15, dtype=int))


def test_many_groups_are_left_out_several_at_a_time_and_never_in_part():
    features, groups = things(np.random.default_rng(1), 30)
    seen = []

    def fit(kept):
        rows = {row.tobytes() for row in kept}
        seen.append([row.tobytes() in rows for row in features])
        return Mean.fit(kept)

    assert np.isfinite(leave_one_group_out(fit, features, groups, most=7)).all()
    out = ~np.array(seen)
    assert out.sum(axis=0).tolist() == [1] * len(features)
    assert len(seen) == 7
    for part in out:
        assert not set(groups[part]) & set(groups[~part])
        assert 4 <= len(set(groups[part])) <= 5


def test_the_spread_is_where_realised_rates_lie():
    random = np.random.default_rng(2)
    n, rate = 130, 0.05
    low, high = Calibration(random.random(n)).spread(rate)
    realised = [1 - Calibration(random.random(n)).threshold(rate) for _ in range(DRAWS)]  # of uniform scores
    assert abs(np.mean([low <= one <= high for one in realised]) - 0.95) < 3 * error(0.95)
    assert 0.015 < low < rate < high < 0.1
    with pytest.raises(VectorsError, match="at least 99"):
        Calibration(random.random(50)).spread(0.01)


def test_drift_keeps_its_rate_with_groups_and_sees_a_shift():
    random = np.random.default_rng(7)
    found = []
    for _ in range(DRAWS // 4):
        scores, groups = groups_of(random, np.full(60, 6))
        known = groups < 40
        found.append(drift_p(scores[~known], Calibration(scores[known], groups[known]), groups[~known]))
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * error(0.05, DRAWS // 4)
    assert np.mean(np.array(found) <= 0.05) >= 0.05 - 3 * error(0.05, DRAWS // 4)
    scores, groups = groups_of(random, np.full(60, 6))
    assert drift_p(scores + 2, Calibration(scores, groups), groups) < 1e-3
    assert drift_p(scores - 2, Calibration(scores, groups), groups) < 1e-3
    assert drift_p(np.ones(5), Calibration(np.ones(9))) == 1
    for wrong in (np.empty(0), np.array([np.nan])):
        with pytest.raises(VectorsError, match="one defect score or more"):
            drift_p(wrong, Calibration(scores))


def test_groups_are_numbered_from_zero():
    assert numbered(np.array([7, -1, 3, 7, -1, -5]), 6).tolist() == [1, 2, 0, 1, 3, 4]
    assert numbered(None, 3).tolist() == [0, 1, 2]
    assert numbered(np.full(3, -1), 3).tolist() == [0, 1, 2]
    assert numbered(np.array([5, 5]), 2).tolist() == [0, 0]
