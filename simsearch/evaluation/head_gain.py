"""Whether a trained head finds more than the frozen features below it: the same queries, both searched exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsearch.errors import VectorsError
from simsearch.evaluation.figures import headline
from simsearch.evaluation.measured import SystemResult
from simsearch.evaluation.paired import paired_differences
from simsearch.evaluation.systems import FeatureSource, Task, gather
from simsearch.vectors.normalize import normalize


@dataclass(frozen=True)
class HeadGain:
    """`figure`@`k` by the trained head and by the frozen features, over the same `n` queries, and their difference.

    Interval and p-value are those of `paired_differences`.
    """

    figure: str
    k: int
    head: float
    frozen: float
    n: int
    difference: float
    interval: Sequence[float]
    p_value: float


def head_gain(head: SystemResult, frozen: FeatureSource, task: Task) -> HeadGain | None:
    """Return how `head`, exact cosine search of its features, compares with that of the `frozen` ones.

    None without labels or answerable queries, and where a frozen feature has no direction: that is no reason to refuse
    a build whose head gives it one.
    """
    place = headline(task.ks)[0]
    if place not in head.figures:
        return None
    try:
        asked, base = normalize(gather(frozen, task.query_rows)), normalize(frozen.read(0, task.gallery))
    except VectorsError:
        return None
    found = ((span, rows) for span, _, rows in task.search(asked, base, max(task.ks), "ip"))
    below = task.measure(found, None, deep=False)
    with_head, without = head.values(*place), below.values(*place)
    (pair,) = paired_differences((with_head.astype(np.float64) - without)[:, None])
    trained, untrained = head.mean(*place), below.mean(*place)
    if pair is None or trained is None or untrained is None:
        return None
    return HeadGain(
        place.key, int(place.k or 1), trained, untrained, pair.n, pair.difference, pair.interval, pair.p_value
    )


def from_report(report: Any) -> HeadGain | None:
    """Return what a report says of it; None in one that says nothing."""
    found = report.get("head_gain")
    return HeadGain(**found) if found else None
