"""Both sides of engines_milvus.py: `write FILE` makes vectors, `search FOLDER KIND` loads, searches and compares."""

import json
import subprocess
import sys
import time
from pathlib import Path

import index_data
import numpy as np

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent.parent / "tests"))
ENTRY = str(Path(sys.executable).with_name("simsearch"))
ROWS, ASKED, ALONE, BATCH, K = 100_000, 2_000, 200, 200, 10


def vectors(rows, seed=0):
    """Unit vectors of the clustered kind."""
    return np.concatenate(list(index_data.blocks("clustered", rows, seed)))


def write(path):
    """Rows, and behind them the queries in a file of their own."""
    both = vectors(ROWS + ASKED)
    np.save(path, both[:ROWS])
    np.save(path.with_name("asked.npy"), both[ROWS:])
    return {}


def did(folder, *words):
    """A command on the home of the vectors; returns its seconds."""
    began = time.perf_counter()
    subprocess.run([ENTRY, *words, "--home", str(folder / "home")], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def asked(folder, queries):
    """Milliseconds of one query and of each in a batch, and the rows that are found, by who answers now."""
    import simsearch

    with simsearch.open("vectors", home=str(folder / "home")) as searcher:
        searcher.search_vectors(queries[:BATCH], K)
        began = time.perf_counter()
        for query in queries[:ALONE]:
            searcher.search_vectors(query[None], K)
        one = (time.perf_counter() - began) / ALONE
        began = time.perf_counter()
        found = [
            [hit.row for hit in hits]
            for start in range(0, len(queries), BATCH)
            for hits in searcher.search_vectors(queries[start : start + BATCH], K)
        ]
        many = (time.perf_counter() - began) / len(queries)
    return {"one": 1000 * one, "many": 1000 * many}, found


def search(folder, kind):
    """Load, search by both, compare."""
    where, index = kind.split("/")
    queries = np.load(folder / "asked.npy")
    server = None
    if where == "server":
        from milvus_server import Server

        server = Server(folder / f"server-{time.time_ns()}").start()
    try:
        out = server.uri if server else str(folder / f"{time.time_ns()}.db")
        load = did(folder, "export", "vectors", "--format", "milvus", "--index", index, "--out", out)
        did(folder, "switch", "vectors", "--search", "milvus")
        milvus, found = asked(folder, queries)
        did(folder, "switch", "vectors", "--search", "local")
        faiss, right = asked(folder, queries)
    finally:
        if server:
            server.kill()
    shares = [len(set(one) & set(other)) / K for one, other in zip(found, right, strict=True)]
    return {"load": load, "milvus": milvus, "faiss": faiss, "recall": float(np.mean(shares))}


if __name__ == "__main__":
    step, folder, *more = sys.argv[1:]
    print(json.dumps({"write": write, "search": search}[step](Path(folder), *more)))
