"""How fast answers are, against a reference workload that is timed in the same run.

A machine that is slow tonight is slow at both, so the ratio of the two hardly moves; the ratio is what is judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

REPEATS = 7
SINGLE = 40  # queries timed one at a time, in each repeat
BATCH = 2000  # queries of a batch
BATCH_SECONDS = 0.05  # of a batch that is timed: small ones are repeated
MOST_BATCHES = 20  # times BATCH_SECONDS, where the clock is that of a thread which has to wait for a core
_ROWS, _DIM, _QUERIES, _K = 20_000, 64, 30, 10


@dataclass(frozen=True)
class Timing:
    """Milliseconds and queries a second, and their ratios to the reference: a value a repeat.

    `p50`, `p99`: of one query, from pixels to neighbours. `qps`: of a batch of embeddings. `p50_ratio` is in units of
    the reference workload's query, `qps_ratio` in queries a reference query: by one thread and its own clock,
    as several threads, or a long batch, lose to a busy neighbour what a short reference query does not.
    """

    p50: tuple[float, ...]
    p99: tuple[float, ...]
    qps: tuple[float, ...]
    p50_ratio: tuple[float, ...]
    qps_ratio: tuple[float, ...]


class Reference:
    """The reference workload: exact search, one query at a time, by numpy alone, over seeded vectors."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._base = random.standard_normal((_ROWS, _DIM), dtype=np.float32)
        self._queries = random.standard_normal((_QUERIES, _DIM), dtype=np.float32)

    def seconds(self) -> float:
        """The median seconds of one of its queries."""
        taken = []
        for query in self._queries:
            started = time.perf_counter()
            np.argpartition(self._base @ query, _ROWS - _K)
            taken.append(time.perf_counter() - started)
        return median(taken)


def measure(
    reference: Reference,
    answer: Callable[[int], object],
    queries: int,
    batch: Callable[[], int],
    *,
    repeats: int = REPEATS,
) -> Timing:
    """Time `answer(i)` for queries i < `queries`, and `batch()`, which answers as many as it returns.

    Reference and measured work take turns, so that a slow spell meets both.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # BLAS's own threads wait for each other in every product: on a busy machine that would be what is timed.
    with threadpool_limits(1, user_api="blas"):
        return _measure(reference, answer, queries, batch, repeats)


def _measure(
    reference: Reference, answer: Callable[[int], object], queries: int, batch: Callable[[], int], repeats: int
) -> Timing:
    from threadpoolctl import ThreadpoolController

    libraries = ThreadpoolController()
    answer(0)  # a warm-up
    count = batch()
    found: list[tuple[float, float, float, float, float]] = []
    for repeat in range(repeats):
        unit = reference.seconds()
        single = []
        for i in range(min(SINGLE, queries)):
            started = time.perf_counter()
            answer((repeat * SINGLE + i) % queries)
            single.append(time.perf_counter() - started)
        qps = _answered(batch, time.perf_counter)
        with libraries.limit(limits=1, user_api="openmp"):
            alone = _answered(batch, time.thread_time)
        unit = (unit + reference.seconds()) / 2
        p50, p99 = np.quantile(single, (0.5, 0.99)).tolist()
        found.append((1000 * p50, 1000 * p99, qps, p50 / unit, alone * unit))
    assert count > 0
    return Timing(*(tuple(column) for column in zip(*found, strict=True)))


def _answered(batch: Callable[[], int], clock: Callable[[], float]) -> float:
    """Queries a second of `batch` by a clock; one that hardly runs, as that of a waiting thread, is not waited for."""
    answered, started = 0, clock()
    given_up = time.perf_counter() + MOST_BATCHES * BATCH_SECONDS
    while answered == 0 or (clock() - started < BATCH_SECONDS and time.perf_counter() < given_up):
        answered += batch()
    return answered / max(clock() - started, 1e-6)


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """The median of the repeats, and their quartiles."""
    low, value, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return value, low, high
