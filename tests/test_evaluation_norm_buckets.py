"""Norm buckets against scikit-learn on the pairs of each third."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from simsearch.evaluation import verification
from simsearch.evaluation.details import norm_buckets as module
from simsearch.evaluation.details.norm_buckets import norm_buckets
from simsearch.vectors.normalize import normalize


def short_is_hard(seed, count, classes=6, dim=8):
    """Features whose noise is the same and whose class part is as long as the image is easy."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    centres = 3 * np.random.default_rng(5).standard_normal((classes, dim))
    easy = random.uniform(0.1, 1.5, (count, 1))
    return (easy * centres[labels] + random.standard_normal((count, dim))).astype(np.float32), labels


def pairs(features, labels):
    first, second = np.triu_indices(len(labels), 1)
    a, b = features[first].astype(np.float64), features[second].astype(np.float64)
    return -((a - b) ** 2).sum(1), labels[first] == labels[second]


def test_thirds_are_those_of_scikit_learn():
    baseline, labels = short_is_hard(0, 902)
    recipe, rows = short_is_hard(1, 902)[0], np.random.default_rng(2).permutation(5000)[:902]
    labels[::9] = -1
    found = json.loads(json.dumps(norm_buckets(baseline, recipe, labels, rows), allow_nan=False))
    kept = np.flatnonzero(labels >= 0)
    lengths = np.linalg.norm(baseline.astype(np.float64), axis=1)
    thirds = np.array_split(kept[np.argsort(lengths[kept], kind="stable")], 3)
    spaces = {"baseline": baseline, "baseline_cosine": normalize(baseline), "recipe": normalize(recipe)}
    for bucket, members in zip(("short", "middle", "long"), thirds, strict=True):
        facts = found["buckets"][bucket]
        assert facts["queries"] == len(members)
        assert facts["norms"] == pytest.approx([lengths[members].min(), lengths[members].max()], rel=1e-6)
        assert not facts["sampled"]
        for space, features in spaces.items():
            values, same = pairs(features[members], labels[members])
            assert (facts["pairs"], facts["same"], facts["different"]) == (len(same), same.sum(), (~same).sum())
            got = found[space][bucket]
            assert got["roc_auc"] == pytest.approx(roc_auc_score(same, values), abs=1e-4)
            far, tar, _ = roc_curve(same, values, drop_intermediate=False)
            assert got["tar_at_far"]["0.01"] == pytest.approx(np.interp(0.01, far, tar), abs=1e-4)
            x, y = np.array(got["curve"]).T
            assert len(x) <= 100
            assert (got["curve"][0], got["curve"][-1]) == ([0.0, 0.0], [1.0, 1.0])
            assert (np.diff(x) >= 0).all()
            assert (np.diff(y) >= 0).all()
            # A curve of 100 points: its area, and each of its points on the whole curve.
            assert np.trapezoid(y, x) == pytest.approx(got["roc_auc"], abs=0.01)
            low, high = (far[np.searchsorted(tar, y + d).clip(0, len(far) - 1)] for d in (-0.003, 0.003))
            assert ((low - 0.003 <= x) & (x <= high + 0.003)).all()
    assert found["baseline"]["short"]["roc_auc"] < found["baseline"]["long"]["roc_auc"]


def test_pairs_are_counted_once_for_figures_and_curve(monkeypatch):
    calls = []
    counted = verification._histograms
    monkeypatch.setattr(verification, "_histograms", lambda *args: calls.append(len(args[2])) or counted(*args))
    baseline, labels = short_is_hard(6, 60)
    found = norm_buckets(baseline, baseline, labels, np.arange(60))
    assert calls == [20] * 9  # three thirds in three spaces
    assert found["baseline_cosine"] == found["recipe"]


def test_examples_are_the_shortest_the_middle_and_the_longest():
    labels = np.arange(60) % 2
    features = np.outer(np.arange(1, 61), [1, 0.5]).astype(np.float32)
    features += np.random.default_rng(0).standard_normal(features.shape).astype(np.float32) / 100
    order = np.random.default_rng(1).permutation(60)
    found = norm_buckets(features[order], features[order], labels[order], order)
    assert found["examples"] == {
        "short": list(range(8)),
        "middle": list(range(26, 34)),
        "long": list(range(52, 60)),
    }


def test_few_queries_and_one_kind_of_pair():
    features, labels = short_is_hard(3, 30)
    assert norm_buckets(features[:5], features[:5], labels[:5], np.arange(5)) is None
    found = norm_buckets(features, features, np.zeros(30, int), np.arange(30))
    assert found["baseline"] == {"short": None, "middle": None, "long": None}
    assert found["buckets"]["long"]["different"] == 0
    assert norm_buckets(features[:6], features[:6], labels[:6], np.arange(6))["examples"]["short"]
    assert norm_buckets(features, features, np.full(30, -1), np.arange(30)) is None


def test_ties_go_by_row_and_a_large_bucket_is_sampled(monkeypatch):
    same_length = normalize(short_is_hard(4, 90)[0]).round(1)
    same_length[:] = same_length[0]
    rows = np.arange(90)[::-1].copy()
    found = norm_buckets(same_length, same_length, np.arange(90) % 3, rows)
    assert found["examples"]["short"] == list(range(8))
    monkeypatch.setattr(module, "_MOST_ROWS", 20)
    found = norm_buckets(*(short_is_hard(4, 90)[0],) * 2, np.arange(90) % 3, rows)
    assert found["buckets"]["short"]["sampled"]
    assert found["buckets"]["short"]["pairs"] == 190
    assert found["buckets"]["short"]["queries"] == 30
