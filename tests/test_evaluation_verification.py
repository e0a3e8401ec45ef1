"""Figures over pairs against scikit-learn and against a loop over couples of pairs, wherever the values pile up."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from simsearch.evaluation import verification as module
from simsearch.evaluation.evaluate import Features, evaluate
from simsearch.evaluation.false_alarms import FALSE_ACCEPT_RATES
from simsearch.evaluation.systems import SYSTEMS
from simsearch.evaluation.verification import verify
from simsearch.vectors.index import build
from simsearch.vectors.normalize import normalize


def clusters(seed, count, classes, noise, dim=16):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    centres = random.standard_normal((classes, dim))
    lengths = random.gamma(8, 0.3, (count, 1))
    return ((centres[labels] + noise * random.standard_normal((count, dim))) * lengths).astype(np.float32), labels


def piled(seed, count, classes, tightness, dim=16):
    """Embeddings whose cosines all lie within about tightness squared of 1."""
    features, labels = clusters(seed, count, classes, 0.8, dim)
    towards = np.random.default_rng(9).standard_normal(dim)
    return normalize(5 * towards + tightness * normalize(features)), labels


def pairs(features, labels, score):
    """Values of all pairs i < j, higher is nearer, in float64 from differences; and whether the labels agree."""
    first, second = np.triu_indices(len(features), 1)
    a, b = features[first].astype(np.float64), features[second].astype(np.float64)
    values = (a * b).sum(1) if score == "ip" else -((a - b) ** 2).sum(1)
    return values, labels[first] == labels[second]


def check(features, labels, score, tolerance=1e-4):
    got = verify(features, labels, score)
    kept = labels >= 0
    values, same = pairs(features[kept], labels[kept], score)
    far, tar, _ = roc_curve(same, values, drop_intermediate=False)
    assert (got.pairs, got.same, got.different) == (len(same), same.sum(), (~same).sum())
    assert not got.sampled
    assert got.roc_auc == pytest.approx(roc_auc_score(same, values), abs=tolerance)
    assert got.inversion_rate == 1 - got.roc_auc
    assert got.eer == pytest.approx(np.interp(0, far + tar - 1, far), abs=tolerance)
    for rate in FALSE_ACCEPT_RATES:
        expected = np.interp(rate, far, tar) if rate * (~same).sum() >= 10 else None
        assert got.tar_at_far[rate] == (None if expected is None else pytest.approx(expected, abs=tolerance)), rate
    check_curve(got, far, tar)
    return got


def check_curve(got, far, tar, near=0.002):
    """At most 100 points from corner to corner, ascending, each on the whole curve, and exact where TAR is told."""
    x, y = np.array(got.curve).T
    assert 2 <= len(x) <= 100
    assert (got.curve[0], got.curve[-1]) == ((0, 0), (1, 1))
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    for one, other in zip(x, y, strict=True):
        # A point may lie on an upright part, where TAR takes many values.
        low, high = np.interp([one - 1e-4, one + 1e-4], far, tar, left=0)
        assert low - near <= other <= high + near
    for rate, value in got.tar_at_far.items():
        if value is not None:
            assert dict(got.curve)[rate] == pytest.approx(value, abs=1e-6)


def test_a_curve_is_dense_where_few_pairs_are_falsely_accepted():
    features, labels = clusters(10, 3000, 10, 1.2)
    got = verify(features, labels, "l2")
    x, y = np.array(got.curve).T
    assert np.trapezoid(y, x) == pytest.approx(got.roc_auc, abs=2e-3)
    for low in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        assert ((x >= low) & (x < 10 * low)).sum() >= 5


@pytest.mark.parametrize("score", ["l2", "ip"])
@pytest.mark.parametrize(("count", "classes", "noise"), [(1001, 10, 0.6), (700, 100, 0.4), (600, 2, 2.0)])
def test_figures_are_those_of_scikit_learn(score, count, classes, noise):
    features, labels = clusters(0, count, classes, noise)
    check(features, labels, score)
    check(normalize(features), labels, score)


@pytest.mark.parametrize("tightness", [1.0, 1e-2, 1e-4])
def test_cosines_that_pile_up_near_one_keep_their_order(tightness):
    embeddings, labels = piled(1, 900, 10, tightness)
    assert pairs(embeddings, labels, "ip")[0].min() > 1 - tightness**2 - 1e-6
    assert check(embeddings, labels, "l2").roc_auc > 0.9


def test_values_far_from_zero_or_beyond_float32_squares():
    features, labels = clusters(2, 600, 10, 0.5)
    check(features + np.float32(30), labels, "l2")
    check(features + np.float32(30), labels, "ip")
    for factor in (1e18, 1e-18):
        assert verify(features * np.float32(factor), labels, "l2").roc_auc == pytest.approx(
            verify(features, labels, "l2").roc_auc, abs=1e-5
        )


def test_negative_inner_products():
    features, labels = clusters(3, 700, 5, 0.7)
    assert (pairs(features, labels, "ip")[0] < 0).mean() > 0.1
    check(-features, labels, "ip")


@pytest.mark.parametrize("score", ["l2", "ip"])
def test_heavy_ties_count_half(score):
    random = np.random.default_rng(4)
    features = random.integers(-1, 2, (500, 4)).astype(np.float32)
    labels = (features[:, 0] + random.integers(0, 3, 500)).astype(int) % 5
    check(features, labels, score, tolerance=1e-12)


@pytest.mark.parametrize("score", ["l2", "ip"])
def test_duplicates_within_and_between_labels(score):
    features, labels = clusters(5, 150, 6, 0.5)
    features = np.repeat(features, 4, axis=0)
    labels = np.repeat(labels, 4)
    labels[::4] = (labels[::4] + 1) % 6
    check(features, labels, score)
    same_point = np.tile(features[:1], (60, 1))
    assert check(same_point, labels[:60], "l2").roc_auc == 0.5


def test_the_inversion_rate_is_a_loop_over_couples_of_pairs():
    for seed in range(4):
        features, labels = clusters(seed, 14 + seed, 3, 1.0, dim=2)
        features = np.round(features)
        distance = {(i, j): ((features[i] - features[j]) ** 2).sum() for j in range(len(labels)) for i in range(j)}
        within = [d for (i, j), d in distance.items() if labels[i] == labels[j]]
        between = [d for (i, j), d in distance.items() if labels[i] != labels[j]]
        wrong = sum((a > b) + (a == b) / 2 for a in within for b in between)
        assert verify(features, labels, "l2").inversion_rate == pytest.approx(
            wrong / len(within) / len(between), abs=1e-12
        )


@pytest.mark.parametrize("count", [2, 3, 8, 9, 40, 41])
def test_every_pair_is_counted_once_in_any_tile(monkeypatch, count):
    monkeypatch.setattr(module, "_ROWS", 4)
    monkeypatch.setattr(module, "_COLUMNS", 6)
    monkeypatch.setattr(module, "_KEYS", 50)
    features, labels = clusters(6, count, 2, 1.0)
    labels[:2] = 0, 0
    rows = np.arange(count)
    for reach, once in ((count // 2, count * (count - 1) // 2), (1, count if count > 2 else 1)):
        found = [
            int(last - first)
            for *_, spans in module._tiles(features, labels, rows, reach, "l2", None)
            for first, last in spans
        ]
        assert sum(found) == once
    if count > 3:
        labels[-1] = 1
        check(features, labels, "l2")
        check(features, labels, "ip")


def test_unlabelled_queries_are_left_out_and_one_kind_of_pair_is_none():
    features, labels = clusters(7, 300, 5, 0.7)
    labels[::7] = -1
    check(features, labels, "l2")
    assert verify(features, np.arange(300), "l2") is None
    assert verify(features, np.zeros(300, int), "l2") is None
    for few in (0, 1):
        assert verify(features[:few], labels[:few], "ip") is None
    assert verify(features, np.full(300, -1), "l2") is None


def test_a_sample_is_near_all_pairs_and_decided_by_its_seed():
    features, labels = clusters(8, 3000, 10, 0.8)
    whole = verify(features, labels, "l2")
    samples = [verify(features, labels, "l2", most_pairs=200_000, seed=seed) for seed in range(8)]
    assert samples[3] == verify(features, labels, "l2", most_pairs=200_000, seed=3)
    assert samples[3] != samples[4]
    for sample in samples:
        assert sample.sampled
        assert (sample.pairs, sample.same + sample.different) == (66 * 3000, 66 * 3000)
    areas = np.array([sample.roc_auc for sample in samples])
    # Standard error of an AUC over independent pairs (Hanley and McNeil 1982) is about 0.0009 here.
    assert abs(areas.mean() - whole.roc_auc) < 0.001
    assert abs(areas - whole.roc_auc).max() < 0.003
    shares = np.array([sample.same / sample.pairs for sample in samples])
    assert shares.mean() == pytest.approx(whole.same / whole.pairs, abs=0.001)


def test_a_sample_takes_all_pairs_equally_often():
    features, labels = np.eye(9, dtype=np.float32), np.arange(9)
    labels[8] = 0  # the one same-label pair: among 18 of 36 pairs as often as not
    found = [verify(features, labels, "l2", most_pairs=18, seed=seed) is not None for seed in range(60)]
    assert 20 <= sum(found) <= 40


class Rows:
    def __init__(self, features):
        self.features, self.shape = features, features.shape

    def read(self, start, stop):
        return self.features[start:stop].copy()


def test_the_details_hold_the_curve_of_every_system():
    features, labels = clusters(11, 300, 4, 1.0)
    given = {
        "build": "b", "features": Features(Rows(features), Rows(features[:, :8].copy())), "gallery": 200,
        "query_rows": np.arange(200, 300), "index": build(lambda: [features[:200]], 16, "Flat"), "index_bytes": 1,
        "ks": [1, 5],
    }  # fmt: skip
    roc = evaluate(**given, labels=labels).details["roc"]
    assert set(roc) == set(SYSTEMS)
    queries = normalize(features[200:])
    assert roc["recipe/cosine"] == [list(point) for point in verify(queries, labels[200:], "l2").curve]
    assert roc["recipe/index"] == roc["recipe/cosine"] != roc["recipe/raw-ip"]
    assert evaluate(**given, labels=None).details["roc"] == {}


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        verify(np.full((3, 2), np.nan, np.float32), np.zeros(3, int), "l2")


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("score", ["l2", "ip"])
def test_pairs_at_the_two_ends_of_all_values_are_counted(score, grouped):
    """Opposite embeddings are as far apart as can be, and equal ones as near."""
    features = np.zeros((9, 4), dtype=np.float32)
    features[:6, 0], features[6:, 0] = 1, -1
    groups = np.array([0, 0, *range(1, 8)]) if grouped else None
    got = verify(features, np.repeat([0, 1, 2], 3), score, groups=groups)
    assert (got.pairs, got.same, got.different) == (36 - grouped, 9 - grouped, 27)
    assert got.roc_auc == pytest.approx(1 - 9 / 27 / 2), "nine pairs of two labels are the same point"
