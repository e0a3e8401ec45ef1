"""Boundary queries: the tenth that lies nearest to another class, chosen in a space that is never scored."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Doubles, Flags, Floats, Integers, Labels
from simsearch.evaluation.retrieval import relevant_counts

_BLOCK_NUMBERS = 4_000_000  # float64 numbers of one block of distances: 32 MB


def boundary_queries(
    reference_queries: Floats,
    reference_gallery: Iterable[Floats],
    query_labels: Labels,
    gallery_labels: Labels,
    own_rows: Labels,
) -> Flags:
    """Return which queries are boundary queries, (Q,): the ceil(n/10) with the smallest margin of the n answerable.

    The margin is (d_other - d_own) / (d_other + d_own), 0 for 0/0; d are L2 distances of the raw reference features,
    (Q, D) queries and blocks of (n, D) gallery rows in order, to the nearest other and to the own class mean. Means
    run over gallery rows; a query that is itself gallery row `own_rows` >= 0 is left out of its own class's mean. Ties
    go to the earlier query. With a single class there is no boundary and no query is on it.
    """
    chosen = np.zeros(len(query_labels), dtype=np.bool_)
    answerable = np.flatnonzero(relevant_counts(query_labels, gallery_labels, own_rows) > 0)
    classes, counts, sums = _class_sums(reference_gallery, gallery_labels)
    if len(classes) < 2 or not len(answerable):
        return chosen
    size = max(1, _BLOCK_NUMBERS // (len(classes) + reference_queries.shape[1]))
    margins = []
    for start in range(0, len(answerable), size):
        rows = answerable[start : start + size]
        of_class = np.searchsorted(classes, query_labels[rows])
        margins.append(_margins(reference_queries[rows], of_class, own_rows[rows] >= 0, counts, sums))
    order = np.argsort(np.concatenate(margins), kind="stable")
    chosen[answerable[order[: math.ceil(len(answerable) / 10)]]] = True
    return chosen


def _class_sums(gallery: Iterable[Floats], labels: Labels) -> tuple[Labels, Integers, Doubles]:
    """Return the classes (C,), their sizes (C,) and the float64 sums of their features (C, D)."""
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    sums = np.zeros((0, 0))
    start = 0
    for block in gallery:
        if not start:
            sums = np.zeros((len(classes), block.shape[1]))
        of_block = labels[start : start + len(block)]
        order = np.argsort(of_block, kind="stable")
        order = order[of_block[order] >= 0]
        present, first = np.unique(of_block[order], return_index=True)
        if len(present):
            sums[np.searchsorted(classes, present)] += np.add.reduceat(block[order].astype(np.float64), first, axis=0)
        start += len(block)
    return classes, counts, sums


def _margins(
    features: Floats, own_class: NDArray[np.intp], in_gallery: Flags, counts: Integers, sums: Doubles
) -> Doubles:
    """Return the margins of a block of queries, (B,) float64."""
    queries = features.astype(np.float64)
    means = sums / counts[:, None]
    own_sums = sums[own_class] - queries * in_gallery[:, None]
    own_means = own_sums / (counts[own_class] - in_gallery)[:, None]
    # The expanded square only finds the nearest other class; the distance itself is taken from the difference, which
    # is exact where the two coincide.
    squares = np.einsum("cd,cd->c", means, means) - 2 * (queries @ means.T)
    squares[np.arange(len(queries)), own_class] = np.inf
    d_other = np.linalg.norm(queries - means[squares.argmin(axis=1)], axis=1)
    d_own = np.linalg.norm(queries - own_means, axis=1)
    both = d_other + d_own
    return np.asarray(np.divide(d_other - d_own, both, out=np.zeros_like(both), where=both > 0))
