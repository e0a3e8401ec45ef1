"""Every retrieval metric against a table written by hand and against an obvious loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simsearch.evaluation.figures import CLAIM
from simsearch.evaluation.measured import evaluate_system
from simsearch.evaluation.own import Own
from simsearch.evaluation.retrieval import relevant_counts
from simsearch.vectors.exact import exact_search

NONE = np.full(3, -1)


def run(rows, queries, gallery, ks, *, own=None, boundary=None, deep=True, block=2):
    queries, gallery, rows = np.asarray(queries), np.asarray(gallery), np.asarray(rows)
    relevant = relevant_counts(queries, gallery, Own(np.full(len(queries), -1) if own is None else own))
    blocks = ((slice(i, min(i + block, len(rows))), rows[i : i + block]) for i in range(0, len(rows), block))
    return evaluate_system(blocks, queries, gallery, relevant=relevant, boundary=boundary, ks=ks, deep=deep)


def means(result, key, *ks, scope="all"):
    return [result.mean(key, k, scope) for k in ks]


def test_a_table_written_by_hand():
    # gallery rows:  0 1 2 3 4   labels a a b b b; the third query has a label that the gallery lacks.
    gallery, queries = [0, 0, 1, 1, 1], [0, 1, 2]
    rows = [
        [0, 2, 1, 3, 4],  # a: right, wrong, right        R = 2
        [0, 2, 3, 1, 4],  # b: wrong, right, right, wrong, right  R = 3
        [0, 1, 2, 3, 4],  # unanswerable
    ]
    result = run(rows, queries, gallery, (1, 2, 3), boundary=np.array([False, True, True]))
    assert means(result, "recall", 1, 2, 3) == [1 / 2, 1.0, 1.0]
    assert means(result, "relevant_recall", 1, 2, 3) == pytest.approx([1 / 4, (1 / 2 + 1 / 3) / 2, (1 + 2 / 3) / 2])
    assert means(result, "precision", 1, 2, 3) == pytest.approx([1 / 2, 1 / 2, 2 / 3])
    assert means(result, CLAIM, 1, 2, 3) == pytest.approx([1 / 2, 1 / 2, 1 / 3])
    assert means(result, CLAIM, 1, 2, 3, scope="boundary") == pytest.approx([1.0, 1 / 2, 1 / 3])
    # first: (1/1) / 2; second: (1/2 + 2/3) / 3
    assert result.mean("map_at_r") == pytest.approx((1 / 2 + (1 / 2 + 2 / 3) / 3) / 2)
    # first: one right in two; second: two right in three
    assert result.mean("r_precision") == pytest.approx((1 / 2 + 2 / 3) / 2)
    np.testing.assert_allclose(result.values("r_precision"), [1 / 2, 2 / 3, np.nan], rtol=1e-6)
    np.testing.assert_allclose(result.values("relevant_recall", 2), [1 / 2, 1 / 3, np.nan], rtol=1e-6)
    np.testing.assert_array_equal(result.values("recall", 1), np.array([1, 0, np.nan], np.float32))
    np.testing.assert_array_equal(result.values(CLAIM, 2), np.array([0.5, 0.5, np.nan], np.float32))
    assert result.values(CLAIM, 2).dtype == np.float64


def test_k_beyond_the_gallery_divides_by_what_there_is():
    result = run([[0, 1, 2]], [0], [0, 1, 1], (10,))
    assert result.mean("precision", 10) == pytest.approx(1 / 3)
    assert result.mean(CLAIM, 10) == pytest.approx(2 / 3)
    assert result.mean("relevant_recall", 10) == 1


def test_nothing_answerable_is_null_and_not_zero():
    result = run([[0]], [5], [0], (1,), boundary=np.array([False]))
    assert means(result, "recall", 1) == means(result, CLAIM, 1) == means(result, CLAIM, 1, scope="boundary") == [None]
    assert result.mean("map_at_r") is None
    assert run([[0]], [0], [0], (1,), deep=False).mean("map_at_r") is None
    assert run([[0]], [0], [0], (1,)).mean(CLAIM, 1, "boundary") is None


def test_own_row_and_unlabelled_images_are_not_relevant():
    gallery = np.array([0, 0, 1, -1, -1])
    assert relevant_counts(np.array([0, 0, 1, -1, 7]), gallery, Own(np.array([0, -1, 2, 3, -1]))).tolist() == [
        1,
        2,
        0,
        0,
        0,
    ]
    assert relevant_counts(np.array([0]), np.array([-1]), Own(np.array([-1]))).tolist() == [0]


def slow(rows, queries, gallery, k):
    hit, relevant_recall, precision, average, at_r = [], [], [], [], []
    for query, found in zip(queries, rows, strict=True):
        total = sum(label == query for label in gallery)
        if not total:
            continue
        right = [gallery[row] == query for row in found]
        hit.append(any(right[:k]))
        relevant_recall.append(sum(right[:k]) / total)
        precision.append(sum(right[:k]) / len(right[:k]))
        average.append(sum(sum(right[: i + 1]) / (i + 1) for i in range(total) if right[i]) / total)
        at_r.append(sum(right[:total]) / total)
    return [float(np.mean(v)) if v else None for v in (hit, relevant_recall, precision, average, at_r)]


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 12), st.integers(1, 6), st.integers(1, 40))
def test_random_tables_equal_the_loop(seed, size, count, classes, k):
    random = np.random.default_rng(seed)
    gallery, queries = random.integers(0, classes, size), random.integers(0, classes + 1, count)
    rows = np.stack([random.permutation(size) for _ in range(count)])
    result = run(rows, queries, gallery, (k,), block=int(random.integers(1, 6)))
    got = [result.mean(key, k) for key in ("recall", "relevant_recall", "precision")]
    got += [result.mean("map_at_r"), result.mean("r_precision")]
    for one, other in zip(got, slow(rows, queries, gallery, k), strict=True):
        assert one == (None if other is None else pytest.approx(other, abs=1e-6))


@pytest.mark.parametrize("own", [False, True])
def test_figures_are_those_of_pytorch_metric_learning(own):
    """Its names: precision_at_1, r_precision and mean_average_precision_at_r; `own` is leave-one-out."""
    module = "pytorch_metric_learning.utils.accuracy_calculator"
    calculators = pytest.importorskip(module, reason="pytorch-metric-learning is not installed")
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(7)
    gallery_labels = random.integers(0, 7, 400)
    centres = random.standard_normal((7, 8))
    gallery = (centres[gallery_labels] + 1.2 * random.standard_normal((400, 8))).astype(np.float32)
    rows = np.full(150, -1)
    query_labels = random.integers(0, 7, 150)
    queries = (centres[query_labels] + 1.2 * random.standard_normal((150, 8))).astype(np.float32)
    if own:
        rows, queries, query_labels = np.arange(400), gallery, gallery_labels
    relevant = relevant_counts(query_labels, gallery_labels, Own(rows))
    found = ((span, near) for span, _, near in exact_search(queries, gallery, int(relevant.max()), "l2", rows))
    got = evaluate_system(found, query_labels, gallery_labels, relevant=relevant, boundary=None, ks=(1, 5), deep=True)
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    calculator = calculators.AccuracyCalculator(include=names, device=torch.device("cpu"))
    given = [torch.from_numpy(array) for array in (queries, query_labels, gallery, gallery_labels)]
    expected = calculator.get_accuracy(*given, ref_includes_query=own)
    assert 0.2 < expected["mean_average_precision_at_r"] < expected["r_precision"] < expected["precision_at_1"] < 1
    ours = (got.mean("precision", 1), got.mean("r_precision"), got.mean("map_at_r"))
    assert ours == pytest.approx([expected[name] for name in names], abs=1e-6)
