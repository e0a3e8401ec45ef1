"""A real Milvus server: the same index, the same commands, killed in the middle of them. One server for all tests."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from clustered import D, N, drawn
from commands import run_cli
from conftest import picture
from synced import moved_copy, record

from simsearch.errors import EngineError
from simsearch.vectors.index import Passing, build

pytestmark = pytest.mark.slow

Q, K = 50, 10
RARE = 97  # rows of one label: 45 of 50 filtered answers by HNSW were short with so many


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    pytest.importorskip("milvus", reason="the server of the package milvus")
    from milvus_server import Server

    running = Server(tmp_path_factory.mktemp("milvus"))
    try:
        yield running.start()
    finally:
        running.kill()


@pytest.fixture(scope="module")
def embeddings():
    return drawn(5, Q)


@pytest.fixture(scope="module")
def features(embeddings, tmp_path_factory):
    from milvus_loaded import write

    return write(tmp_path_factory.mktemp("features"), embeddings[:N].copy())


@pytest.fixture
def client(server):
    from simsearch.engines.milvus.client import Client

    with closing(Client(server.uri)) as opened:
        yield opened


@pytest.mark.parametrize("kind", ["FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8"])
def test_it_finds_what_faiss_finds_upserts_deletes_and_filters(client, embeddings, features, kind):
    from milvus_loaded import load, opened, record

    collection = load(client, kind, embeddings[:N], name=kind)
    index, queries = opened(collection, features, N), embeddings[N:]
    scores, rows, _ = index.search(queries, K)
    flat = build(lambda: [embeddings[:N]], D, "Flat").search(queries, K)
    recall = (scores >= flat.scores[:, -1:] - 1e-6).mean()
    assert recall == 1 if kind == "FLAT" else recall > 0.95
    flags = np.zeros(N, dtype=np.bool_)
    flags[np.argsort(-(embeddings[:N] @ embeddings[N]))[:RARE]] = True
    found = index.search(queries, K, passing=Passing(flags))
    assert found.rows.shape == (Q, K)
    exact = -np.sort(-(queries @ embeddings[:N][flags].T), axis=1)[:, :K]
    np.testing.assert_allclose(found.scores, exact, atol=1e-5)
    gone = np.unique(rows[:, :3])
    collection.remove(gone)
    for _ in collection.put([record(int(rows[0, 0]))], [embeddings[rows[0, :1]]]):
        pass
    assert collection.count() == N - len(gone) + 1
    assert set(collection.search(queries, 100).ravel().tolist()) & set(gone.tolist()) <= {int(rows[0, 0])}
    assert collection.search(queries[:1], 1)[0, 0] == rows[0, 0]


def test_of_another_version_build_or_width(client, embeddings, monkeypatch):
    from milvus_loaded import load

    from simsearch.engines.milvus import client as clients
    from simsearch.engines.milvus.collection import Collection

    good = load(client, "FLAT", embeddings[:50], name="good")
    good.check(D, "export")
    for change, dim, said in (
        ({"fingerprint": "x"}, D, "is of another build"),
        ({}, 64, "holds 16-d vectors, the build has 64-d"),
        ({"kind": "HNSW"}, D, "expected HNSW, seen FLAT"),
    ):
        with pytest.raises(EngineError, match=said):
            Collection(client, replace(good.place, **change)).check(dim, "export")
    monkeypatch.setattr(clients, "OLDEST", (9, 9))
    with pytest.raises(EngineError, match=r"is of version v2\.3\.5.*, expected 9\.9 or later"):
        clients.Client(client.uri)


def test_every_acknowledged_row_is_there_after_kills(server):
    from milvus_server import acknowledged

    rows, missing = acknowledged(server, 3)
    assert rows >= 500
    assert missing == []


def test_a_build_is_exported_answered_for_synced_and_outlives_its_server(server, built, tmp_path):
    from simsearch.home import Home
    from simsearch.search import Searcher

    folder, home = moved_copy(built, tmp_path)
    run_cli("export", "photos", "--format", "milvus", "--out", server.uri, "--home", home, check=0)
    run_cli("switch", "photos", "--search", "milvus", "--home", home, check=0)
    picture(7, 501).save(folder / "class 1" / "new.png")
    (folder / "class 2" / "03.png").unlink()
    run_cli("sync", "--home", home, check=0)

    def hits(*words):
        done = run_cli("query", folder / "class 1" / "new.png", "--home", home, "--json", *words, check=0)
        return [(hit["image"], round(hit["score"], 5)) for hit in json.loads(done.stdout)["hits"]]

    asked = [hits(), hits("--k", "40"), hits("--label", "class 2")]
    assert asked[0][0][0] == "class 1/new.png"
    assert len(asked[1]) == 30
    opened = Searcher(Home(home).build("photos"))
    server.kill()
    with pytest.raises(EngineError, match="cannot be reached or does not answer"):
        opened.search([folder / "class 1" / "new.png"])
    before = record(home)
    for words in (["query", folder / "class 1" / "new.png"], ["sync"], ["export", "photos", "--format", "milvus"]):
        more = ["--out", server.uri] if words[0] == "export" else []
        done = run_cli(*words, *more, "--home", home, check=2)
        assert done.stderr.count("error: ") == 1
        assert f"Milvus at {server.uri} cannot be reached or does not answer" in done.stderr
    assert record(home) == before
    run_cli("switch", "photos", "--search", "local", "--home", home, check=0)  # as every error offers
    assert asked == [hits(), hits("--k", "40"), hits("--label", "class 2")]
