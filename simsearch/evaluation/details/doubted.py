"""Images whose nearest others hardly vote for their label, over the whole corpus: the label may be a mistake.

Each is asked without itself, its copies, its group and what looks like it. Features that learnt from the wrong labels
agree with them: features that learnt from none, or the small pictures, find far more (benchmarks/suspects.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simsearch.arrays import Labels
from simsearch.evaluation.details.classes import LabelName
from simsearch.evaluation.details.others import Others
from simsearch.evaluation.details.suspects import LEAST_NEIGHBOURS
from simsearch.evaluation.vote import vote, votes_for

# Chosen on other draws than those in docs/results.md, among 10, 15 and 20 neighbours and shares up to .15 and .5.
NEIGHBOURS = 15
MOST_OWN_SHARE = 0.05  # of the votes: with few labels a wrong one is found among 15 neighbours by chance
LEAST_SHARE = 0.2  # below, the neighbours agree on no label
MOST_LISTED = 500


def doubted(others: Others, labels: Labels, alike: Sequence[Labels], name: LabelName) -> dict[str, Any]:
    """Return the images of `others` that have a label, of `labels` (N,), which their 15 nearest others do not say.

    {"asked", "of" (images with a label), "neighbours", "total", "listed": at most 500 of {"row", "label", "says",
    "share", "own"}, the surest first, ties by row}: `says` is the label that most of the neighbours' votes (vote.py)
    are for, `share` its share of them, at least a fifth; `own`, at most a twentieth, is that of the label it has. At
    least 5 neighbours must have a label, and another image this one's. `alike` are numbers (N,) of what belongs
    together, negative for nothing: no image hears one of its own.
    """
    labelled = labels[others.asked] >= 0
    asked, near, scores = others.asked[labelled], others.rows[labelled], others.scores[labelled]
    given, every = labels[asked], labels[others.among]
    mates = np.bincount(every[every >= 0], minlength=1 + int(given.max(initial=0)))[given] - 1
    own = np.zeros(near.shape, dtype=np.bool_)
    for numbers in alike:
        own |= (numbers[asked] >= 0)[:, None] & (numbers[near] == numbers[asked][:, None])
        mates -= _together(numbers, labels, others)[labelled]
    order = np.argsort(own, axis=1, kind="stable")[:, :NEIGHBOURS]
    heard = ~np.take_along_axis(own, order, axis=1)
    said = np.where(heard, labels[np.take_along_axis(near, order, axis=1)], -1)
    some = ((said >= 0).sum(axis=1) >= LEAST_NEIGHBOURS) & (mates > 0)
    scores = np.take_along_axis(scores, order, axis=1)
    some &= votes_for(scores, said, given) <= MOST_OWN_SHARE
    asked, given, said, scores = asked[some], given[some], said[some], scores[some]
    says = vote(scores, said).labels
    shares, kept = votes_for(scores, said, says), votes_for(scores, said, given)
    best = np.lexsort((asked, kept - shares))
    best = best[shares[best] >= LEAST_SHARE]
    return {
        "asked": int(labelled.sum()),
        "of": int((every >= 0).sum()),
        "neighbours": NEIGHBOURS,
        "total": len(best),
        "listed": [
            {
                "row": int(asked[i]),
                "label": name(int(given[i])),
                "says": name(int(says[i])),
                "share": float(shares[i]),
                "own": float(kept[i]),
            }
            for i in best[:MOST_LISTED]
        ],
    }


def largest(alike: Sequence[Labels]) -> int:
    """Return how many images the largest group of any numbers (N,) has, 1 where there is none."""
    return max((int(np.bincount(numbers[numbers >= 0], minlength=1).max()) for numbers in alike), default=1) or 1


def _together(numbers: Labels, labels: Labels, others: Others) -> Labels:
    """Return how many further images of its number and label each row that asks has, (A,)."""
    both = np.where((numbers >= 0) & (labels >= 0), numbers * (1 + int(labels.max(initial=0))) + labels, -1)
    values, counts = np.unique(both[others.among], return_counts=True)
    found = counts[np.searchsorted(values, both[others.asked])] - 1
    return np.where(both[others.asked] >= 0, found, 0)
