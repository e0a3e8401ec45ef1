"""The table behind "1 in 700 strangers": how near an image comes to a gallery that holds nothing of its label."""

from __future__ import annotations

from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers, Labels
from simsearch.evaluation.systems import FeatureSource, blocks, gather
from simsearch.vectors.normalize import normalize

_QUERIES, _ROWS = 1024, 8192  # multiplied at a time: 32 MB
_TOP = 500  # highest scores that are kept one by one
_BELOW = 1500  # entries for the rest, at counts that grow by the same factor


def stranger_table(
    source: FeatureSource, labels: Labels, val_rows: Integers, gallery: int, groups: Labels | None = None
) -> dict[str, Any] | None:
    """Return which share of the val queries scores at least s with their own label taken out of the gallery; or None.

    `source` holds raw features (N, D), `labels` (N,) are integers (negative: unlabelled, neither a query nor found),
    rows [0, gallery) are searched exactly; no row is found that is of the query's group, of `groups` (N,) (negative:
    one of its own). The table is {"images", "table": [[score, share], ...]}, scores falling, at
    most 2,000 of them: every one of the highest 500, then at shares that grow by the same factor; each share is exact.
    None without labelled val rows or where none has an image of another label. Memory: the val features and 32 MB.
    Raises VectorsError for a row without direction.
    """
    rows = val_rows[labels[val_rows] >= 0]
    if not len(rows) or not (labels[:gallery] >= 0).any():
        return None
    queries, own = normalize(gather(source, rows)), labels[rows]
    best = np.full(len(rows), -np.inf, dtype=np.float32)
    start = 0
    for block in blocks(source, gallery):
        for first in range(0, len(block), _ROWS):
            part = block[first : first + _ROWS]
            of_part = labels[start + first : start + first + len(part)]
            known = of_part >= 0
            part, of_part = normalize(part[known]), of_part[known]
            if len(part):
                of_groups = None if groups is None else (groups[rows], groups[start + first :][: len(known)][known])
                _raise_best(best, queries, own, part, of_part, of_groups)
        start += len(block)
    best = best[np.isfinite(best)].clip(-1, 1)  # a query whose label is the only one meets no stranger
    if not len(best):
        return None
    scores, counts = np.unique(best, return_counts=True)
    scores, reached = scores[::-1].astype(np.float64), np.cumsum(counts[::-1])
    kept = np.arange(min(_TOP, len(scores)))
    if len(scores) > _TOP:
        wanted = np.geomspace(reached[_TOP - 1], len(best), _BELOW)
        kept = np.union1d(kept, np.searchsorted(reached, wanted.round()).clip(max=len(scores) - 1))
    return {
        "images": len(best),
        "table": [[float(f"{scores[i]:.9g}"), float(f"{reached[i] / len(best):.7g}")] for i in kept.tolist()],
    }


def _raise_best(
    best: Floats, queries: Floats, own: Labels, base: Floats, labels: Labels, groups: tuple[Labels, Labels] | None
) -> None:
    """Raise `best` (V,) to the highest score that each of `queries` has with a row of `base` of another label.

    `groups` are those of the queries and of the rows, where they are in use; a row of the own group does not count.
    """
    for start in range(0, len(queries), _QUERIES):
        span = slice(start, start + _QUERIES)
        scores = queries[span] @ base.T
        scores[own[span, None] == labels] = -np.inf
        if groups is not None:
            asked = groups[0][span, None]
            scores[(asked >= 0) & (asked == groups[1])] = -np.inf
        np.maximum(best[span], scores.max(axis=1), out=best[span])
