"""Does the length of a feature tell how well it verifies? Pairs of short, of middle and of long features apart.

Without a constraint, softmax makes features of easy images long and of hard ones short, and pairs of short ones verify
worst; that is why the L2 constraint exists (Ranjan et al. 2017, arXiv 1703.09507, section 3, figures 2 and 3).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers, Labels
from simsearch.evaluation.verification import verify
from simsearch.vectors.normalize import normalize, norms

BUCKETS = ("short", "middle", "long")

_MOST_ROWS = 10_000  # of a bucket: 49,995,000 pairs
_EXAMPLES = 8
_KEPT = ("roc_auc", "eer", "tar_at_far", "curve")


def norm_buckets(
    baseline: Floats, recipe: Floats, labels: Labels, rows: Integers, groups: Labels | None = None
) -> dict[str, Any] | None:
    """Return the verification of pairs within each third of the queries by the norm of the baseline's raw feature.

    `baseline` (Q, D) and `recipe` (Q, D') are raw features of the queries with `labels` (Q,), negative = left out, and
    `rows` (Q,) in the dataset; pairs within a group, of `groups` (Q,) (negative: one of its own), are no pairs. Thirds
    "short", "middle" and "long" are as equal as can be, ties by row. The answer is
    {"buckets": {third: {"queries", "norms" [least, largest], "pairs", "same", "different", "sampled"}},
    "examples": {third: 8 rows: the shortest, those around the median, the longest, each shortest first}, and over the
    same pairs "baseline" (raw L2), "baseline_cosine", "recipe" (cosine): {third: {"roc_auc", "eer", "tar_at_far",
    "curve": [[far, tar], ...] of at most 100 points}}}, where a third whose pairs are all of one label, or all of two,
    is None. A third of more than 10,000 queries is measured on a seeded sample of so many. None with fewer than 6
    labelled queries.
    """
    labelled = np.flatnonzero(labels >= 0)
    if len(labelled) < 2 * len(BUCKETS):
        return None
    lengths = norms(baseline)
    order = labelled[np.lexsort((rows[labelled], lengths[labelled]))]
    # Cosines by the squared distance of embeddings, as everywhere: no cancellation near 1.
    spaces = {"baseline": baseline, "baseline_cosine": normalize(baseline), "recipe": normalize(recipe)}
    random = np.random.default_rng(0)
    found: dict[str, dict[str, Any]] = {key: {} for key in ("buckets", "examples", *spaces)}
    for bucket, members in zip(BUCKETS, np.array_split(order, len(BUCKETS)), strict=True):
        taken = members if len(members) <= _MOST_ROWS else random.choice(members, _MOST_ROWS, replace=False)
        pairs, same = len(taken) * (len(taken) - 1) // 2, _pairs(labels[taken])
        if groups is not None:
            own = taken[groups[taken] >= 0]
            pairs -= _pairs(groups[own])
            same -= _pairs(np.stack((groups[own], labels[own]), axis=1))
        found["buckets"][bucket] = {
            "queries": len(members),
            "norms": [float(lengths[members[0]]), float(lengths[members[-1]])],
            "pairs": pairs,
            "same": same,
            "different": pairs - same,
            "sampled": len(taken) < len(members),
        }
        last = max(0, len(members) - _EXAMPLES)
        start = {"short": 0, "middle": last // 2, "long": last}[bucket]
        found["examples"][bucket] = rows[members[start : start + _EXAMPLES]].tolist()
        for space, features in spaces.items():
            figures = verify(features[taken], labels[taken], "l2", groups=None if groups is None else groups[taken])
            found[space][bucket] = figures and {key: getattr(figures, key) for key in _KEPT}
    return found


def _pairs(labels: Labels) -> int:
    """Return how many pairs of rows have one label, of (n,) or (n, 2)."""
    sizes = np.unique(labels, axis=0, return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())
