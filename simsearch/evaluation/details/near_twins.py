"""Queries that have a near twin in the gallery: a copy, or a shot of the same thing, which flatters every figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers, Labels
from simsearch.evaluation.details.suspects import Pairs, headline_of
from simsearch.evaluation.measured import SystemResult
from simsearch.evaluation.own import Own
from simsearch.vectors.exact import exact_search

OPTIMISTIC = 0.1  # share of the queries, above which the report's first sentence says so
MOST_PAIRS = 1e9  # of queries and gallery rows; beyond, a seeded part of the queries is looked at
CANDIDATES = 4  # of a query, looked at closely


def find_near_twins(
    vectors: Floats,
    query_rows: Integers,
    gallery: int,
    groups: Labels | None,
    alike: float,
    same: Callable[[int, int], bool],
    copies: Pairs,
) -> tuple[Integers, Integers]:
    """Return positions among the queries: of those with a near twin in gallery rows [0, gallery), and of all looked at.

    A near twin is one of `copies` (P, 2) (position, gallery row), or a row whose inner product of `vectors` (N, D) is
    at least `alike` and that is `same` (row, row) when looked at closely; never the query itself nor one of its group
    of `groups` (N,) (negative: one of its own; None: no groups).
    """
    looked = np.arange(len(query_rows))
    if float(len(looked)) * gallery > MOST_PAIRS:
        looked = np.sort(np.random.default_rng(0).choice(looked, max(1, int(MOST_PAIRS / gallery)), replace=False))
    own = Own.of(query_rows[looked], gallery, groups)
    found = np.isin(looked, copies[:, 0])
    asked, base = vectors[query_rows[looked]], vectors[:gallery]
    for span, scores, rows in exact_search(asked, base, CANDIDATES + own.most, "ip"):
        near = (scores >= alike) & ~own.part(span).is_own(rows) & ~found[span, None]
        for i in np.flatnonzero(near.any(axis=1)).tolist():
            row = int(query_rows[looked[span.start + i]])
            found[span.start + i] = any(same(row, other) for other in rows[i][near[i]][:CANDIDATES].tolist())
    return looked[found], looked


def near_twins(
    found: tuple[Integers, Integers] | None, results: Mapping[str, SystemResult], ks: Sequence[int]
) -> dict[str, Any] | None:
    """Return what report.json has of the queries that have a near twin and of all looked at; None where nobody looked.

    {"queries", "of", "optimistic" (whether they are more than a tenth), "with" and "without" (the headline of all that
    were looked at, and of those among them that have none, as `near_duplicates` has it)}.
    """
    if found is None:
        return None
    twins, looked = found
    return {
        "queries": len(twins),
        "of": len(looked),
        "optimistic": len(twins) > OPTIMISTIC * len(looked),
        "with": headline_of(results, looked, ks),
        "without": headline_of(results, np.setdiff1d(looked, twins), ks),
    }
