"""The table of scores against counting all pairs, and the rate against what the queries' own pairs show."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from simsearch.errors import VectorsError
from simsearch.evaluation import false_alarm_table as module
from simsearch.evaluation.false_alarm_table import false_accept_table
from simsearch.evaluation.false_alarms import pair_shares
from simsearch.vectors.normalize import normalize


def clusters(seed, count, classes=10, noise=0.8, dim=16, around=0.0):
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(77).standard_normal((classes, dim)) + around
    labels = random.integers(0, classes, count)
    features = centres[labels] + noise * random.standard_normal((count, dim))
    return (features * random.gamma(8, 0.3, (count, 1))).astype(np.float32), labels


def different_scores(features, labels):
    embeddings = normalize(features)
    first, second = np.triu_indices(len(labels), 1)
    both = (labels[first] != labels[second]) & (labels[first] >= 0) & (labels[second] >= 0)
    return np.einsum("nd,nd->n", embeddings[first[both]], embeddings[second[both]])


def through_json(features, labels, **options):
    return json.loads(json.dumps(false_accept_table(features, labels, **options), allow_nan=False))


@pytest.mark.parametrize(("count", "around"), [(700, 0.0), (701, 30.0), (12, 0.0), (2, 0.0)])
def test_every_entry_is_the_share_of_all_pairs(count, around):
    features, labels = clusters(0, count, around=around)  # around 30, all cosines are nearly 1
    labels[:2] = 0, 1
    labels[5::50] = -1
    found = through_json(features, labels)
    scores = np.sort(different_scores(features, labels).astype(np.float64))
    assert found["pairs"] == len(scores)
    assert found["images"] == (labels >= 0).sum()
    assert not found["sampled"]
    listed, shares = np.array(found["table"]).T
    assert (np.diff(listed) < 0).all()
    assert (np.diff(shares) > 0).all()
    assert shares[-1] == 1.0
    assert len(listed) <= 2000
    # 1e-6: a product of one pair differs by that much between ways of summing.
    most, least = (1 - np.searchsorted(scores, listed + d) / len(scores) for d in (-1e-6, 1e-6))
    assert (least - 1e-6 <= shares).all()
    assert (shares <= most + 1e-6).all()
    # The highest 500, of which equal ones are one entry.
    counts = np.round(shares * len(scores)).astype(int)
    high = counts[counts < 500]
    np.testing.assert_allclose(listed[: len(high)], scores[::-1][high - 1], atol=1e-6)
    assert len(high) > min(300, 0.9 * len(scores) - 1)
    if not around:
        assert high.tolist() == list(range(1, min(499, len(scores)) + 1))


def test_rates_between_entries_rise_as_scores_fall():
    features, labels = clusters(1, 600)
    found = through_json(features, labels)
    scores = np.sort(different_scores(features, labels))
    asked = np.linspace(1.1, -1.1, 997)
    rates = [pair_shares(found).reached(float(score)).share for score in asked]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (1 / found["pairs"], 1.0)
    exact = 1 - np.searchsorted(scores, asked) / len(scores)
    np.testing.assert_allclose(rates, np.maximum(exact, 1 / len(scores)), rtol=0.02, atol=2 / len(scores))


def test_equal_scores_are_counted_together():
    features = np.repeat(np.eye(3, dtype=np.float32), 40, axis=0)
    labels = np.arange(120)  # 780 pairs of score 1 in each of three clumps, 4,800 of score 0
    found = through_json(features, labels)
    assert found["pairs"] == 7140
    assert found["table"][0] == [1.0, pytest.approx(2340 / 7140, rel=1e-6)]
    assert found["table"][-1] == [0.0, 1.0]
    assert pair_shares(found).reached(1.0).share == pytest.approx(2340 / 7140, rel=1e-5)
    assert pair_shares(found).reached(1.00001).share == 1 / 7140
    assert pair_shares(found).reached(-0.5).share == 1.0


def test_rounding_of_another_product_does_not_lower_the_rate():
    found = {"pairs": 100, "table": [[0.9, 0.01], [0.8, 0.5], [-1.0, 1.0]]}
    assert pair_shares(found).reached(0.9000005).share >= 0.01
    assert pair_shares(found).reached(0.8000005).share >= 0.5
    assert pair_shares(found).reached(0.85).share == pytest.approx(0.255, abs=1e-5)


@pytest.mark.parametrize("count", [2, 3, 8, 9, 40, 41])
def test_every_pair_is_counted_once_in_any_block(monkeypatch, count):
    monkeypatch.setattr(module, "_ROWS", 4)
    embeddings = normalize(np.random.default_rng(0).standard_normal((count, 4)))
    got = np.concatenate(list(module._different(embeddings, np.arange(count), count // 2)))
    np.testing.assert_allclose(np.sort(got), np.sort(different_scores(embeddings, np.arange(count))), atol=1e-6)


def test_no_pair_of_different_labels_is_none():
    features, labels = clusters(2, 30)
    assert false_accept_table(features, np.zeros(30, int)) is None
    assert false_accept_table(features, np.full(30, -1)) is None
    assert false_accept_table(features[:1], labels[:1]) is None
    assert false_accept_table(features[:0], labels[:0]) is None
    with pytest.raises(VectorsError, match="zero"):
        false_accept_table(np.zeros((4, 2), np.float32), np.arange(4))


def test_a_sample_is_near_all_pairs_and_decided_by_its_seed():
    features, labels = clusters(3, 2000)
    whole = through_json(features, labels)
    sample = through_json(features, labels, most_pairs=300_000, seed=1)
    assert sample["sampled"]
    assert sample["pairs"] < 300_000
    assert sample == through_json(features, labels, most_pairs=300_000, seed=1)
    assert sample != through_json(features, labels, most_pairs=300_000, seed=2)
    for score in (0.3, 0.6, 0.8):
        assert pair_shares(sample).reached(score).share == pytest.approx(
            pair_shares(whole).reached(score).share, rel=0.1
        )


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_the_rate_lies_in_the_interval_of_the_rate_on_the_queries_pairs(rate):
    """Val and query images of one population: images, not pairs, are the units of the interval."""
    val, val_labels = clusters(10, 1500)
    queries, labels = clusters(11, 1500)
    found = through_json(val, val_labels)
    score = float(np.quantile(different_scores(val, val_labels), 1 - rate))
    printed = pair_shares(found).reached(score).share
    assert printed == pytest.approx(rate, rel=0.01)
    embeddings = normalize(queries)
    accepted = (embeddings @ embeddings.T >= score) & (labels[:, None] != labels)
    different = labels[:, None] != labels
    # The rate is a U-statistic: its error comes from the images, with twice the spread of their own rates.
    each = accepted.sum(1) - (accepted.sum() / different.sum()) * different.sum(1)
    error = 2 * math.sqrt((each**2).sum()) / different.sum()
    observed = accepted.sum() / different.sum()
    spread = 1.96 * error * math.sqrt(2)  # the table is itself measured on as many images
    assert observed - spread <= printed <= observed + spread
    assert spread < rate / 2


def test_reading_the_table_needs_no_numpy():
    code = (
        "import sys, json; from simsearch.evaluation.false_alarms import pair_shares; "
        "assert not {'numpy', 'faiss'} & set(sys.modules); "
        'rate = pair_shares(json.loads(\'{"pairs": 4, "table": [[0.5, 0.25], [0, 1]]}\')).reached(0.25).share; '
        "assert abs(rate - 0.625) < 1e-5"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("count", "around"), [(700, 0.0), (701, 30.0), (12, 0.0)])
def test_the_least_score_of_a_rate_is_where_the_rate_begins(count, around):
    features, labels = clusters(0, count, around=around)
    found = through_json(features, labels)
    shares = pair_shares(found)
    for rate in (0.5, 0.1, 0.01, 0.001, 1e-9):
        score = shares.least_score(rate)
        if rate < 1 / found["pairs"]:
            assert score is None, "so few pairs cannot show it"
            continue
        assert shares.reached(score + 1e-9).share <= rate + 1e-9
        assert shares.reached(score - 1e-5).share > rate, "nothing much lower would do"
