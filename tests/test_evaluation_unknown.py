"""Votes against a loop; the threshold against labels that really are unseen, over many draws; intervals over labels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simsearch.evaluation.unknown import ACCEPTED, Rows, calibrate, too_few
from simsearch.evaluation.vote import CLEAR, TEMPERATURE, VOTERS, vote
from simsearch.statistics.clusters import interval_of, shares_of_draws

DIM, EACH = 8, 20


def loop_vote(scores, labels):
    """(label, margin, strength) of one query, one vote after another."""
    votes = {}
    for score, label in zip(scores, labels, strict=True):
        if label >= 0:
            votes[label] = votes.get(label, 0.0) + math.exp(score / TEMPERATURE)
    if not votes:
        return -1, 0.0, -math.inf
    first, *rest = sorted(votes, key=votes.get, reverse=True)
    margin = (votes[first] - (votes[rest[0]] if rest else 0.0)) / sum(votes.values())
    best = max(score for score, label in zip(scores, labels, strict=True) if label >= 0)
    return first, margin, best + CLEAR * margin


def test_votes_are_those_of_a_loop():
    random = np.random.default_rng(0)
    scores = -np.sort(-random.uniform(-1, 1, (200, VOTERS)))
    labels = random.integers(-1, 4, (200, VOTERS))
    labels[7] = -1
    found = vote(scores, labels)
    for i, (label, margin, strength) in enumerate(map(loop_vote, scores, labels)):
        assert found.labels[i] == label
        assert found.margins[i] == pytest.approx(margin)
        assert found.strengths[i] == pytest.approx(strength)
    nobody = vote(np.empty((2, 0)), np.empty((2, 0), dtype=np.int64))
    assert nobody.labels.tolist() == [-1, -1]
    assert not (nobody.strengths > -1).any()


def units(values):
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def pictures(random, labels, spread=0.25, each=EACH):
    """Unit embeddings (labels * each, DIM) of labels that lie anywhere, and their labels."""
    centres = random.normal(size=(labels, 1, DIM)) / math.sqrt(DIM)
    points = centres + spread * random.normal(size=(labels, each, DIM))
    return units(points).reshape(-1, DIM), np.repeat(np.arange(labels), each)


def gallery_first(random, labels):
    """Rows of a build: the first three quarters of each label in the gallery, the rest queries."""
    embeddings, of = pictures(random, labels)
    query = np.tile(np.arange(EACH) >= EACH * 3 // 4, labels)
    order = np.argsort(query, kind="stable")
    gallery = int((~query).sum())
    return embeddings[order], Rows(of[order], gallery, gallery, np.arange(gallery, len(of)))


def test_a_threshold_lets_through_as_many_of_those_left_out_as_it_says():
    embeddings, rows = gallery_first(np.random.default_rng(3), 30)
    found = calibrate(rows, embeddings, None, lambda words: None)
    passed = asked = 0
    for fold in range(5):  # each image of the gallery on its own, by hand
        base = [i for i in range(rows.gallery) if rows.fold[i] != fold]
        for i in (i for i in range(rows.gallery) if rows.fold[i] == fold):
            scores = embeddings[base] @ embeddings[i]
            nearest = np.argsort(-scores)[:VOTERS]
            passed += loop_vote(scores[nearest].tolist(), rows.labels[base][nearest].tolist())[2] > found["threshold"]
            asked += 1
    assert (asked, found["images"], found["labels"]) == (450, 450, 30)
    assert ACCEPTED - 2 / asked - 1e-9 <= passed / asked <= ACCEPTED
    assert found["fold_heads"] is None
    known, unknown = found["deployed"]["known"], found["deployed"]["unknown"]
    assert known["queries"] == unknown["queries"] == 150
    assert found["deployed"]["balanced"]["share"] == pytest.approx((known["share"] + unknown["share"]) / 2)
    for figure in (known, unknown, found["deployed"]["balanced"]):
        assert figure["interval"][0] <= figure["share"] <= figure["interval"][1]
    accepted, right = np.array(found["deployed"]["curve"]).T
    assert (np.diff(accepted) > 0).all()
    assert (np.diff(right) >= 0).all()


def test_what_is_only_searched_never_asks():
    """Query-only rows of the corpus change what is found, and are no images that a threshold is of."""
    embeddings, rows = gallery_first(np.random.default_rng(3), 30)
    whole = Rows(rows.labels, rows.gallery, len(rows.labels), rows.queries)
    one, other = (calibrate(part, embeddings, None, lambda words: None) for part in (rows, whole))
    assert one["images"] == other["images"] == rows.gallery
    assert other["threshold"] > one["threshold"], "with more images searched, strangers find nearer ones"
    assert other["deployed"] == one["deployed"], "figures are of the gallery alone"


def test_an_image_is_judged_without_its_group():
    embeddings, of = pictures(np.random.default_rng(0), 6)
    embeddings[1::2] = embeddings[::2]  # twins
    rows = Rows(of, len(of), len(of), np.arange(0), np.arange(len(of)) // 2)
    said = rows.ask(embeddings, np.arange(10), np.arange(len(of)))
    alone = Rows(of, len(of), len(of), np.arange(0)).ask(embeddings, np.arange(10), np.arange(len(of)))
    best, best_alone = (one.strengths - CLEAR * one.margins for one in (said, alone))
    assert (best_alone > 0.999).all()
    assert (best < 0.999).all()


def test_a_head_of_its_own_decides_where_labels_were_trained_on():
    """Features that pull trained labels apart: the threshold of the stored ones would let many strangers through."""
    random = np.random.default_rng(5)
    embeddings, rows = gallery_first(random, 30)

    def pulled(kept):
        centres = np.stack([embeddings[(rows.labels == label)].mean(axis=0) for label in range(30)])
        own = np.where(kept[:, None], 1.5 * centres[rows.labels], 0.0)
        return units(embeddings + own)

    stored = pulled(np.ones(len(rows.labels), dtype=bool))
    of_heads = calibrate(rows, stored, pulled, lambda words: None)
    of_stored = calibrate(rows, stored, None, lambda words: None)
    assert of_heads["fold_heads"]["unknown"]["queries"] == 150
    assert of_heads["threshold"] > of_stored["threshold"]


def test_too_few_labels_and_images():
    for labels, each, words in ((4, 50, "4 labels"), (5, 7, "35 images"), (5, 8, None)):
        of = np.repeat(np.arange(labels), each)
        why = too_few(Rows(of, len(of), len(of), np.arange(0)))
        assert why is None if words is None else words in why


def test_intervals_are_over_labels():
    """Ten pictures of a label that agree are one piece of evidence, not ten."""
    hits = np.random.default_rng(0).integers(0, 2, 40).astype(float)
    low, high = interval_of(shares_of_draws(10 * hits[:, None], np.full((40, 1), 10.0))[:, 0])
    one, other = interval_of(shares_of_draws(hits[:, None], np.ones((40, 1)))[:, 0])
    assert (low, high) == (one, other)
    assert low < hits.mean() < high
    assert 0.2 < high - low < 0.4
    assert interval_of(np.array([np.nan, np.nan, 1.0])) is None


@pytest.mark.slow
def test_over_200_draws_unseen_labels_pass_as_often_as_said():
    """The mean of 200 builds lies within the interval, over labels, of the share of truly unseen labels that pass."""
    random = np.random.default_rng(1)
    said, really, parts, wholes = [], [], [], []
    for _ in range(200):
        embeddings, rows = gallery_first(random, 40)
        found = calibrate(rows, embeddings, None, lambda words: None)
        never, of = pictures(random, 10)
        both = np.concatenate((embeddings, never))
        labels = np.concatenate((rows.labels, 40 + of))
        asking = Rows(labels, rows.gallery, rows.gallery, rows.queries)
        strengths = asking.ask(both, np.arange(len(embeddings), len(both)), np.arange(rows.gallery)).strengths
        passed = strengths > found["threshold"]
        said.append(1 - found["deployed"]["unknown"]["share"])
        really.append(passed.mean())
        parts += np.bincount(of, passed).tolist()
        wholes += np.bincount(of).tolist()
    draws = shares_of_draws(np.array(parts)[:, None], np.array(wholes, dtype=float)[:, None])[:, 0]
    low, high = interval_of(draws)
    assert low <= np.mean(said) <= high  # .0509, [.0483, .0540]
    assert low <= np.mean(really) <= high
    assert 0.03 < low <= ACCEPTED + 0.02
    assert high - low < 0.02
