"""Boundary queries against a slow loop: ties, leave-one-out and the degenerate cases."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simsearch.evaluation import boundary as module
from simsearch.evaluation.boundary import boundary_queries
from simsearch.evaluation.own import Own


def slow(queries, gallery, query_labels, gallery_labels, own_rows):
    margins = []
    for i, label in enumerate(query_labels):
        same = [g for g in range(len(gallery)) if gallery_labels[g] == label and g != own_rows[i]]
        others = sorted({int(other) for other in gallery_labels} - {int(label)})
        if not same or not others:
            continue
        query = queries[i].astype(np.float64)
        d_own = np.linalg.norm(query - gallery[same].astype(np.float64).mean(axis=0))
        means = [gallery[gallery_labels == other].astype(np.float64).mean(axis=0) for other in others]
        d_other = min(np.linalg.norm(query - mean) for mean in means)
        margins.append((0.0 if d_other + d_own == 0 else (d_other - d_own) / (d_other + d_own), i))
    chosen = np.zeros(len(query_labels), bool)
    chosen[[i for _, i in sorted(margins)[: math.ceil(len(margins) / 10)]]] = True
    return chosen


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 45), st.integers(1, 5), st.booleans())
def test_random_tables_equal_the_loop(seed, size, count, classes, leave_one_out):
    random = np.random.default_rng(seed)
    gallery = random.standard_normal((size, 3)).astype(np.float32)
    labels = random.integers(0, classes, size)
    if leave_one_out:
        own = random.choice(size, min(count, size), replace=False)
        queries, query_labels = gallery[own], labels[own]
    else:
        own = np.full(count, -1)
        queries, query_labels = (
            random.standard_normal((count, 3)).astype(np.float32),
            random.integers(0, classes + 1, count),
        )
    blocks = [gallery[: size // 2], gallery[size // 2 :]]
    got = boundary_queries(queries, blocks, query_labels, labels, Own(own))
    np.testing.assert_array_equal(got, slow(queries, gallery, query_labels, labels, own))


def test_ties_go_to_the_earlier_query_in_any_block_size(monkeypatch):
    gallery = np.array([[0, 0], [0, 0], [4, 0], [4, 0]], np.float32)
    labels = np.array([0, 0, 1, 1])
    queries = np.tile(np.array([[1, 0], [2, 1], [2, -1]], np.float32), (10, 1))  # two of three lie exactly between
    expected = np.isin(np.arange(30), [1, 2, 4])
    for numbers in (4_000_000, 8):
        monkeypatch.setattr(module, "_BLOCK_NUMBERS", numbers)
        got = boundary_queries(queries, [gallery], np.zeros(30, int), labels, Own(np.full(30, -1)))
        np.testing.assert_array_equal(got, expected)


def test_nothing_over_nothing_is_margin_zero():
    gallery = np.zeros((4, 2), np.float32)
    gallery[3] = 8  # class 2 lies apart, classes 0 and 1 coincide
    queries = np.array([[0, 0], [6, 6]], np.float32)
    got = boundary_queries(queries, [gallery], np.array([0, 2]), np.array([0, 0, 1, 2]), Own(np.full(2, -1)))
    assert got.tolist() == [True, False]


def test_one_class_or_no_answerable_query_has_no_boundary():
    features = np.ones((3, 2), np.float32)
    assert not boundary_queries(features, [features], np.zeros(3, int), np.zeros(3, int), Own(np.full(3, -1))).any()
    assert not boundary_queries(features, [features], np.full(3, 9), np.arange(3), Own(np.full(3, -1))).any()
    # A class of one, searched leave-one-out, has no mean of its own.
    got = boundary_queries(features, [features], np.arange(3), np.arange(3), Own(np.arange(3)))
    assert not got.any()


def test_unlabelled_gallery_rows_belong_to_no_class():
    gallery = np.array([[0], [10], [3]], np.float32)
    got = boundary_queries(
        np.array([[1], [4]], np.float32), [gallery], np.zeros(2, int), np.array([0, 1, -1]), Own(np.full(2, -1))
    )
    assert got.tolist() == [False, True]
