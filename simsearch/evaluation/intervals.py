"""Intervals over queries, for every figure of every system in one pass: Wilson's for recall, else the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simsearch.arrays import Flags, Numbers
from simsearch.evaluation.retrieval import SystemResult
from simsearch.statistics.intervals import percentile_intervals, wilson_interval

_LEAST_QUERIES = 2  # one query says nothing about others


def figure_intervals(
    results: Mapping[str, SystemResult | None], boundary: Flags | None, ks: Sequence[int]
) -> dict[str, dict[str, Any] | None]:
    """Return for each system its figures' 95 % intervals: the tree of its figures, each leaf (low, high) or None.

    Recall@k is a hit or none for each query and has `wilson_interval`, all else the bootstrap. None for figures over
    pairs of queries, which are not means over queries, for a figure of fewer than two queries, and for a system without
    figures.
    """
    columns: list[Numbers] = []
    shares: dict[int, tuple[float, float]] = {}  # of the columns that hold hits

    def leaf(values: Numbers | None, hits: bool = False) -> int | None:
        count = 0 if values is None else int((~np.isnan(values)).sum())
        if values is None or count < _LEAST_QUERIES:
            return None
        if hits:
            shares[len(columns)] = wilson_interval(float(np.nansum(values, dtype=np.float64)), count)
        columns.append(values)
        return len(columns) - 1

    trees = {name: None if result is None else _tree(result, boundary, ks, leaf) for name, result in results.items()}
    drawn = [column for column in range(len(columns)) if column not in shares]
    intervals = dict(shares)
    if drawn:
        ends = percentile_intervals(np.stack([columns[column] for column in drawn], axis=1)).tolist()
        intervals |= {column: (low, high) for column, (low, high) in zip(drawn, ends, strict=True)}
    return {name: None if tree is None else _filled(tree, intervals) for name, tree in trees.items()}


def _tree(result: SystemResult, boundary: Flags | None, ks: Sequence[int], leaf: Any) -> dict[str, Any]:
    """Return the tree of figures with the column of each, as `leaf` numbers them."""
    pairs = result.verification
    return {
        "recall": {k: leaf(result.hit[k], True) for k in ks},
        "relevant_recall": {k: leaf(result.share[k]) for k in ks},
        "precision": {k: leaf(1.0 - result.error[k]) for k in ks},
        "map_at_r": leaf(result.average_precision),
        "r_precision": leaf(result.precision_at_r),
        "cross_boundary_error": {
            k: {
                "all": leaf(result.error[k]),
                "boundary": leaf(None if boundary is None else np.where(boundary, result.error[k], np.nan)),
            }
            for k in ks
        },
        "roc_auc": None,
        "eer": None,
        "tar_at_far": None if pairs is None else dict.fromkeys(pairs.tar_at_far),
        "inversion_rate": None,
    }


def _filled(tree: dict[str, Any], intervals: Mapping[int, tuple[float, float]]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            filled[key] = _filled(value, intervals)
        else:
            filled[key] = None if value is None else list(intervals[value])
    return filled
