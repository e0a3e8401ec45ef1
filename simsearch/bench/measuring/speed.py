"""How fast answers are, against a reference workload that is timed in the same run.

A machine that is slow tonight is slow at both, so the ratio of the two hardly moves; the ratio is what is judged.
That is why queries a second are not measured by vectors/speed.py here: each repeat has to lie between two of the
reference, by the clock of one thread, and has quartiles. Both give the median of repeats after a warm-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from simsearch.bench.records import NightFigure

REPEATS = 7
SINGLE = 40  # queries timed one at a time, in each repeat: at most so many, and at least LEAST_SINGLE
LEAST_SINGLE, SINGLE_SECONDS = 10, 0.5
BATCH = 2000  # queries of a batch
BATCH_SECONDS = 0.05  # of a batch that is timed: small ones are repeated
MOST_BATCHES = 20  # times BATCH_SECONDS, where the clock is that of a thread which has to wait for a core
ROWS, DIM, QUERIES, NEAR = 20_000, 64, 30, 10


SPEEDS = (
    ("latency_p50", "all"),  # milliseconds of one query, from pixels to neighbours
    ("latency_p99", "all"),
    ("qps", "all"),  # queries a second of a batch of embeddings
    # In units of the reference workload's query, and in queries a reference query: both by one thread and its own
    # clock, as several threads, or long work, lose to a busy neighbour what a short reference query does not.
    ("latency_p50", "ratio"),
    ("qps", "ratio"),
    # By the clock on the wall, which also sees waiting; it means something where the share of a processor is near 1.
    ("latency_p50", "wall ratio"),
    ("processor_share", "all"),
)
"""The figures of speed: (metric, scope)."""


class Reference:
    """The reference workload: exact search, one query at a time, by numpy alone, over seeded vectors."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._base = random.standard_normal((ROWS, DIM), dtype=np.float32)
        self._queries = random.standard_normal((QUERIES, DIM), dtype=np.float32)

    def seconds(self) -> tuple[float, float]:
        """Return the median seconds of one of its queries by the thread's own clock, and the share that had a core."""
        taken = []
        wall = time.perf_counter()
        for query in self._queries:
            started = time.thread_time()
            np.argpartition(self._base @ query, ROWS - NEAR)
            taken.append(time.thread_time() - started)
        return median(taken), min(1.0, sum(taken) / (time.perf_counter() - wall))


def measure(
    reference: Reference,
    answer: Callable[[int], object],
    queries: int,
    batch: Callable[[], int],
    *,
    repeats: int = REPEATS,
) -> list[NightFigure]:
    """Return SPEEDS of `answer(i)` for queries i < `queries` and of `batch()`, which answers as many as it returns.

    Each is the median of the repeats with their quartiles. Reference and measured work take turns: a slow spell meets
    both.
    """
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    libraries = ThreadpoolController()
    answer(0)  # a warm-up
    assert batch() > 0
    found: list[tuple[float, ...]] = []
    for repeat in range(repeats):
        with libraries.limit(limits=1):
            before, share = reference.seconds()
            single, alone = [], []
            began = time.perf_counter()
            for i in range(min(SINGLE, queries)):
                clocks = time.perf_counter(), time.thread_time()
                answer((repeat * SINGLE + i) % queries)
                single.append(time.perf_counter() - clocks[0])
                alone.append(time.thread_time() - clocks[1])
                if len(single) >= LEAST_SINGLE and time.perf_counter() - began > SINGLE_SECONDS:
                    break
            own = _answered(batch, time.thread_time)
            after, later = reference.seconds()
        unit = (before + after) / 2
        p50, p99 = np.quantile(single, (0.5, 0.99)).tolist()
        qps = _answered(batch, time.perf_counter)
        ratios = median(alone) / unit, own * unit, p50 / unit
        found.append((1000 * p50, 1000 * p99, qps, *ratios, min(share, later)))
    ends = np.quantile(found, (0.25, 0.5, 0.75), axis=0).T.tolist()
    return [
        NightFigure(metric, None, scope, middle, low, high, repeats)
        for (metric, scope), (low, middle, high) in zip(SPEEDS, ends, strict=True)
    ]


def _answered(batch: Callable[[], int], clock: Callable[[], float]) -> float:
    """Return queries a second of `batch` by a clock; one that hardly runs is not waited for."""
    answered, started = 0, clock()
    given_up = time.perf_counter() + MOST_BATCHES * BATCH_SECONDS
    while answered == 0 or (clock() - started < BATCH_SECONDS and time.perf_counter() < given_up):
        answered += batch()
    return answered / max(clock() - started, 1e-6)
