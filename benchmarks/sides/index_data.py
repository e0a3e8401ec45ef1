"""What all sides of index.py and scale.py share: vectors by a seed, exact answers, recall, and the words they exchange.

`clustered`: 1,000 classes of uneven size, as metric learning makes them: a class is a random direction with noise in
16 directions of its own and a little in all. `unclustered`: random directions, each a random sum of 300 shared factors.
A block of rows depends on the seed and its own number only, so that any size is written in constant memory.
Two sets of queries are no rows: one to choose a setting with, a fresh one to measure what was chosen.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np

DIM, BLOCK, K = 64, 65_536, 10
CLASSES, RANK, FACTORS = 1_000, 16, 300
QUERIES, TUNING = 10_000, 2_000  # fresh ones, timed and judged; and those to choose a setting with
TARGET = 0.99
TOLERANCE = 1e-6


def clustered(seed):
    """Return a function from (block number, rows) to vectors."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((CLASSES, DIM), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    weights = random.lognormal(0, 1, CLASSES)
    own = random.standard_normal((CLASSES, RANK, DIM), dtype=np.float32) / math.sqrt(DIM)

    def block(number, rows):
        noise = np.random.default_rng([seed, number])
        labels = noise.choice(CLASSES, rows, p=weights / weights.sum())
        inside = 0.35 * noise.standard_normal((rows, RANK), dtype=np.float32) / math.sqrt(RANK)
        vectors = centres[labels] + 0.1 * noise.standard_normal((rows, DIM), dtype=np.float32) / math.sqrt(DIM)
        for label in np.unique(labels):
            vectors[labels == label] += inside[labels == label] @ own[label]
        return vectors

    return block


def unclustered(seed):
    """Return a function from (block number, rows) to vectors."""
    factors = np.random.default_rng(seed).standard_normal((FACTORS, DIM), dtype=np.float32)

    def block(number, rows):
        return np.random.default_rng([seed, number]).standard_normal((rows, FACTORS), dtype=np.float32) @ factors

    return block


KINDS = {"clustered": clustered, "unclustered": unclustered}


def blocks(kind, rows, seed=0):
    """Yield `rows` unit vectors in blocks, (n, 64) float32."""
    make = KINDS[kind](seed)
    for start in range(0, rows, BLOCK):
        block = make(start // BLOCK, min(BLOCK, rows - start))
        yield block / np.linalg.norm(block, axis=1, keepdims=True)


def queries(kind, number, count, seed=0):
    """Return queries that are no rows, (count, 64): others for another number."""
    block = KINDS[kind](seed)(2**40 + number, count)
    return block / np.linalg.norm(block, axis=1, keepdims=True)


def write(kind, rows, folder):
    """Write base.npy and both sets of queries to `folder`."""
    base = np.lib.format.open_memmap(folder / "base.npy", "w+", np.float32, (rows, DIM))
    start = 0
    for block in blocks(kind, rows):
        base[start : start + len(block)] = block
        start += len(block)
    finish(base, queries(kind, 1, TUNING), queries(kind, 0, QUERIES), folder)


def finish(base, tuning, fresh, folder):
    """Write the queries to tune with and the fresh ones, and the tenth best score of each."""
    from simsearch.vectors.exact import exact_search

    for name, asked in (("tuning", tuning), ("fresh", fresh)):
        found = exact_search(asked, np.asarray(base), K, "ip")
        np.savez(folder / name, queries=asked, kth=np.concatenate([scores[:, -1] for _, scores, _ in found]))


def opened(folder):
    """Return base (mapped), and the queries and tenth best scores to tune with, and the fresh ones."""
    folder = Path(folder)
    asked = [np.load(folder / f"{name}.npz") for name in ("tuning", "fresh")]
    return np.load(folder / "base.npy", mmap_mode="r"), *((one["queries"], one["kth"]) for one in asked)


def recall(base, asked, kth, rows):
    """Return ann_recall@10 of returned rows (Q, 10), ties allowed, by their true scores."""
    scores = np.einsum("qd,qkd->qk", asked, base[np.asarray(rows, dtype=np.int64)])
    return float((scores >= kth[:, None] - TOLERANCE).mean())


def serve(search, asked, **built):
    """Print what was built; then time one batch for each line that comes in."""
    search(asked)
    print(json.dumps(built), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        search(asked)
        print(json.dumps({"qps": len(asked) / (time.perf_counter() - began)}), flush=True)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    print("{}")
