"""When a difference is one: the only place that decides it. Needs no numpy, for readers of reports."""

from __future__ import annotations

from collections.abc import Sequence

LEVEL = 0.05


def difference_seen(p_value: float | None, interval: Sequence[float] | None) -> bool:
    """Return whether a difference is one: p is below 0.05, and the 95 % interval, where known, leaves out 0.

    No p-value, as of differences that are all the same, shows nothing.
    """
    return p_value is not None and p_value < LEVEL and (interval is None or interval[0] > 0 or interval[1] < 0)
