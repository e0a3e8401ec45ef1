"""Figures by label and leaks between labels against tables written by hand and obvious loops."""

from collections import Counter

import numpy as np
import pytest

from simsearch.evaluation.details import classes as module
from simsearch.evaluation.details.classes import leaks, per_class
from simsearch.evaluation.measured import evaluate_system
from simsearch.evaluation.own import Own
from simsearch.evaluation.retrieval import relevant_counts


def name(label):
    return None if label < 0 else "abcdefgh"[label]


def test_labels_by_hand():
    # gallery labels a a b b; queries: two of a, one of b, one of c (unanswerable), one without a label
    gallery, labels = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2, -1])
    rows = np.array([[0, 1, 2, 3], [2, 0, 1, 3], [0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]])
    relevant = relevant_counts(labels, gallery, Own(np.full(5, -1)))
    result = evaluate_system(
        [(slice(0, 5), rows)], labels, gallery, relevant=relevant, boundary=None, ks=(1, 2), deep=True
    )
    assert per_class(result, labels, (1, 2), name) == [
        {"label": "b", "queries": 1, "recall": {1: 0.0, 2: 0.0}, "relevant_recall": {1: 0.0, 2: 0.0},
         "error": {1: 1.0, 2: 1.0}, "map_at_r": 0.0},
        {"label": "a", "queries": 2, "recall": {1: 0.5, 2: 1.0}, "relevant_recall": {1: 0.25, 2: 0.75},
         "error": {1: 0.5, 2: 0.25}, "map_at_r": 0.625},
        {"label": "c", "queries": 1, "recall": {1: None, 2: None}, "relevant_recall": {1: None, 2: None},
         "error": {1: None, 2: None}, "map_at_r": None},
    ]  # fmt: skip


def test_labels_average_to_the_whole():
    random = np.random.default_rng(0)
    labels, gallery = random.integers(0, 8, 200), random.integers(0, 8, 90)
    rows = np.stack([random.permutation(90)[:10] for _ in labels])
    relevant = relevant_counts(labels, gallery, Own(np.full(200, -1)))
    result = evaluate_system(
        [(slice(0, 200), rows)], labels, gallery, relevant=relevant, boundary=None, ks=(5,), deep=False
    )
    entries = per_class(result, labels, (5,), name)
    assert [entry["error"][5] for entry in entries] == sorted((e["error"][5] for e in entries), reverse=True)
    for key in ("recall", "relevant_recall"):
        assert sum(e["queries"] * e[key][5] for e in entries) / 200 == pytest.approx(result.mean(key, 5), abs=1e-6)
    assert {entry["map_at_r"] for entry in entries} == {None}


def test_leaks_equal_a_loop(monkeypatch):
    random = np.random.default_rng(1)
    labels, gallery = random.integers(-1, 5, 60), random.integers(-1, 5, 40)
    query_rows = np.arange(100, 160)
    rows = np.stack([random.permutation(40)[:7] for _ in labels])
    scores = np.sort(random.random((60, 7)).astype(np.float32), axis=1)[:, ::-1]
    answerable = (labels >= 0) & (random.random(60) < 0.9)
    neighbours, queries, best = Counter(), Counter(), {}
    for i in np.flatnonzero(answerable):
        others = [(int(gallery[row]), float(s), int(row)) for row, s in zip(rows[i], scores[i], strict=True)]
        others = [found for found in others if found[0] >= 0 and found[0] != labels[i]]
        for other, score, row in others:
            neighbours[labels[i], other] += 1
            best[labels[i], other] = max(best.get((labels[i], other), (-1,)), (score, 100 + i, row))
        queries.update({(labels[i], other) for other, _, _ in others})
    relevant = 7 * answerable  # as many to find as are looked at
    got = leaks(rows, scores, query_rows, labels, gallery, relevant, name)
    assert len(got) == len(neighbours)
    assert [entry["count"] for entry in got] == sorted(neighbours.values(), reverse=True)
    for entry in got:
        pair = "abcdefgh".index(entry["label"]), "abcdefgh".index(entry["other"])
        assert (entry["count"], entry["queries"]) == (neighbours[pair], queries[pair])
        score, row, other_row = best[pair]
        assert (entry["row"], entry["other_row"]) == (row, other_row)
        assert entry["score"] == pytest.approx(score, abs=1e-6)
    monkeypatch.setattr(module, "MOST_LEAKS", 3)
    assert leaks(rows, scores, query_rows, labels, gallery, relevant, name) == got[:3]


def test_leaks_of_equal_count_stand_in_the_order_of_labels():
    random = np.random.default_rng(0)
    pairs = [(one, other) for one in range(8) for other in range(8) if one != other]
    counts = dict(zip(pairs, random.integers(1, 4, len(pairs)).tolist(), strict=True))
    labels, rows = (np.repeat([pair[side] for pair in counts], list(counts.values())) for side in (0, 1))
    found = leaks(
        rows[:, None], np.zeros((len(rows), 1), np.float32), np.arange(len(rows)), labels, np.arange(8),
        np.ones(len(rows), int), name,
    )  # fmt: skip
    ordered = sorted(counts, key=lambda pair: (-counts[pair], pair))
    assert [(entry["label"], entry["other"]) for entry in found] == [(name(a), name(b)) for a, b in ordered[:50]]


def test_nothing_leaks():
    rows, scores = np.zeros((2, 1), int), np.ones((2, 1), np.float32)
    assert leaks(rows, scores, np.arange(2), np.zeros(2, int), np.zeros(1, int), np.ones(2, int), name) == []
    assert leaks(rows, scores, np.arange(2), np.ones(2, int), np.zeros(1, int), np.zeros(2, int), name) == []


def test_neighbours_that_cannot_be_of_the_label_are_no_leak():
    """Three images of the query's label: among the first 5 two have another, in the best order too."""
    gallery, labels = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1])
    rows = np.array([[0, 1, 2, 3, 4], [0, 3, 1, 2, 4], [3, 4, 0, 1, 2]])
    scores = np.tile(np.linspace(0.9, 0.5, 5, dtype=np.float32), (3, 1))
    (found,) = leaks(rows, scores, np.arange(10, 13), labels, gallery, np.array([3, 3, 2]), name)
    assert found == {
        "label": "a", "other": "b", "count": 1, "queries": 1, "of": 2, "k": 3, "row": 11, "other_row": 3, "score": 0.8
    }  # fmt: skip
