"""The index over a Milvus file: exact where it says so, never a short answer, whatever the filter or the state."""

import subprocess
import sys
import warnings

import h5py
import numpy as np
import pytest
from clustered import D, N, drawn

from simsearch.engines.milvus.collection import as_text, fields_of
from simsearch.engines.milvus.kinds import FLAT_UP_TO, KINDS, built_with, kind_for, searched_with
from simsearch.engines.milvus.place import Place, uri_of
from simsearch.errors import EngineError, LockedError, MissingError, RecipeError, VectorsError
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.index import Deleted, Passing, build

Q, K = 24, 10
PLACE = Place("http://127.0.0.1:1", "c", "FLAT", 10, "f", "s")


@pytest.mark.parametrize("kind", ["DISKANN", "SCANN", "IVF_PQ", "GPU_CAGRA", "FLATT", ""])
def test_kinds_that_are_not_built_are_refused_with_the_list(kind):
    with pytest.raises(RecipeError, match="expected FLAT, HNSW, IVF_FLAT, IVF_SQ8, seen"):
        kind_for(kind, 10)


def test_the_kind_follows_from_the_size():
    assert [kind_for(None, rows) for rows in (1, FLAT_UP_TO, FLAT_UP_TO + 1)] == [
        "FLAT",
        "FLAT",
        "HNSW",
    ]
    assert kind_for("hnsw", 1) == "HNSW"
    assert searched_with("HNSW", 9, 500)["ef"] == 1000
    for rows in (1, 40, 10**6):
        nlist = built_with("IVF_FLAT", rows)["nlist"]
        assert 1 <= searched_with("IVF_FLAT", rows, 10)["nprobe"] <= nlist <= rows


def test_where_it_may_be(tmp_path):
    assert uri_of("http://host:19530/") == "http://host:19530"
    assert uri_of(f"{tmp_path}/x/../m.db") == f"{tmp_path}/m.db"
    for secret in ("http://me:secret@host:19530", "https://secret@host", "http://host?token=secret"):
        with pytest.raises(RecipeError) as seen:
            uri_of(secret)
        assert "secret" not in seen.value.message + seen.value.hint
    for wrong in ("host:19530", "ftp://host/m.db", "http://", "m.sqlite", "tcp://secret@host"):
        with pytest.raises(RecipeError, match="expected http://HOST:19530") as seen:
            uri_of(wrong)
        assert "secret" not in seen.value.message
    with pytest.raises(RecipeError, match="no folder"):
        uri_of(f"{tmp_path}/none/m.db")


def test_a_place_survives_a_file_and_others_are_none():
    assert Place.from_json(PLACE.to_json()) == PLACE
    for change in ({"rows": "10"}, {"answers": 1}, {"uri": None}):
        with pytest.raises(ValueError, match="not a place"):
            Place.from_json(PLACE.to_json() | change)
    with pytest.raises(TypeError):
        Place.from_json({"uri": "x"})


@pytest.mark.parametrize("chunks", [None, (7, 5)])
def test_features_are_read_by_row(tmp_path, chunks):
    table = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("features", data=table, chunks=chunks)
    with FeatureFile(tmp_path / "f.h5") as file:
        for rows in ([], [0], [3, 4, 39]):
            np.testing.assert_array_equal(file.at(np.array(rows, dtype=np.int64)), table[rows])
        for wrong in ([-1, 3], [3, 40]):
            with pytest.raises(VectorsError, match="expected rows within 0 to 40"):
                file.at(np.array(wrong))


def test_columns_get_names_and_texts_that_milvus_takes():
    assert fields_of(["price", "price (€)", "price (£)", "2nd", "row", ""]) == [
        "price",
        "price____",
        "price_____",
        "list_2nd",
        "list_row",
        "_",
    ]
    assert as_text("a\udc80") == "a\\udc80"
    assert as_text("é" * 40_000) == "é" * 32_767


@pytest.fixture(scope="module")
def embeddings():
    return drawn(5, Q)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    pytest.importorskip("milvus_lite")
    from simsearch.engines.milvus.client import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = Client(str(tmp_path_factory.mktemp("lite") / "m.db"))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def features(embeddings, tmp_path_factory):
    from milvus_loaded import write

    return write(tmp_path_factory.mktemp("features"), (3 * embeddings[:N]).astype(np.float32))


@pytest.fixture(scope="module")
def indexes(client, embeddings, features):
    from milvus_loaded import load, opened

    return {kind: opened(load(client, kind, embeddings[:N], name=kind), features, N) for kind in KINDS}


def best(queries, base, flags, k):
    """The k best scores among rows that pass, by a plain sort."""
    return -np.sort(-(queries @ base[flags].T), axis=1)[:, :k]


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_rows_in_order_with_the_scores_of_their_features(indexes, embeddings, kind):
    index, queries = indexes[kind], embeddings[N:]
    assert (index.ntotal, index.dim, index.factory, index.is_flat) == (N, D, f"Milvus {kind}", kind == "FLAT")
    scores, rows, widened = index.search(queries, K)
    assert (scores.dtype, rows.dtype, rows.shape, len(widened)) == (np.float32, np.int64, (Q, K), 0)
    np.testing.assert_allclose(scores, np.einsum("qd,qkd->qk", queries, embeddings[rows]), atol=1e-6)
    assert (np.diff(scores, axis=1) <= 0).all()
    flat = build(lambda: [embeddings[:N]], D, "Flat").search(queries, K)
    recall = (scores >= flat.scores[:, -1:] - 1e-6).mean()
    assert recall == 1 if kind == "FLAT" else recall > 0.95
    np.testing.assert_allclose(index.stored(7, 9), embeddings[7:9], atol=1e-6)


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3, 1])
@pytest.mark.parametrize("kind", ["FLAT", "HNSW"])
def test_a_filter_never_shortens_an_answer(indexes, embeddings, monkeypatch, kind, share, near, copied):
    if not copied:
        monkeypatch.setattr("simsearch.engines.milvus.index.COPIED", 0)
    count, far = max(1, int(share * N)), np.argsort(embeddings[N:] @ embeddings[N])[:4]
    queries = embeddings[N:][far]
    order = np.argsort(-(embeddings[:N] @ embeddings[N])) if near else np.random.default_rng(1).permutation(N)
    flags = np.zeros(N, dtype=np.bool_)
    flags[order[:count]] = True
    scores, rows, widened = indexes[kind].search(queries, K, passing=Passing(flags))
    assert rows.shape == (4, min(K, count))
    assert flags[rows].all()
    assert all(len(set(row)) == len(row) for row in rows.tolist())
    if copied or kind == "FLAT" or near:
        np.testing.assert_allclose(scores, best(queries, embeddings[:N], flags, K), atol=1e-5)
    if copied:
        assert not len(widened), "few rows are looked at at once, which is no fallback"
    elif near and share == 0.01:
        assert len(widened), "what Milvus finds lies elsewhere, and is told from an answer"


def test_rows_of_another_state_are_never_found_nor_missed(client, embeddings, features):
    """Between two states: rows that the next has are there, and those that it deletes are not yet gone, or are."""
    from milvus_loaded import load, opened

    ntotal, queries = 2000, embeddings[N : N + 3]
    gone = np.arange(0, 700, dtype=np.int64)
    collection = load(client, "FLAT", embeddings[:N], name="between")
    index = opened(collection, features, ntotal, gone)
    flags = np.ones(ntotal, dtype=np.bool_)
    flags[gone] = False
    for removed in ([], gone[:400], np.arange(1500, 1990)):
        collection.remove(np.asarray(removed, dtype=np.int64))
        for k in (1, K, 1300):
            scores, rows, _ = index.search(queries, k, deleted=Deleted(gone, ntotal))
            assert rows.shape == (3, min(k, 1300))
            assert rows.max() < ntotal
            assert flags[rows].all()
            if len(removed) != 490 or k == 1300:
                np.testing.assert_allclose(scores, best(queries, embeddings[:ntotal], flags, k), atol=1e-5)
    with pytest.raises(EngineError, match=r"holds 1,110 rows, the build has 1,300"):
        opened(collection, features, ntotal, gone)


def test_what_it_is_asked_is_checked_as_by_faiss(indexes, embeddings):
    flat = build(lambda: [embeddings[:N]], D, "Flat")
    asked = [
        {"embeddings": embeddings[:3, :5]},
        {"k": 0},
        {"deleted": Deleted(np.array([1]), 10)},
        {"deleted": Deleted(np.arange(N), N)},
        {"passing": Passing(np.ones(7, dtype=np.bool_))},
        {"rows_below": 0},
    ]
    for one in asked:
        said = []
        for index in (indexes["FLAT"], flat):
            with pytest.raises(VectorsError) as seen:
                index.search(**{"embeddings": embeddings[:3], "k": 5} | one)
            said.append(seen.value.message.replace(index.factory, "X"))
        assert said[0] == said[1]
    assert indexes["FLAT"].search(embeddings[:3], 5, passing=Passing(np.zeros(N, dtype=np.bool_))).rows.shape == (3, 0)
    assert set(indexes["HNSW"].search(embeddings[:3], 50, rows_below=40).rows[0].tolist()) == set(range(40))
    for call in (lambda index: index.add(embeddings), lambda index: index.save("x")):
        with pytest.raises(VectorsError):
            call(indexes["FLAT"])


def test_another_collection_is_refused_in_a_line(client, embeddings, features):
    from dataclasses import replace

    from milvus_loaded import load

    from simsearch.engines.milvus.collection import Collection

    good = load(client, "FLAT", embeddings[:50], name="good")
    good.check(D, "export")

    def said(dim=D, **change):
        with pytest.raises(EngineError) as seen:
            Collection(client, replace(good.place, **change)).check(dim, "simsearch export x")
        assert seen.value.hint.startswith("simsearch export x loads it")
        return seen.value.message

    assert "is not there" in said(collection="none")
    assert "is of another build" in said(fingerprint="other")
    assert "another state" in said(state="later")
    assert "holds 16-d vectors, the build has 64-d" in said(dim=64)
    assert "expected HNSW, seen FLAT" in said(kind="HNSW")
    good.mark("now>later")
    good.check(D, "export")
    Collection(client, replace(good.place, state="later")).check(D, "export")
    good.mark("elsewhere>later")
    assert "another state" in said()
    for name, metric, dynamic, message in (
        ("metric", "L2", False, "expected IP, seen L2"),
        ("schema", "IP", True, "another schema"),
    ):
        schema = client.schema(enable_dynamic_field=dynamic)
        schema.add_field("row", client.types.INT64, is_primary=True)
        schema.add_field("embedding", client.types.FLOAT_VECTOR, dim=D)
        for text in ("label", "image"):
            schema.add_field(text, client.types.VARCHAR, max_length=9)
        client.call(
            "create_collection",
            name,
            schema=schema,
            properties={"simsearch.fingerprint": good.place.fingerprint, "simsearch.state": "now"},
        )
        index = client._native.prepare_index_params()
        index.add_index("embedding", index_type="FLAT", metric_type=metric)
        client.call("create_index", name, index)
        assert message in said(collection=name)


@pytest.mark.slow
def test_a_file_is_of_one_process(client):
    code = f"from simsearch.engines.milvus.client import Client; Client({client.uri!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "LockedError" in done.stderr
    assert "is open in another process" in done.stderr


def test_an_address_without_a_server(monkeypatch):
    pytest.importorskip("pymilvus")
    from simsearch.engines.milvus.client import Client

    monkeypatch.setenv("SIMSEARCH_MILVUS_TOKEN", "secret-token")
    with pytest.raises(EngineError, match="cannot be reached or does not answer") as seen:
        Client("http://127.0.0.1:1")
    assert "secret" not in f"{seen.value.message} {seen.value.hint}"
    assert not isinstance(seen.value, LockedError)


def test_without_pymilvus(monkeypatch):
    from simsearch.engines.milvus.client import Client

    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingError) as seen:
        Client("http://127.0.0.1:1")
    assert seen.value.message == "Milvus at http://127.0.0.1:1 needs pymilvus, which is not installed"
    assert seen.value.hint == "pip install 'simsearch[milvus]'"
