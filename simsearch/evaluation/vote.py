"""What the nearest images say of a query: the label that most of their weight is of, how clearly, and how near it is.

Light, as every query asks it: numpy alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simsearch.arrays import Doubles, Flags, Labels, Numbers

VERDICT, VERDICT_FILE = "verdict", "verdict.json"  # the stage that finds how much counts as known, and what it writes
VOTERS = 9  # nearest images that vote: with one that is the query itself, the ten that are looked up anyway
TEMPERATURE = 0.07  # a vote weighs exp(score / this), as in the k-NN classifier of Wu et al. 2018, arXiv 1805.01978
CLEAR = 0.1  # what a margin of 1 is worth, as a score: pictures of no label here have neighbours of several


class Vote(NamedTuple):
    """For each query: the label (Q,), -1 where nobody votes; its margin (Q,) and its strength (Q,)."""

    labels: Labels
    margins: Doubles
    strengths: Doubles


def vote(scores: Numbers, labels: Labels) -> Vote:
    """Return what the nearest images say, from their scores (Q, k), best first, and labels (Q, k), negative for none.

    The margin is the label's share of all votes less that of the next, 0 to 1; the strength the best score of any
    voter plus a tenth of the margin, -inf without any: how much this looks like something that is known.
    """
    scores, counts = np.asarray(scores, dtype=np.float64), labels >= 0
    if not scores.shape[1]:
        empty = np.zeros(len(scores))
        return Vote(np.full(len(scores), -1, dtype=np.int64), empty, empty - np.inf)
    weights, best = _weights(scores, counts)
    of_label = (weights[:, None, :] * (labels[:, None, :] == labels[:, :, None])).sum(axis=2) * counts
    first = of_label.argmax(axis=1)  # of equal ones the nearest
    rows = np.arange(len(scores))
    winner = np.where(counts.any(axis=1), labels[rows, first], -1)
    after = np.where(labels == winner[:, None], 0.0, of_label).max(axis=1)
    total = np.maximum(weights.sum(axis=1), np.finfo(np.float64).tiny)
    margins = (of_label[rows, first] - after) / total
    return Vote(winner, margins, best + CLEAR * margins)


def votes_for(scores: Numbers, labels: Labels, wanted: Labels) -> Doubles:
    """Return which share (Q,) of the votes is for the labels `wanted` (Q,), of scores and labels as `vote` takes them.

    0 where nobody votes.
    """
    weights, _ = _weights(np.asarray(scores, dtype=np.float64), labels >= 0)
    total = np.maximum(weights.sum(axis=1), np.finfo(np.float64).tiny)
    found: Doubles = (weights * (labels == wanted[:, None])).sum(axis=1) / total
    return found


def _weights(scores: Numbers, counts: Flags) -> tuple[Doubles, Doubles]:
    """Return what each vote weighs, (Q, k), the best 1 and those that do not count 0, and the best score (Q,)."""
    best = np.where(counts, scores, -np.inf).max(axis=1, initial=-np.inf)
    return np.exp((scores - np.where(np.isfinite(best), best, 0.0)[:, None]) / TEMPERATURE) * counts, best
