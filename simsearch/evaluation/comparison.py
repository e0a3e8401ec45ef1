"""A comparison of two systems, as report.json lists it. Needs no numpy, for readers of reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simsearch.evaluation.figures import Place

HEADLINE = "recipe/index"
BASELINES = ("baseline/raw-l2", "baseline/raw-ip", "baseline/cosine")
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """An entry of "comparisons" in report.json: a figure of a system less that of a baseline, over `n` units.

    The units are queries of one seed, or `seeds`. Interval and p-value are None where differences without any spread
    say nothing of further ones.
    """

    metric: str
    k: float | None
    scope: str
    system: str
    baseline: str
    n: int
    difference: float
    interval: Sequence[float] | None
    p_value: float | None
    test: str
    seeds: int

    @property
    def place(self) -> Place:
        """The figure that is compared."""
        return Place(self.metric, self.k, self.scope)

    @property
    def seen(self) -> bool:
        """Whether it is a difference."""
        return difference_seen(self.p_value, self.interval)

    @property
    def word(self) -> str:
        """What it says of the system."""
        return judged(self.place, self.difference, self.seen)


def difference_seen(p_value: float | None, interval: Sequence[float] | None) -> bool:
    """Return whether a difference is one: p is below 0.05, and the 95 % interval, where known, leaves out 0.

    No p-value, as of differences that are all the same, shows nothing. Nothing else decides when a difference is one.
    """
    return p_value is not None and p_value < LEVEL and (interval is None or interval[0] > 0 or interval[1] < 0)


def judged(place: Place, difference: float, seen: bool) -> str:
    """Return what a difference says of whoever has it: "better", "worse", "no difference seen"."""
    if not seen:
        return "no difference seen"
    return "better" if (difference > 0) == place.figure.higher_is_better else "worse"
