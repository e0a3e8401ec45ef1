"""Label suspects and near-duplicates against what was planted."""

import json

import numpy as np
import pytest

from simsearch.evaluation.details.suspects import label_suspects, near_duplicates
from simsearch.evaluation.measured import SystemResult, evaluate_system
from simsearch.evaluation.systems import Nearest


def name(label):
    return None if label < 0 else f"label {label}"


def test_images_among_others_are_suspects_and_the_agreement_ranks_them():
    gallery = np.repeat([0, 1, 2, -1], 10)
    zero, one, two = np.arange(5), np.arange(10, 15), np.arange(20, 25)
    rows = np.stack([zero, one, np.concatenate((one[:2], two[:3])), np.concatenate((one[:4], zero[:1])), one, two])
    labels = np.array([0, 0, 0, 0, 7, 2])
    answerable = np.array([True, True, True, True, False, True])
    listed, total = label_suspects(rows, np.arange(50, 56), labels, gallery, answerable, name)
    assert (listed, total) == (
        [
            {"row": 51, "label": "label 0", "majority": "label 1", "share": 1.0},
            {"row": 52, "label": "label 0", "majority": "label 2", "share": 0.6},
        ],
        2,
    )


def test_neighbours_without_a_label_are_no_other_label():
    gallery = np.array([-1, -1, 1, 1, 1, 1, 1])
    rows = np.array([[0, 1, 2, 3, 4, 5], [0, 2, 3, 4, 5, 6]])  # four and five labelled neighbours
    found = label_suspects(rows, np.array([7, 8]), np.zeros(2, int), gallery, np.ones(2, bool), name)
    assert found == ([{"row": 8, "label": "label 0", "majority": "label 1", "share": 1.0}], 1)


def test_few_neighbours_say_nothing_and_none_is_none():
    labels = np.zeros(3, int)
    arguments = (np.arange(3), labels, np.zeros(9, int), np.ones(3, bool), name)
    assert label_suspects(np.zeros((3, 4), int), *arguments) == (None, None)
    assert label_suspects(np.zeros((3, 5), int), *arguments) == ([], 0)


def test_at_most_100_are_listed_by_row():
    rows = np.tile(np.arange(5), (150, 1))
    order = np.random.default_rng(0).permutation(150)
    listed, total = label_suspects(rows, order, np.ones(150, int), np.zeros(5, int), np.ones(150, bool), name)
    assert total == 150
    assert [entry["row"] for entry in listed] == list(range(100))


@pytest.fixture
def measured():
    labels, gallery = np.zeros(6, int), np.array([0, 1])
    rows = np.array([[0], [1], [0], [1], [0], [1]])  # right, wrong, ...
    boundary = np.array([True, True, True, False, False, False])
    result = evaluate_system(
        [(slice(0, 6), rows)], labels, gallery, relevant=np.ones(6, int), boundary=boundary, ks=(1,), deep=False
    )
    scores = np.array([0.9991, 0.5, 1.0000001, 0.2, 0.999, 0.1], np.float32)
    return {"recipe/index": result, "recipe/cosine": SystemResult()}, Nearest(scores[:, None], rows[:, 0], scores)


def test_near_duplicates_by_score_and_the_headline_without_them(measured):
    results, nearest = measured
    found = near_duplicates(nearest, None, np.arange(10, 16), results, (1,))
    assert found["queries"] == 0  # a trained space brings images as near: only hashes count at the top
    assert found["without"] == found["with"]
    assert found["pairs"] == [
        {"row": 12, "other_row": 0, "kind": "score", "score": 1.0},
        {"row": 10, "other_row": 0, "kind": "score", "score": 0.9991},
    ]
    assert found["with"] == {
        "queries": 6,
        "recipe/index": {"recall": {1: 0.5}, "cross_boundary_error": {1: {"boundary": pytest.approx(1 / 3)}}},
    }
    assert found["by_kind"]["score"] == {
        "queries": 2,  # 0.999 itself is not above
        "without": {
            "queries": 4,
            "recipe/index": {"recall": {1: 0.25}, "cross_boundary_error": {1: {"boundary": 1.0}}},
        },
    }
    assert list(found["by_kind"]) == ["score"]


def test_equal_hashes_are_a_second_kind(measured):
    results, nearest = measured
    twins = np.array([[1, 1], [1, 0], [2, 0]])
    found = near_duplicates(nearest, twins, np.arange(10, 16), results, (1,))
    assert found["queries"] == 2  # 1 and 2 by hash, whatever 0 and 2 are by score
    assert [pair["kind"] for pair in found["pairs"]] == ["hash"] * 3 + ["score"] * 2
    assert found["pairs"][0] == {"row": 11, "other_row": 1, "kind": "hash", "score": None}
    assert (found["by_kind"]["hash"]["queries"], found["by_kind"]["score"]["queries"]) == (2, 2)
    assert found["by_kind"]["hash"]["without"]["recipe/index"]["recall"] == {1: 0.5}
    assert found["without"] == found["by_kind"]["hash"]["without"]
    assert found["without"]["queries"] == 4
    nobody = near_duplicates(nearest, np.empty((0, 2), int), np.arange(10, 16), {}, (1,))
    assert nobody["by_kind"]["hash"] == {"queries": 0, "without": {"queries": 6}}
    json.dumps(found, allow_nan=False)
