"""Groups of duplicates in the corpus: exact copies by digest; apart from these, by looks and by score.

A score alone tells no copy: photos saved again at half the size scored 0.83 to 0.98 with their originals, while other
photos of one label reached 0.98 and, where the space was trained, whole labels lie above 0.999. So looks and score are
told apart, as they are for queries (`suspects`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simsearch.evaluation.details.others import Digests, Others, one_of_each
from simsearch.evaluation.systems import FeatureSource, gather
from simsearch.vectors.normalize import NEARLY_EQUAL, normalize

MOST_GROUPS, MOST_ROWS = 50, 20  # listed of a kind, and of a group
NEAREST = 10  # neighbours of a row that are looked at

Groups = Sequence[Sequence[int]]


def duplicates(digests: Digests, looks: Groups | None, source: FeatureSource, others: Others) -> dict[str, Any]:
    """Return the groups of duplicates among rows [0, N) of `source`, whose digests (N,) are given.

    `others` are the nearest of each that is no copy, at least 10 where there are as many.

    {"copies", "looks" (null where nobody looked; given as groups of rows), "score"}, each {"groups", "images",
    "listed": [{"images", "rows" (the first 20), "score" (the least, of a row with the group's first)}]}, at most 50
    listed, the highest score first, ties by row. "score" has "above" (0.999) and "rows": how many were looked at, with
    10 neighbours each, a seeded sample where all would take too long. A copy counts once in the other two.
    """
    _, which, counts = np.unique(digests, return_inverse=True, return_counts=True)
    order = np.argsort(which, kind="stable")
    copies = [order[end - n : end].tolist() for n, end in zip(counts, np.cumsum(counts), strict=True) if n > 1]
    distinct = one_of_each(digests)
    apart = None if looks is None else [[row for row in group if distinct[row]] for group in looks]
    return {
        "copies": _listed(copies, source),
        "looks": None if apart is None else _listed([group for group in apart if len(group) > 1], source),
        "score": {"above": NEARLY_EQUAL, "rows": len(others.asked), **_listed(_near(source, others), source)},
    }


def _near(source: FeatureSource, others: Others) -> list[list[int]]:
    """Return groups of rows that score above 0.999 with the first of the group."""
    scores, found = others.scores[:, :NEAREST], others.rows[:, :NEAREST]
    close = np.flatnonzero((scores > NEARLY_EQUAL).any(axis=1))
    embeddings = normalize(gather(source, others.asked[close])) if len(close) else np.empty((0, 1), dtype=np.float32)
    groups: list[list[int]] = []
    firsts: list[int] = []  # of each group, as a position in `close`
    group_of: dict[int, int] = {}
    for place, i in enumerate(close.tolist()):
        row = int(others.asked[i])
        if row in group_of:
            continue
        near = found[i][scores[i] > NEARLY_EQUAL].tolist()
        known = sorted({group_of[other] for other in near if other in group_of})
        # A large group is more than the nearest of its first row: others join when their turn comes.
        joined = next((g for g in known if float(embeddings[place] @ embeddings[firsts[g]]) > NEARLY_EQUAL), None)
        fresh = sorted({other for other in near if other not in group_of})
        if joined is not None:
            groups[joined].append(row)
            group_of[row] = joined
        elif fresh:
            group_of |= dict.fromkeys([row, *fresh], len(groups))
            groups.append([row, *fresh])
            firsts.append(place)
    return [[group[0], *sorted(group[1:])] for group in groups]


def _listed(groups: Groups, source: FeatureSource) -> dict[str, Any]:
    measured = groups[: 20 * MOST_GROUPS]  # of more than a thousand, not every least score is worth its reading
    parts = [np.array(group[: 10 * MOST_ROWS], dtype=np.int64) for group in measured]
    embeddings = normalize(gather(source, np.concatenate(parts))) if parts else np.empty((0, 1), dtype=np.float32)
    shown, start = [], 0
    for group, part in zip(measured, parts, strict=True):
        vectors = embeddings[start : start + len(part)]
        start += len(part)
        least = min(1.0, float((vectors @ vectors[0]).min()))
        shown.append({"images": len(group), "rows": list(group[:MOST_ROWS]), "score": round(least, 6)})
    shown.sort(key=lambda entry: (-float(str(entry["score"])), entry["rows"]))
    return {"groups": len(groups), "images": sum(map(len, groups)), "listed": shown[:MOST_GROUPS]}
