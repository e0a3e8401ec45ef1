"""What `target_recall` promises, counted: indexes chosen over seeded vectors, and what fresh vectors find in them.

A run draws a world of its own (`clustered`, `factors` or `manifold`), and from it the rows of an index and 20,000 fresh
vectors. It lets `choose` take the best index of one kind (`graph`, `ivf`, `pq`; never Flat, which cannot miss), and
compares what it promised with ann_recall@10 of the fresh vectors, their neighbours found by exact search. A miss is a
promise that fresh vectors do not get. Every other run has val rows enough to hold out, the others a random share.

`python tests/promises.py KIND DATA RUNS [FIRST SEED]` prints a JSON line a run.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from unittest.mock import patch

import faiss
import numpy as np

from simsearch.vectors.normalize import normalize
from simsearch.vectors.tuning import choose as choosing
from simsearch.vectors.tuning import sweep
from simsearch.vectors.tuning.candidates import Candidate, candidates
from simsearch.vectors.tuning.truth import K

FRESH = 20_000
TARGETS = 0.9, 0.99
KINDS = {
    "graph": lambda one: one.is_graph,
    "ivf": lambda one: one.nlist > 0 and "PQ" not in one.factory,
    "pq": lambda one: "PQ" in one.factory,
}


class Array:
    """Features in memory, as FeatureFile gives them."""

    def __init__(self, features):
        self.features, self.shape = features, features.shape

    def read(self, start, stop):
        return self.features[start:stop]


def clustered(random, dim):
    """Classes of uneven size, each with noise in a few directions of its own, as metric learning leaves them."""
    classes, rank = int(random.integers(20, 200)), 6
    centres = normalize(random.standard_normal((classes, dim)).astype(np.float32))
    weights = random.lognormal(0, 1, classes)
    own = random.standard_normal((classes, rank, dim)).astype(np.float32) / dim**0.5
    spread = random.uniform(0.2, 0.6)

    def draw(rows):
        labels = random.choice(classes, rows, p=weights / weights.sum())
        inside = random.standard_normal((rows, rank)).astype(np.float32) * spread
        noise = 0.1 * random.standard_normal((rows, dim)).astype(np.float32) / dim**0.5
        return centres[labels] + noise + np.einsum("nr,nrd->nd", inside, own[labels])

    return draw


def factors(random, dim):
    """No classes: random sums of many shared factors, some heavier than others."""
    count = 4 * dim
    shared = random.standard_normal((count, dim)) * random.lognormal(0, 0.5, (count, 1))
    return lambda rows: (random.standard_normal((rows, count)) @ shared).astype(np.float32)


def manifold(random, dim):
    """A smooth curved sheet of few dimensions."""
    inner = int(random.integers(3, 7))
    first, shift = 2 * random.standard_normal((inner, 2 * dim)), random.uniform(0, 6, 2 * dim)
    second = random.standard_normal((2 * dim, dim))

    def draw(rows):
        found = np.sin(random.standard_normal((rows, inner)) @ first + shift) @ second
        return (found + 0.02 * random.standard_normal((rows, dim))).astype(np.float32)

    return draw


DATA = {"clustered": clustered, "factors": factors, "manifold": manifold}


@dataclass(frozen=True)
class Run:
    """One promise: its lower bound, the recall told, and what fresh vectors found."""

    kind: str
    data: str
    seed: int
    rows: int
    dim: int
    val: int  # rows of those held out
    target: float
    chosen: str
    promised: bool  # choose says that the target is reached
    bound: float
    told: float
    fresh: float

    @property
    def missed(self) -> bool:
        """Whether fresh vectors find less than was promised."""
        return self.promised and self.fresh < self.target


def run(kind: str, data: str, seed: int) -> Run:
    """Return what was promised and found in the world of a seed."""
    random = np.random.default_rng([seed, *map(ord, data)])
    rows, dim = int(random.integers(5_000, 8_001)), int(random.choice([16, 24, 32]))
    target = float(random.uniform(*TARGETS))
    draw = DATA[data](random, dim)
    features, fresh = draw(rows), normalize(draw(FRESH))
    val = np.sort(random.choice(rows, 1_100, replace=False)) if seed % 2 else None

    def of_kind(rows: int, dim: int) -> list[Candidate]:  # a thin graph too: it favours its own rows the most
        return [one for one in [*candidates(rows, dim), Candidate("HNSW8")] if KINDS[kind](one)]

    with ExitStack() as patched:
        patched.enter_context(patch.object(choosing, "candidates", of_kind))
        patched.enter_context(patch.object(sweep, "SECONDS", 0.005))  # speed is not what is tested
        choice = choosing.choose(Array(features), rows, target_recall=target, val=val, seed=seed)
    base = normalize(features)
    exact = faiss.IndexFlatIP(dim)  # none of what is tested
    exact.add(base)
    kth = exact.search(fresh, K)[0][:, -1:]
    found = choice.index.search(fresh, K, choice.search)[1]
    recall = float((np.einsum("qd,qkd->qk", fresh, base[found]) >= kth - 1e-6).mean())
    settings = ",".join(f"{key}={value:g}" for key, value in choice.search.given().items())
    return Run(
        kind, data, seed, rows, dim, choice.held_out["val"], target, f"{choice.factory} {settings}", choice.reached,
        choice.interval[0], choice.ann_recall, recall,
    )  # fmt: skip


if __name__ == "__main__":
    kind, data, runs, first = sys.argv[1], sys.argv[2], int(sys.argv[3]), int((sys.argv[4:] or ["0"])[0])
    for seed in range(first, first + runs):
        result = run(kind, data, seed)
        print(json.dumps({**asdict(result), "missed": result.missed}), flush=True)
