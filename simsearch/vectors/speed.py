"""How many queries a second an index answers: the one way it is measured, in a report as in tuning."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

REPEATS = 15
SECONDS = 2.0  # of the repeats together; the run that passes it is the last

Answer = TypeVar("Answer")


def queries_per_second(search: Callable[[], Answer], queries: int, *, seconds: float = SECONDS) -> tuple[float, Answer]:
    """Return queries a second of `search()`, which answers a batch of `queries`, and what it answered.

    A warm-up, which meets cold caches and sleeping threads, is not timed; then the median of up to 15 runs, fewer where
    they take more than `seconds` together and never none. The median is what a user meets; the fastest is not.
    """
    answer = search()
    taken: list[float] = []
    while len(taken) < REPEATS and sum(taken) <= seconds:
        started = time.perf_counter()
        search()
        taken.append(time.perf_counter() - started)
    return queries / median(taken), answer
