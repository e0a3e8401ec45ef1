"""A search among the rows that pass a filter: exact where it says so, and never a short answer."""

import threading

import faiss
import numpy as np
import pytest
from clustered import CODED, STORED, N, built, drawn

from simsearch.errors import VectorsError
from simsearch.vectors.index import FaissIndex, Passing, build, passing
from simsearch.vectors.index.passing import exact_is_quicker, wider
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import Search

Q, K = 24, 10
KINDS = (*STORED, *CODED, "PQ4x4fs,RFlat")


@pytest.fixture(scope="module")
def embeddings():
    return drawn(5, Q)


@pytest.fixture(scope="module")
def indexes(embeddings):
    return built(embeddings, KINDS)


def flags_of(embeddings, share, near):
    """Rows that pass: so many of them, at random or those nearest to one query."""
    count = max(1, int(share * N))
    if near:
        chosen = np.argsort(-(embeddings[:N] @ embeddings[N]))[:count]
    else:
        chosen = np.random.default_rng(int(1000 * share)).choice(N, count, replace=False)
    flags = np.zeros(N, dtype=np.bool_)
    flags[chosen] = True
    return flags


def kth(queries, base, flags, k):
    """The k best scores among rows that pass, by a plain sort."""
    scores = queries @ base[flags].T
    return -np.sort(-scores, axis=1)[:, :k]


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("share", [0.0005, 0.002, 0.01, 0.1, 0.5, 0.99, 1])
@pytest.mark.parametrize("factory", KINDS)
def test_never_shorter_than_what_passes(indexes, embeddings, monkeypatch, factory, share, near, copied):
    if not copied:
        monkeypatch.setattr(passing, "COPIED", 0)
    index, queries, flags = indexes[factory], embeddings[N:], flags_of(embeddings, share, near)
    scores, rows, _ = index.search(queries, K, passing=Passing(flags))
    assert rows.shape == scores.shape == (Q, min(K, flags.sum()))
    assert flags[rows].all()
    assert all(len(set(row)) == len(row) for row in rows.tolist())
    assert (np.diff(scores, axis=1) <= 0).all()
    if factory == "Flat":
        np.testing.assert_allclose(scores, kth(queries, embeddings[:N], flags, K), atol=1e-5)


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("factory", ["IVF16,Flat", "HNSW16", "IVF16,PQ4x4fs,RFlat", "PQ4x4fs,RFlat"])
def test_few_rows_are_searched_exactly(indexes, embeddings, factory, near):
    flags = flags_of(embeddings, 0.01, near)
    scores, _, widened = indexes[factory].search(embeddings[N:], K, passing=Passing(flags))
    np.testing.assert_allclose(scores, kth(embeddings[N:], embeddings[:N], flags, K), atol=1e-5)
    assert not len(widened), "this is no fallback"


@pytest.mark.parametrize(("factory", "search"), [("IVF16,Flat", Search(nprobe=1)), ("HNSW16", Search(efSearch=16))])
def test_the_index_itself_is_searched_where_many_pass_and_loses_little(
    indexes, embeddings, monkeypatch, factory, search
):
    monkeypatch.setattr(passing, "exact_is_quicker", lambda *given: False)
    queries, flags = embeddings[N:], flags_of(embeddings, 0.5, near=False)
    exact = kth(queries, embeddings[:N], flags, K)[:, -1:]

    def recall(**more):
        return (indexes[factory].search(queries, K, search, **more).scores >= exact - 1e-6).mean()

    exact_of_all = kth(queries, embeddings[:N], np.ones(N, dtype=np.bool_), K)[:, -1:]
    whole = (indexes[factory].search(queries, K, search).scores >= exact_of_all - 1e-6).mean()
    assert recall(passing=Passing(flags)) >= whole - 0.02


def test_settings_grow_as_fewer_pass(indexes):
    lists, graph = indexes["IVF16,Flat"]._native, indexes["HNSW16"]._native
    assert wider(lists, Search(nprobe=2), 0.25) == Search(nprobe=8)
    assert wider(lists, Search(nprobe=2), 0.001) == Search(nprobe=16), "no more than there are"
    assert wider(graph, Search(efSearch=20), 0.1).efSearch == 200
    assert wider(indexes["Flat"]._native, Search(), 0.1) == Search()
    quick = [exact_is_quicker(lists, Search(nprobe=1), K, count) for count in (1, 10, 100, 1000, 2900)]
    assert quick[0]
    assert not quick[-1]
    assert quick == sorted(quick, reverse=True), "one switch, not several"


@pytest.mark.parametrize("factory", ["IVF16,Flat", "HNSW16", "IVF16,PQ4x4fs,RFlat", "PQ4x4fs"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_rows_near_each_other_are_told_and_searched_exactly(indexes, embeddings, factory, share):
    native = indexes[factory]._native
    apart, together = (Passing(flags_of(embeddings, share, near)) for near in (False, True))
    assert not apart.near_each_other(native)
    assert together.near_each_other(native)
    if factory != "PQ4x4fs":
        search = Search(nprobe=1) if factory.startswith("IVF") else Search(efSearch=16)
        scores = indexes[factory].search(embeddings[N:], K, search, passing=together).scores
        exact = kth(embeddings[N:], embeddings[:N], together.flags, K)
        np.testing.assert_allclose(scores, exact, atol=1e-5)


def test_nothing_passes_and_no_flags_of_another_index(indexes, embeddings):
    none = Passing(np.zeros(N, dtype=np.bool_))
    for index in indexes.values():
        assert index.search(embeddings[N:], K, passing=none).rows.shape == (Q, 0)
    with pytest.raises(VectorsError, match=r"expected flags \(3000,\)"):
        indexes["Flat"].search(embeddings[N:], K, passing=Passing(np.ones(7, dtype=np.bool_)))


def test_ties_are_in_the_order_of_rows():
    base = normalize(np.repeat(np.eye(4, dtype=np.float32), 50, axis=0))
    flags = np.arange(200) % 3 == 0
    rows = build(lambda: [base], 4, "Flat").search(base[:1], 17, passing=Passing(flags)).rows
    assert rows.tolist() == [list(range(0, 50, 3))]


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "HNSW16", "IVF16,PQ4x4fs,RFlat"])
def test_an_index_that_is_mapped(indexes, embeddings, tmp_path, monkeypatch, factory):
    monkeypatch.setattr("simsearch.vectors.index.index._READ_FLOOR", 1000)
    indexes[factory].save(tmp_path / "index.faiss")
    mapped = FaissIndex.load(tmp_path / "index.faiss", mapped=True)
    for share in (0.003, 0.5):
        flags = flags_of(embeddings, share, near=False)
        expected = indexes[factory].search(embeddings[N:], K, passing=Passing(flags))
        found = mapped.search(embeddings[N:], K, passing=Passing(flags))
        np.testing.assert_array_equal(found.rows, expected.rows)


def test_several_threads_share_a_filter(indexes, embeddings):
    index = FaissIndex(faiss.clone_index(indexes["IVF16,Flat"]._native), "IVF16,Flat")
    flags = flags_of(embeddings, 0.01, near=False)
    shared, expected = Passing(flags), kth(embeddings[N:], embeddings[:N], flags, K)
    wrong = []

    def ask():
        for _ in range(20):
            scores = index.search(embeddings[N:], K, passing=shared).scores
            if not np.allclose(scores, expected, atol=1e-5):
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
