"""How often the first hit is wrong, by its score: what "the score means" comes down to for who reads one answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from simsearch.evaluation.details.collect import Evidence
from simsearch.evaluation.false_alarms import stranger_shares
from simsearch.statistics.intervals import wilson_interval

BINS = 10


def first_hits_by_score(measured: Evidence, strangers: dict[str, Any] | None) -> list[dict[str, Any]] | None:
    """Return the share of wrong first hits in each tenth of the answerable queries by the score of their first hit.

    As the index returns them, the highest scores first: {"low", "high" (scores), "queries", "wrong", "share",
    "interval" (Wilson), "stranger_rate" (at "low"; None without `strangers`)}. Equal scores are never divided. None
    without labels or without an answerable query.
    """
    task, through = measured.task, measured.through
    if task.relevant is None or not (answerable := task.relevant > 0).any():
        return None
    scores = through.scores[answerable, 0].astype(np.float64).clip(-1, 1).round(6)  # ties but for rounding
    wrong = task.gallery_labels[through.rows[answerable, 0]] != task.query_labels[answerable]
    order = np.argsort(-scores, kind="stable")
    scores, wrong = scores[order], wrong[order]
    lows = np.unique(scores[[part[-1] for part in np.array_split(np.arange(len(scores)), BINS) if len(part)]])[::-1]
    ends = np.searchsorted(-scores, -lows, side="right")
    shares = None if strangers is None else stranger_shares(strangers)
    found = []
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        count, failed = end - start, int(wrong[start:end].sum())
        low = float(scores[end - 1])
        found.append(
            {
                "low": low,
                "high": float(scores[start]),
                "queries": count,
                "wrong": failed,
                "share": failed / count,
                "interval": wilson_interval(failed, count),
                "stranger_rate": None if shares is None else shares.reached(low).share,
            }
        )
    return found
