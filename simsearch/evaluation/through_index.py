"""The system recipe/index: what the index itself returns, how much of the exact answer that is, and how fast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Doubles, Flags, Floats, Integers
from simsearch.evaluation.measured import SystemResult
from simsearch.evaluation.systems import FeatureSource, Found, Task, gather
from simsearch.vectors.index import Index
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import Search
from simsearch.vectors.speed import queries_per_second

_QUERIES = 8192  # a block: each reads the stored features of what it found once
_TOLERANCE = 1e-6  # scores of one pair differ by this much between ways of summing
_SHOWN = 10
_TIMED_QUERIES = 10_000


@dataclass(frozen=True)
class IndexResult:
    """The figures of recipe/index, queries a second, and the first neighbours of each query.

    `ann_shares` are the ann_recall of the single queries by k, (Q,) float64.
    `rows` (Q, n) int64 are in the order of the index, n = 10 or the largest k where that is smaller; `scores` (Q, n)
    float32 are their inner products, which a coded index knows only roughly.
    """

    system: SystemResult
    ann_shares: dict[int, Doubles]
    qps: float | None
    rows: Integers
    scores: Floats


def evaluate_index(
    index: Index,
    source: FeatureSource,
    task: Task,
    boundary: Flags | None,
    thresholds: Floats,
    search: Search,
    *,
    timed_k: int | None,
) -> IndexResult:
    """Return what the index answers over gallery rows, against the exact k-th scores `thresholds` (Q, len(ks)).

    ann_recall@k is the share of the first k returned rows that score at least the exact k-th best, less 1e-6, by their
    true inner product, so that ties may permute (Aumüller et al. 2018, ann-benchmarks, arXiv 1807.05614). Deep figures
    are left to the caller: an approximate index is not asked for thousands of rows. Without `timed_k` nothing is timed.
    """
    embeddings = normalize(gather(source, task.query_rows))
    shares = {k: np.empty(len(embeddings)) for k in task.ks}
    width = min(max(task.ks), task.neighbours)
    first = min(_SHOWN, width)
    first_rows = np.empty((len(embeddings), first), dtype=np.int64)
    first_scores = np.empty((len(embeddings), first), dtype=np.float32)

    def found() -> Iterator[Found]:
        for start in range(0, len(embeddings), _QUERIES):
            span = slice(start, min(start + _QUERIES, len(embeddings)))
            rows = index.search(embeddings[span], width + task.own.most, search, rows_below=task.gallery).rows
            if task.own.most:
                rows = task.own.part(span).without(rows)[0][:, :width]
            scores = _true_scores(embeddings[span], rows, source)
            for i, k in enumerate(task.ks):
                near = scores[:, :k] >= thresholds[span, i, None] - _TOLERANCE
                shares[k][span] = near.mean(axis=1)
            first_rows[span], first_scores[span] = rows[:, :first], scores[:, :first]
            yield span, rows

    system = task.measure(found(), boundary, deep=False)
    qps = None
    if timed_k is not None:
        batch, k = embeddings[:_TIMED_QUERIES], timed_k
        qps, _ = queries_per_second(lambda: index.search(batch, k, search, rows_below=task.gallery), len(batch))
    return IndexResult(system, shares, qps, first_rows, first_scores)


def _true_scores(embeddings: Floats, rows: Integers, source: FeatureSource) -> Floats:
    unique, place = np.unique(rows, return_inverse=True)
    stored = normalize(gather(source, unique))
    place = place.reshape(rows.shape)
    scores = np.empty(rows.shape, dtype=np.float32)
    for column in range(rows.shape[1]):  # one column at a time: (B, k, D) would not be bounded in k
        scores[:, column] = np.einsum("bd,bd->b", embeddings, stored[place[:, column]])
    return scores
