"""Searching by Milvus beside FAISS: 100,000 x 64, single queries and batches of 200, and what loading takes.

Clustered vectors (sides/index_data.py) are imported with `--index Flat`, loaded by `simsearch export --format milvus`
into a server on 127.0.0.1 (package `milvus`) or into a file (milvus-lite), and searched through
`Searcher.search_vectors` with 2,000 fresh queries, of which 200 alone (sides/engines_milvus.py). recall@10 is against
FAISS, told in the lines. A ratio below 1 is what the network and the exact scoring of what Milvus names cost.

Command: python benchmarks/engines_milvus.py [--json] [--rounds N]
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import ENTRY, Row, in_turn, main, median, run, say, side, versions

KINDS = ("server/FLAT", "server/HNSW", "server/IVF_FLAT", "file/FLAT")
NAMES = {"one": "one query", "many": "200 at a time, each"}


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """Two rows for each kind, and one of loading."""
    home, vectors = folder / "home", folder / "vectors.npy"
    side("engines_milvus", folder, "write", vectors)
    run([ENTRY, "index", "import", vectors, "--name", "vectors", "--index", "Flat", "--home", home], folder)
    sides = {kind: partial(side, "engines_milvus", folder, "search", folder, kind) for kind in KINDS}
    results = in_turn(rounds, sides)
    for kind, runs in results.items():
        loaded = median(runs, lambda ran: float(ran.said["load"]))
        recall = min(ran.said["recall"] for ran in runs)
        say(f"{kind}: 100,000 rows loaded and compared in {loaded:.1f} s, recall@10 {recall:.4f}")
        for what, words in NAMES.items():
            ours = median(runs, lambda ran, what=what: float(ran.said["milvus"][what]))
            faiss = median(runs, lambda ran, what=what: float(ran.said["faiss"][what]))
            yield Row(
                f"engines/milvus/{kind}/{what}", ours, faiss, f"FAISS Flat, {words}, {versions('pymilvus')}", "ms"
            )


if __name__ == "__main__":
    main(__doc__, measure)
