"""Retrieval metrics of one system, from the rows that it returned and the labels of the gallery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Doubles, Flags, Floats, Integers, Labels, Numbers
from simsearch.evaluation.verification import Verification

PerQuery = dict[int, Numbers]


@dataclass(frozen=True)
class SystemResult:
    """Figures of one system, by k where they have one; None where they do not apply.

    `hit`, `share`, `error`, `average_precision` and `precision_at_r` are the values of the single queries, (Q,) float,
    NaN for a query that cannot be answered, whose means are recall, relevant_recall, error_all, map_at_r and
    r_precision. `verification` is over pairs of queries, and added by the caller.
    """

    recall: dict[int, float | None]
    relevant_recall: dict[int, float | None]
    precision: dict[int, float | None]
    error_all: dict[int, float | None]
    error_boundary: dict[int, float | None]
    map_at_r: float | None
    r_precision: float | None
    hit: PerQuery
    share: PerQuery
    error: PerQuery
    average_precision: Floats | None
    precision_at_r: Floats | None
    verification: Verification | None = None


def relevant_counts(query_labels: Labels, gallery_labels: Labels, own_rows: Labels) -> Integers:
    """Return R (Q,): gallery images of the query's label, its own (own row >= 0) left out; 0 = unanswerable.

    A negative label means "unlabelled" and matches nothing.
    """
    names, counts = np.unique(gallery_labels[gallery_labels >= 0], return_counts=True)
    if not len(names):
        return np.zeros(len(query_labels), dtype=np.int64)
    place = np.minimum(np.searchsorted(names, query_labels), len(names) - 1)
    relevant = np.where(names[place] == query_labels, counts[place], 0)
    return np.asarray(np.where(relevant > 0, relevant - (own_rows >= 0), 0), dtype=np.int64)


def evaluate_system(
    neighbours: Iterable[tuple[slice, Integers]],
    query_labels: Labels,
    gallery_labels: Labels,
    *,
    relevant: Integers,
    boundary: Flags | None,
    ks: Sequence[int],
    with_map: bool,
) -> SystemResult:
    """Return the figures of one system from `neighbours`: (slice of the queries, rows (B, n) best first) blocks.

    recall@k: share of queries with a same-label row in the first k. relevant_recall@k: share of the R same-label rows
    in the first k. precision@k and cross-boundary error@k: share of the first k with, and without, the query's label;
    divided by the rows returned when these are fewer than k. R-precision: precision@R. MAP@R (Musgrave et al. 2020,
    arXiv 2003.08505, section 3.2): the mean of 1/R times the sum over ranks i <= R of precision@i where rank i is
    right. Both need n >= max R, and are measured `with_map`.
    All are means over the answerable queries (R > 0), error also over the boundary queries among them.
    """
    total = len(query_labels)
    found: PerQuery = {k: np.full(total, np.nan, dtype=np.float32) for k in ks}
    # float64: rounded to float32, differences that are equal become unequal, and a permutation test counts no ties.
    error: PerQuery = {k: np.full(total, np.nan) for k in ks}
    average, at_r = (np.full(total, np.nan, dtype=np.float32) if with_map else None for _ in range(2))
    for span, rows in neighbours:
        right = gallery_labels[rows] == query_labels[span][:, None]
        for k in ks:
            first = right[:, :k]
            found[k][span] = first.sum(axis=1)
            error[k][span] = (first.shape[1] - found[k][span].astype(np.float64)) / first.shape[1]
        if average is not None and at_r is not None:
            average[span], at_r[span] = _first_r(right, relevant[span])

    answerable = relevant > 0
    values: Numbers
    for values in (*found.values(), *error.values(), *(v for v in (average, at_r) if v is not None)):
        values[~answerable] = np.nan
    hit: PerQuery = {k: np.where(np.isnan(v), v, v > 0).astype(np.float32) for k, v in found.items()}
    share: PerQuery = {k: v / np.maximum(relevant, 1) for k, v in found.items()}
    near = None if boundary is None else answerable & boundary
    return SystemResult(
        recall={k: _mean(hit[k], answerable) for k in ks},
        relevant_recall={k: _mean(share[k], answerable) for k in ks},
        precision={k: _mean(1.0 - error[k].astype(np.float64), answerable) for k in ks},
        error_all={k: _mean(error[k], answerable) for k in ks},
        error_boundary={k: None if near is None else _mean(error[k], near) for k in ks},
        map_at_r=None if average is None else _mean(average, answerable),
        r_precision=None if at_r is None else _mean(at_r, answerable),
        hit=hit,
        share=share,
        error=error,
        average_precision=average,
        precision_at_r=at_r,
    )


def _first_r(right: Flags, relevant: Integers) -> tuple[Doubles, Doubles]:
    """Return (1/R) sum over ranks i <= R of precision@i [rank i is right], and precision@R, each (B,) float64."""
    depth = min(right.shape[1], int(relevant.max(initial=0)))
    ranks = np.arange(1, depth + 1)
    counted = right[:, :depth] & (ranks <= relevant[:, None])
    hits = np.cumsum(counted, axis=1, dtype=np.int32)  # equals the hits of all ranks wherever it is used
    divisor = np.maximum(relevant, 1)
    return ((hits / ranks) * counted).sum(axis=1) / divisor, counted.sum(axis=1) / divisor


def _mean(values: Numbers, chosen: Flags) -> float | None:
    return float(values[chosen].mean(dtype=np.float64)) if chosen.any() else None
