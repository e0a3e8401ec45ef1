"""Honesty checks: images whose label nobody near them shares, and queries that the gallery holds already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simsearch.arrays import Flags, Integers, Labels
from simsearch.evaluation.details.classes import LabelName
from simsearch.evaluation.figures import headline
from simsearch.evaluation.measured import SystemResult, mean_of
from simsearch.evaluation.systems import Nearest
from simsearch.vectors.normalize import NEARLY_EQUAL

MOST_LISTED = 100
LEAST_NEIGHBOURS = 5  # of fewer, all wrong says little about the label

HEADLINES = ("recipe/index", "baseline/raw-l2")

Pairs = Labels  # (P, 2): position among the queries, gallery row


def label_suspects(
    rows: Integers,
    query_rows: Integers,
    query_labels: Labels,
    gallery_labels: Labels,
    answerable: Flags,
    name: LabelName,
) -> tuple[list[dict[str, Any]], int] | tuple[None, None]:
    """Return the answerable queries of whose first k neighbours, `rows` (Q, k), at least 5 are labelled and none has
    their label: at most 100, and how many there are; twice None for k < 5. A neighbour without a label has no other.

    An entry: {"row", "label", "majority" (the commonest label of the neighbours, of equally common ones the nearest),
    "share" (of the labelled neighbours that have it)}, largest share first, ties by row: where all neighbours agree on
    another label, the label of the image may be the mistake.
    """
    if rows.shape[1] < LEAST_NEIGHBOURS:
        return None, None
    found = gallery_labels[rows]
    labelled = (found >= 0).sum(axis=1)
    wrong = (found != query_labels[:, None]).all(axis=1)
    alone = np.flatnonzero(answerable & wrong & (labelled >= LEAST_NEIGHBOURS))
    near = found[alone]
    alike = ((near[:, :, None] == near[:, None, :]) & (near >= 0)[:, :, None]).sum(axis=2)
    majority, shares = found[alone, alike.argmax(axis=1)], alike.max(axis=1, initial=0) / labelled[alone]
    order = np.lexsort((query_rows[alone], -shares))[:MOST_LISTED]
    listed = [
        {
            "row": int(query_rows[alone[i]]),
            "label": name(int(query_labels[alone[i]])),
            "majority": name(int(majority[i])),
            "share": float(shares[i]),
        }
        for i in order
    ]
    return listed, len(alone)


def near_duplicates(
    nearest: Nearest,
    twins: Pairs | None,
    query_rows: Integers,
    results: Mapping[str, SystemResult],
    ks: Sequence[int],
) -> dict[str, Any]:
    """Return the queries that the gallery seems to hold already, and the headline with and without them.

    Two kinds: "score", the cosine to the nearest row in the recipe's space is above 0.999, and "hash", `twins` (P, 2)
    are pairs (position among the queries, gallery row) that look the same, None where nobody looked. The answer
    is {"score_above", "queries" (by hash), "pairs" (at most 100 of each kind, those by hash first, then by score:
    {"row", "other_row", "kind", "score"}), "with" and "without" (the headline, without those by hash), "by_kind":
    {kind: {"queries", "without"}}}. A headline is {"queries", system: {"recall": {first of `ks`},
    "cross_boundary_error": {k: {"boundary"}}}}. Only hashes count at the top: a trained space brings images of one
    label above 0.999 without their being copies, so that leaving those out leaves out what the recipe does best.
    """
    by_score = np.flatnonzero(nearest.scores > NEARLY_EQUAL)
    by_score = by_score[np.argsort(-nearest.scores[by_score], kind="stable")]
    found = {"score": np.stack((by_score, nearest.rows[by_score]), axis=1)}
    if twins is not None:
        found = {"hash": twins.reshape(-1, 2).astype(np.int64), **found}
    pairs = [
        {
            "row": int(query_rows[query]),
            "other_row": int(row),
            "kind": kind,
            "score": round(min(1.0, float(nearest.scores[query])), 6) if kind == "score" else None,
        }
        for kind, listed in found.items()
        for query, row in listed[:MOST_LISTED]
    ]
    everyone = np.arange(len(query_rows))
    kept = {kind: np.setdiff1d(everyone, listed[:, 0]) for kind, listed in found.items()}
    rest = kept.get("hash", everyone)
    return {
        "score_above": NEARLY_EQUAL,
        "queries": len(everyone) - len(rest),
        "pairs": pairs,
        "with": headline_of(results, everyone, ks),
        "without": headline_of(results, rest, ks),
        "by_kind": {
            kind: {"queries": len(everyone) - len(left), "without": headline_of(results, left, ks)}
            for kind, left in kept.items()
        },
    }


def headline_of(results: Mapping[str, SystemResult], chosen: Integers, ks: Sequence[int]) -> dict[str, Any]:
    """Return the headline of the systems over the chosen queries alone, as report.json has figures."""
    figures: dict[str, Any] = {"queries": len(chosen)}
    recall, error = headline(ks)
    for system in HEADLINES:
        if system in results and results[system].figures:
            known = results[system].figures
            mean = {place: mean_of(results[system].values(*place)[chosen]) for place in headline(ks) if place in known}
            figures[system] = {
                recall.key: {recall.k: mean[recall]},
                error.key: {error.k: {error.scope: mean.get(error)}},
            }
    return figures
