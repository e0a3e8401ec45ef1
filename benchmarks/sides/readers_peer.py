"""Read an exported HDF5 and a folder of .npy without simsearch: readers_peer.py HDF5 FOLDER; prints checks as JSON."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
from autofaiss import build_index
from embedding_reader import EmbeddingReader

QUERIES, K = 1000, 10
EPSILON = 1e-3  # ann-benchmarks' own: a neighbour that is no further than this beyond the k-th counts


def angular(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """ann-benchmarks' distance "angular" of each query (Q, D) to its rows (Q, n, D): 1 - cosine."""
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(rows, axis=2)
    return 1 - np.einsum("qd,qnd->qn", queries, rows) / lengths


def recall(found: np.ndarray, best: np.ndarray, k: int) -> float:
    """Share of the first k distances found that are within EPSILON of the k-th best, as ann-benchmarks counts it."""
    return float((found[:, :k] <= best[:, k - 1 : k] + EPSILON).mean())


def main() -> None:
    """Check both, print one JSON document."""
    checks: list[tuple[str, bool, str]] = []
    with h5py.File(sys.argv[1], "r") as file:
        distance, dimension = file.attrs["distance"], int(file.attrs["dimension"])
        train, test = np.array(file["train"]), np.array(file["test"])
        neighbours, distances = np.array(file["neighbors"]), np.array(file["distances"])
    checks.append(
        ("hdf5/attributes", distance == "angular" and dimension == train.shape[1], f"{distance}, {dimension}-d")
    )
    norms = np.linalg.norm(np.concatenate((train, test)), axis=1)
    checks.append(("hdf5/unit", bool(np.abs(norms - 1).max() < 1e-5), f"{len(train):,} train, {len(test):,} test"))
    queries = test[:QUERIES].astype(np.float64)
    exact = 1 - (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ train.astype(np.float64).T
    best = np.sort(np.partition(exact, 100, axis=1)[:, :100], axis=1)
    given = angular(queries, train[neighbours[:QUERIES]].astype(np.float64))
    worst = float(np.abs(given - distances[:QUERIES]).max())
    checks.append(("hdf5/distances", worst < 1e-5, f"off by {worst:.1e} at most"))
    worst = float(np.abs(given - best).max())
    checks.append(("hdf5/neighbours", worst < 1e-6, f"the k-th distance is off by {worst:.1e} at most, k to 100"))
    share = recall(given, best, 100)
    checks.append(("hdf5/recall@100", share == 1, f"{share:.4f} as ann-benchmarks counts it, {len(queries):,} queries"))

    vectors = str(Path(sys.argv[2]) / "img_emb")
    reader = EmbeddingReader(vectors, file_format="npy")
    rows = np.concatenate([block for block, _ in reader(batch_size=50_000, show_progress=False)])
    same = rows.shape == train.shape and bool((rows == train).all())
    checks.append(("npy/embedding-reader", same, f"{reader.count:,} x {reader.dimension}, equal to train: {same}"))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        index, _ = build_index(
            vectors,
            index_path=f"{folder}/x.index",
            index_infos_path=f"{folder}/x.json",
            metric_type="ip",
            max_index_memory_usage="1G",
            current_memory_available="2G",
            max_index_query_time_ms=10,
            verbose=30,
        )
    _, found = index.search(test[:QUERIES], K)
    share = recall(np.sort(angular(queries, rows[np.maximum(found, 0)].astype(np.float64)), axis=1), best, K)
    checks.append(("npy/autofaiss", share > 0.5, f"{type(index).__name__}: recall@{K} {share:.4f}"))
    names = ("h5py", "embedding-reader", "autofaiss", "faiss-cpu")
    print(json.dumps({"checks": checks, "peers": ", ".join(f"{name} {version(name)}" for name in names)}))


if __name__ == "__main__":
    main()
