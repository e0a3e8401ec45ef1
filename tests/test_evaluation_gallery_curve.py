"""The curve over photos a label against a slow loop, its forecast, and its intervals against their own promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from simsearch.evaluation import gallery_curve as module
from simsearch.evaluation.gallery_curve import curve_report, foretold_gain, gallery_curve, last_count
from simsearch.evaluation.systems import Task
from simsearch.report.gallery import gallery_words, thin_words
from simsearch.statistics.over_labels import error_over_labels, share_interval


class Array:
    def __init__(self, features):
        self.features = features.astype(np.float32)
        self.shape = self.features.shape

    def read(self, start, stop):
        return self.features[start:stop].copy()


def slowly(features, task, orders, seed):
    """recall@1 at each count, query by query and photo by photo, over the same orders."""
    able = {}
    for query, label in enumerate(task.query_labels):
        able.setdefault(label, []).append(int(task.relevant[query]))
    photos = {label: min(counts) for label, counts in able.items() if label >= 0}
    last = last_count(np.array(list(photos.values()), dtype=np.int64))
    if not last:
        return None
    labels = sorted(label for label, n in photos.items() if n >= last)
    random = np.random.default_rng(seed)
    asked = np.flatnonzero(np.isin(task.query_labels, labels))
    random.permutation(asked)  # the draw of queries, which takes all here
    rows = np.flatnonzero(np.isin(task.gallery_labels, labels))
    rows = rows[np.argsort(task.gallery_labels[rows], kind="stable")]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    counts = [n for n in (1, 2, 4, 8, 16, 32) if n <= last]
    hits = np.zeros(len(counts))
    for _ in range(orders):
        key = dict(zip(rows, random.random(len(rows)), strict=True))
        for query in asked:
            row, of = task.query_rows[query], task.query_labels[query]
            own = {row} | {
                r
                for r in rows
                if task.groups is not None and task.groups[row] >= 0 and task.groups[r] == task.groups[row]
            }
            for i, n in enumerate(counts):
                best = {}
                for label in labels:
                    line = sorted((r for r in rows if task.labels[r] == label), key=key.get)
                    # A label's own photos move up; another's are as many as they are, less what is the query's own.
                    line = (
                        [r for r in line if r not in own][:n] if label == of else [r for r in line[:n] if r not in own]
                    )
                    best[label] = max((unit[row] @ unit[r] for r in line), default=-2)
                hits[i] += best[of] > max(best[label] for label in labels if label != of)
    return counts, hits / orders / len(asked), len(labels), len(asked)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), inside=st.booleans(), grouped=st.booleans(), thin=st.integers(0, 12))
def test_the_curve_equals_a_slow_loop(seed, inside, grouped, thin):
    random = np.random.default_rng(seed)
    rows = 140
    labels = random.integers(0, 12, rows)
    labels[labels >= thin] %= 11  # some labels are thick, some thin
    labels[random.random(rows) < 0.05] = -1
    features = random.standard_normal((12, 6))[labels] + random.standard_normal((rows, 6))
    groups = np.where(random.random(rows) < 0.3, random.integers(0, 20, rows), -1) if grouped else None
    query_rows = random.permutation(rows)[:30] if inside else np.arange(110, rows)
    task = Task(rows if inside else 110, query_rows, labels, (1,), groups)
    found, expected = gallery_curve(Array(features), task, orders=2, seed=seed), slowly(features, task, 2, seed)
    if expected is None:
        assert found is None
        return
    assert (found.counts, found.labels, found.queries) == (expected[0], *expected[2:])
    np.testing.assert_allclose(found.recall, expected[1], atol=1e-9)
    assert all(low <= share <= high for share, (low, high) in zip(found.recall, found.intervals, strict=True))


def test_blocks_of_queries_change_nothing(monkeypatch):
    random = np.random.default_rng(0)
    labels = np.arange(300) % 12
    features = Array(random.standard_normal((12, 5))[labels] + random.standard_normal((300, 5)))
    task = Task(300, np.arange(200, 300), labels, (1,))
    whole = gallery_curve(features, task)
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", 2_000)
    assert gallery_curve(features, task) == whole
    assert gallery_curve(features, task, most_queries=40).queries == 40


def test_a_copy_under_another_label_makes_the_query_wrong():
    labels = np.r_[np.repeat(np.arange(10), 2), np.arange(10)]
    features = np.eye(10)[labels]
    features[2] = features[0]  # of label 1
    features[3] = features[0]
    found = gallery_curve(Array(features), Task(20, np.arange(20, 30), labels, (1,)))
    assert found.recall == [0.8, 0.8]  # label 0 finds a copy as near, label 1 nothing of its own


@pytest.mark.parametrize(
    ("photos", "expected"),
    [([16] * 10, 16), ([16] * 9, 0), ([1] * 40, 0), ([31] * 10 + [3] * 10, 16), ([31] * 10 + [3] * 11, 2), ([], 0)],
)
def test_the_last_count_is_one_that_enough_labels_have(photos, expected):
    assert last_count(np.array(photos, dtype=np.int64)) == expected


def test_a_power_law_is_foretold_and_nothing_else():
    errors = 0.4 * 2.0 ** (-0.5 * np.arange(5))
    assert foretold_gain(errors) == pytest.approx(errors[-2] - errors[-1])
    assert foretold_gain(errors[:3]) is None  # too few points
    assert foretold_gain(errors[::-1]) is None  # more photos find less
    assert foretold_gain(np.array([0.2, 0.1, 0, 0])) is None


def curve(**changed):
    known = dict.fromkeys(("labels", "queries", "orders"), 20)
    told = {"counts": [1, 2, 4, 8], "recall": [0.5, 0.6, 0.7, 0.78], "intervals": [(0.4, 0.9)] * 4, "gain": 0.08}
    return module.GalleryCurve(**{**known, **told, "gain_interval": (0.03, 0.13), "foretold": 0.05, **changed})


@pytest.mark.parametrize(
    ("changed", "forecast"),
    [
        ({}, True),
        ({"foretold": 0.02}, False),
        ({"foretold": 0.14}, False),
        ({"foretold": None}, False),
        ({"gain_interval": None}, False),
        ({"gain": -0.01, "gain_interval": (-0.1, 0.08)}, False),
    ],
)
def test_a_forecast_stands_only_where_the_last_point_was_foretold(changed, forecast):
    labels = np.r_[np.repeat(np.arange(3), [2, 8, 1]), np.arange(3)]
    task = Task(11, np.arange(11, 14), labels, (1,))
    report = {"gallery_curve": curve_report(curve(**changed), task, "abc".__getitem__)}
    assert report["gallery_curve"]["forecast"] is forecast
    words = gallery_words(report)
    assert "0.500 [0.400, 0.900] with 1 photo a label, 0.780 [0.400, 0.900] with 8 photos a label (20 labels)" in words
    assert words.endswith("likely at most that") is forecast
    assert ("from 4 to 8 photos a label brought" in words) is (changed.get("gain_interval", ()) is not None)
    assert thin_words(report) == "c (1 photo), a (2 photos)"
    assert gallery_words({}) is None
    assert gallery_words({"gallery_curve": None}) is None


def test_two_labels_that_are_mistaken_for_one_another_count_once():
    """All mistakes lie between couples: 10 couples, each a draw of its own, of 20 labels with 4 queries."""
    random = np.random.default_rng(0)
    trials = np.full(20, 4)
    shares, errors = [], []
    for _ in range(400):
        wrong = np.repeat(4 * (random.random(10) < 0.4), 2)  # both sides of a couple, or neither
        true = np.arange(20)
        shares.append(wrong.sum() / 80)
        errors.append(error_over_labels(true, true ^ 1, wrong.astype(float), trials))
    assert np.mean(errors) == pytest.approx(np.std(shares), rel=0.1)
    with pytest.raises(ValueError, match="two labels"):
        error_over_labels(np.array([]), np.array([]), np.array([]), np.array([3]))


def test_a_share_of_all_or_nothing_has_an_interval():
    low, high = share_interval(1.0, 0.0, 20, 0)
    assert 0.7 < low < 0.9
    assert high == 1
    assert share_interval(0.0, 0.0, 20, 20) == pytest.approx((0, 1 - low))
    wide, narrow = share_interval(0.9, 0.05, 20, 9), share_interval(0.9, 0.02, 20, 9)
    assert wide[0] < narrow[0] < 0.9 < narrow[1] < wide[1]


def drawn(random, labels, queries, photos, apart, digits):
    """A set: real digits as centres of labels, and as what a photo is away from its centre two of the same class."""
    pixels, classes = digits
    centres = random.permutation(len(pixels))[:labels]
    each = queries + photos
    members = [np.flatnonzero(classes == digit) for digit in range(10)]
    pairs = np.stack([random.choice(members[classes[centre]], (2, each)) for centre in centres])
    features = pixels[centres][:, None] + apart * (pixels[pairs[:, 0]] - pixels[pairs[:, 1]])
    of = np.repeat(np.arange(labels)[:, None], each, axis=1)
    place = np.r_[np.arange(queries, each), np.arange(queries)]
    features, of = features[:, place].transpose(1, 0, 2).reshape(-1, 64), of[:, place].T.ravel()
    return Array(features), Task(labels * photos, np.arange(labels * photos, labels * each), of, (1,))


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "queries", "apart"), [(20, 5, 0.8), (40, 5, 0.6), (40, 5, 0.8)])
def test_intervals_hold_the_truth_as_often_as_they_say(labels, queries, apart):
    """1,000 sets; the truth is their mean, which estimates are unbiased for."""
    digits = load_digits(return_X_y=True)
    random = np.random.default_rng(labels)
    found = [gallery_curve(*drawn(random, labels, queries, 16, apart, digits)) for _ in range(1000)]
    recall = np.array([one.recall for one in found])
    ends = np.array([one.intervals for one in found])
    truth = recall.mean(axis=0)
    held = ((ends[..., 0] <= truth) & (truth <= ends[..., 1])).mean(axis=0)
    told = [one for one in found if one.gain_interval]
    gain = truth[-1] - truth[-2]
    gains = np.mean([one.gain_interval[0] <= gain <= one.gain_interval[1] for one in told])
    print(truth.round(3), held, len(told), gain.round(4), gains, np.mean([one.forecast for one in found]))
    assert ((held >= 0.93) & (held <= 0.97)).all()
    assert len(told) > 900
    assert 0.93 <= gains <= 0.975
