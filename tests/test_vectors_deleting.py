"""Deleted rows: never found, never missed for, whatever the kind of index and however local the deletions."""

import numpy as np
import pytest
from clustered import CODED, STORED, D, N, built, drawn

from simsearch.errors import VectorsError
from simsearch.vectors.index import Deleted, build
from simsearch.vectors.index.native import widest
from simsearch.vectors.search import Search

Q, K = 40, 10


@pytest.fixture(scope="module")
def embeddings():
    return drawn(3, Q)


@pytest.fixture(scope="module")
def indexes(embeddings):
    return built(embeddings, (*STORED, *CODED))


def exact(queries, base, gone, k):
    """(scores, rows) by a plain sort."""
    scores = queries @ base.T
    scores[:, gone] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


def nearest_of_all(queries, base, count):
    """The rows among the nearest `count` of any query: a local deletion, the hard one."""
    return np.unique(np.argsort(-(queries @ base.T), axis=1)[:, :count]).astype(np.int64)


def test_the_widest_settings_of_each_kind(embeddings):
    flat, lists, graph = (build(lambda: [embeddings[:400]], D, kind)._native for kind in ("Flat", "IVF4,Flat", "HNSW8"))
    asked = Search(nprobe=2, efSearch=9)
    assert widest(flat, 10, asked) is None
    assert widest(lists, 10, asked) == Search(nprobe=4, efSearch=9)
    graph.hnsw.efSearch = 16
    assert widest(graph, 10, asked).efSearch == 256
    assert widest(graph, 80, asked).efSearch == 320
    assert widest(graph, 200, asked).efSearch == 400, "no more than there are"


@pytest.mark.parametrize("factory", [*STORED, *CODED])
@pytest.mark.parametrize("near", [1, 30, 400])
def test_deleted_rows_are_never_found_and_k_answers_always(indexes, embeddings, factory, near):
    index, queries = indexes[factory], embeddings[N : N + 5]
    gone = nearest_of_all(queries, embeddings[:N], near)
    scores, rows, _ = index.search(queries, K, deleted=Deleted(gone, N))
    assert rows.shape == (5, K)
    assert rows.min() >= 0
    assert not np.isin(rows, gone).any()
    assert all(len(set(row)) == K for row in rows.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize(("factory", "settings"), [("Flat", {}), ("IVF16,Flat", {}), ("HNSW16", {"efSearch": 16})])
def test_local_deletions_are_answered_exactly(indexes, embeddings, factory, settings):
    """With the nearest 400 rows gone, neither the graph nor the probed lists hold the answer; exact search does."""
    index, queries = indexes[factory], embeddings[N : N + 5]
    gone = nearest_of_all(queries, embeddings[:N], 400)
    scores, rows, widened = index.search(queries, K, Search(**settings), deleted=Deleted(gone, N))
    expected = exact(queries, embeddings[:N], gone, K)
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_allclose(scores, expected[0], atol=1e-5)
    assert len(widened) == (0 if factory == "Flat" else 5), "a fallback is counted"


@pytest.mark.parametrize("factory", ["IVF16,SQ8", "IVF16,PQ4x4fs,RFlat", "RaBitQ", "HNSW16_SQ8"])
def test_the_fallback_is_exact_over_what_a_coded_index_stores(indexes, embeddings, factory):
    index, queries = indexes[factory], embeddings[N : N + 5]
    gone = nearest_of_all(queries, embeddings[:N], 400)
    scores = index.search(queries, K, deleted=Deleted(gone, N)).scores
    expected = exact(queries, index.stored(0, N), gone, K)
    agreeing = (scores >= expected[0][:, -1:] - (0.2 if factory == "RaBitQ" else 1e-4)).mean()
    assert agreeing == 1


@pytest.mark.parametrize("factory", STORED)
def test_scattered_deletions_cost_no_fallback(indexes, embeddings, factory):
    index, queries = indexes[factory], embeddings[N:]
    gone = np.sort(np.random.default_rng(0).choice(N, N // 5, replace=False)).astype(np.int64)
    settings = {"IVF16,Flat": {"nprobe": 16}, "HNSW16": {"efSearch": 600}}.get(factory, {})
    _, rows, widened = index.search(queries, K, Search(**settings), deleted=Deleted(gone, N))
    assert (rows == exact(queries, embeddings[:N], gone, K)[1]).mean() > 0.99
    assert not len(widened)


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "HNSW16", "IVF16,PQ4x4fs,RFlat"])
def test_rows_below_a_limit_and_deleted_ones_together(indexes, embeddings, factory):
    gone = np.arange(0, 90, dtype=np.int64)
    _, rows, _ = indexes[factory].search(embeddings[N:], K, rows_below=100, deleted=Deleted(gone, N))
    assert set(np.unique(rows)) == set(range(90, 100))


def test_k_is_capped_at_the_live_rows(indexes, embeddings):
    all_but_three = np.arange(3, N, dtype=np.int64)
    for factory in STORED:
        assert indexes[factory].search(embeddings[N:], 50, deleted=Deleted(all_but_three, N))[1].shape == (Q, 3)
        with pytest.raises(VectorsError, match="rows are deleted"):
            indexes[factory].search(embeddings[N:], 5, deleted=Deleted(np.arange(N, dtype=np.int64), N))


def test_rows_that_do_not_exist_are_refused(indexes, embeddings):
    for rows in ([-1], [N], [[1]]):
        with pytest.raises(VectorsError, match="deleted rows: expected"):
            Deleted(np.array(rows, dtype=np.int64), N)
    with pytest.raises(VectorsError, match="may be deleted of"):
        indexes["Flat"].search(embeddings[N:], 5, deleted=Deleted(np.array([1]), 10))
