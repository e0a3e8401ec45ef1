"""Boundary queries: the tenth that lies nearest to another class, chosen in a space that is never scored."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Doubles, Flags, Floats, Integers, Labels
from simsearch.evaluation.own import Own
from simsearch.evaluation.retrieval import relevant_counts

_BLOCK_NUMBERS = 4_000_000  # float64 numbers of one block of distances: 32 MB


def boundary_queries(
    reference_queries: Floats,
    reference_gallery: Iterable[Floats],
    query_labels: Labels,
    gallery_labels: Labels,
    own: Own,
) -> Flags:
    """Return which queries are boundary queries, (Q,): the ceil(n/10) with the smallest margin of the n answerable.

    The margin is (d_other - d_own) / (d_other + d_own), 0 for 0/0; d are L2 distances of the raw reference features,
    (Q, D) queries and blocks of (n, D) gallery rows in order, to the nearest other and to the own class mean. Means
    run over gallery rows; what is a query's own, its row and its group, is left out of its own class's mean. Ties go to
    the earlier query. With a single class there is no boundary and no query is on it.
    """
    chosen = np.zeros(len(query_labels), dtype=np.bool_)
    answerable = np.flatnonzero(relevant_counts(query_labels, gallery_labels, own) > 0)
    cells = None if own.groups is None else own.cells(query_labels, gallery_labels)
    labelled = [gallery_labels] if cells is None else [gallery_labels, cells[1]]
    (classes, counts, sums), *of_groups = _sums(reference_gallery, *labelled)
    if len(classes) < 2 or not len(answerable):
        return chosen
    left_out = own.among(query_labels, gallery_labels)
    size = max(1, _BLOCK_NUMBERS // (len(classes) + reference_queries.shape[1]))
    margins = []
    for start in range(0, len(answerable), size):
        rows = answerable[start : start + size]
        of_class = np.searchsorted(classes, query_labels[rows])
        features = reference_queries[rows].astype(np.float64)
        own_sums = features * (own.rows[rows] >= 0)[:, None]
        if cells is not None:
            _fill(own_sums, cells[0][rows], of_groups[0][0], of_groups[0][2])
        margins.append(_margins(features, of_class, left_out[rows], own_sums, counts, sums))
    order = np.argsort(np.concatenate(margins), kind="stable")
    chosen[answerable[order[: math.ceil(len(answerable) / 10)]]] = True
    return chosen


def _sums(gallery: Iterable[Floats], *labelled: Labels) -> list[tuple[Labels, Integers, Doubles]]:
    """Return for each kind of labels (G,) the classes (C,), their sizes (C,), and float64 sums of features (C, D)."""
    classes = [np.unique(labels[labels >= 0], return_counts=True) for labels in labelled]
    sums = [np.zeros((0, 0)) for _ in labelled]
    start = 0
    for block in gallery:
        if not start:
            sums = [np.zeros((len(names), block.shape[1])) for names, _ in classes]
        for labels, (names, _), total in zip(labelled, classes, sums, strict=True):
            of_block = labels[start : start + len(block)]
            order = np.argsort(of_block, kind="stable")
            order = order[of_block[order] >= 0]
            present, first = np.unique(of_block[order], return_index=True)
            if len(present):
                found = np.add.reduceat(block[order].astype(np.float64), first, axis=0)
                total[np.searchsorted(names, present)] += found
        start += len(block)
    return [(names, counts, total) for (names, counts), total in zip(classes, sums, strict=True)]


def _fill(own_sums: Doubles, cells: Labels, names: Labels, sums: Doubles) -> None:
    """Put the sums of their own group's rows of their label in place for queries that have a group."""
    grouped = np.flatnonzero(cells >= 0)
    if not len(names):
        own_sums[grouped] = 0
        return
    place = np.minimum(np.searchsorted(names, cells[grouped]), len(names) - 1)
    known = names[place] == cells[grouped]
    own_sums[grouped] = np.where(known[:, None], sums[place], 0)


def _margins(
    queries: Doubles, own_class: NDArray[np.intp], left_out: Integers, own: Doubles, counts: Integers, sums: Doubles
) -> Doubles:
    """Return the margins of a block of queries, (B,) float64; own means lack `left_out` rows whose sum is `own`."""
    means = sums / counts[:, None]
    own_means = (sums[own_class] - own) / (counts[own_class] - left_out)[:, None]
    # The expanded square only finds the nearest other class; the distance itself is taken from the difference, which
    # is exact where the two coincide.
    squares = np.einsum("cd,cd->c", means, means) - 2 * (queries @ means.T)
    squares[np.arange(len(queries)), own_class] = np.inf
    d_other = np.linalg.norm(queries - means[squares.argmin(axis=1)], axis=1)
    d_own = np.linalg.norm(queries - own_means, axis=1)
    both = d_other + d_own
    return np.asarray(np.divide(d_other - d_own, both, out=np.zeros_like(both), where=both > 0))
