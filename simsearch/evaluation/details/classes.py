"""Figures of single labels, and which labels leak into which: where retrieval goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers, Labels
from simsearch.evaluation.figures import CLAIM, Place, headline_k
from simsearch.evaluation.measured import SystemResult

MOST_LEAKS = 50

LabelName = Callable[[int], str | None]


def per_class(result: SystemResult, query_labels: Labels, ks: Sequence[int], name: LabelName) -> list[dict[str, Any]]:
    """Return the figures of each label of the queries, the largest error at the headline's k first, ties by name.

    An entry: {"label", "queries" (all of them), "recall", "relevant_recall", "error" (each by k), "map_at_r"}: means
    over the answerable queries (Q,) of the label, None (and last) where it has none, rounded to 6 digits.
    """
    labels, label_of = np.unique(query_labels, return_inverse=True)
    queries = np.bincount(label_of)

    def means(key: str, at: int | None) -> list[float | None]:
        if Place(key, at) not in result.figures:
            return [None] * len(labels)
        values = result.values(key, at)
        given = ~np.isnan(values)
        counts = np.bincount(label_of[given], minlength=len(labels))
        sums = np.bincount(label_of[given], values[given], minlength=len(labels))
        return [round(float(s / n), 6) if n else None for s, n in zip(sums, counts, strict=True)]

    by_k = {"recall": "recall", "relevant_recall": "relevant_recall", "error": CLAIM}
    found = {word: {at: means(key, at) for at in ks} for word, key in by_k.items()}
    average = means("map_at_r", None)
    entries = [
        {
            "label": name(int(label)),
            "queries": int(queries[i]),
            **{word: {at: values[i] for at, values in columns.items()} for word, columns in found.items()},
            "map_at_r": average[i],
        }
        for i, label in enumerate(labels)
        if label >= 0
    ]

    def worst_first(entry: dict[str, Any]) -> tuple[float, str]:
        wrong = entry["error"][headline_k(ks)]
        return (1.0 if wrong is None else -wrong, entry["label"])

    return sorted(entries, key=worst_first)


def leaks(
    rows: Integers,
    scores: Floats,
    query_rows: Integers,
    query_labels: Labels,
    gallery_labels: Labels,
    relevant: Integers,
    name: LabelName,
) -> list[dict[str, Any]]:
    """Return which labels are found for which, at most 50 pairs of labels, most neighbours first.

    {"label" (of the query), "other" (of the neighbour), "count" (such neighbours among the first k, `rows` (Q, k), of
    the queries), "queries" (that have one), "of" (answerable queries of the label), "k" (how many neighbours of each
    were looked at), "row", "other_row", "score"}: the last three are the nearest example, rows of the dataset. Images
    without a label are nobody's leak. No more neighbours count than there are images to find, `relevant` (Q,): those
    beyond have another label however good the order is.
    """
    found = gallery_labels[rows]
    within = np.minimum(relevant, rows.shape[1])
    wrong = (np.arange(rows.shape[1]) < within[:, None]) & (found >= 0) & (found != query_labels[:, None])
    query, rank = np.nonzero(wrong)
    pairs = np.stack((query_labels[query], found[query, rank]), axis=1)
    unique, pair_of, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    pair_of = pair_of.ravel()
    # Sorted by pair, then nearest first: the example of a pair stands where the pair begins.
    nearest = np.lexsort((-scores[query, rank], pair_of))[np.cumsum(counts) - counts]
    query_of, rank_of = query[nearest], rank[nearest]
    of_queries = np.bincount(np.unique(pair_of * len(rows) + query) // max(1, len(rows)), minlength=len(unique))
    order = np.argsort(-counts, kind="stable")[:MOST_LEAKS]
    alike = [query_labels == label for label in unique[order, 0]]
    return [
        {
            "label": name(int(unique[i, 0])),
            "other": name(int(unique[i, 1])),
            "count": int(counts[i]),
            "queries": int(of_queries[i]),
            "of": int((relevant[own] > 0).sum()),
            "k": int(within[own].max()),
            "row": int(query_rows[query_of[i]]),
            "other_row": int(rows[query_of[i], rank_of[i]]),
            "score": round(float(scores[query_of[i], rank_of[i]]), 6),
        }
        for i, own in zip(order, alike, strict=True)
    ]
