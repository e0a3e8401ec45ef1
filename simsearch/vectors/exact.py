"""Exact search: the nearest rows of a base in memory, a block of queries at a time.

Scores are float32. Each is packed with its row into one int64 (the score, order-preserving, in the upper half; the
row, counted backwards, in the lower), so that one partition and one sort give the order (score descending, row
ascending) with every tie settled, also at the cut after k. On 2 cores, 1,000 queries of 60,000 x 64 take 0.18 s for
k = 6,742; faiss.knn takes 2.4 s, and leaves the order of ties open.

For few neighbours most of that time would go into ranking rows that are far off. So the k-th best of a sample of the
base, which the k-th best of all cannot be worse than, is found first, and only scores that reach it are ranked.
10 neighbours of 60,000 queries in as many rows then take about as long as with faiss.IndexFlatIP.

The first k, at most 256, are then put in their true order in float64 (again.py).

Blocks run side by side with one BLAS thread each. BLAS's own threads wait for each other in every product, which on a
busy machine takes longer than the product.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from simsearch.arrays import Doubles, Floats, Integers, Labels
from simsearch.errors import VectorsError
from simsearch.vectors.again import MARGIN, Again
from simsearch.vectors.blas import one_blas_thread
from simsearch.vectors.normalize import norms

if TYPE_CHECKING:
    from concurrent.futures import Future

Neighbours = tuple[slice, Floats, Integers]

_QUERIES = 128  # queries multiplied at a time
_RANKED = 32  # of them, queries ranked at a time: 16 MB of keys a tile, near the caches; more were slower
_TILE = 65_536
_RANKING, _SIFTING = 4, 32  # threads at most: ranking takes 150 MB in each, sifting 20
_SIFTED, _SIFT = 256, 8192  # queries and base rows at a time where scores are sifted: in the caches
_SAMPLE = 2048  # base rows, at most one in sixteen; a search for more than a 32nd of them does not sift
_LOW = np.int64(0xFFFFFFFF)
_SIGN = np.int32(0x7FFFFFFF)


class Ranking:
    """The best k of a block of queries over tiles of the base, which come in any order."""

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        self._keys: Integers = np.empty((queries, 0), dtype=np.int64)

    def update(self, start: int, scores: Floats) -> None:
        """Take in the (B, n) float32 scores of base rows [start, start + n); `scores` is overwritten."""
        self.take(_keys(scores, np.arange(start, start + scores.shape[1], dtype=np.int64)))

    def take(self, keys: Integers) -> None:
        """Take in (B, n) keys, which are overwritten."""
        keys = self._best(keys)
        self._keys = self._best(np.concatenate((self._keys, keys), axis=1)) if self._keys.size else keys

    def _best(self, keys: Integers) -> Integers:
        cut = keys.shape[1] - self._k
        if cut <= 0:
            return keys
        keys.partition(cut, axis=1)
        return keys[:, cut:].copy()

    def result(self) -> tuple[Floats, Integers]:
        """Return (scores (B, k) float32, rows (B, k) int64), best first, ties by row."""
        keys = np.sort(self._keys, axis=1)[:, ::-1]
        bits = (keys >> 32).astype(np.int32)
        bits ^= (bits >> 31) & _SIGN
        return bits.view(np.float32), _LOW - (keys & _LOW)


def _keys(scores: Floats, rows: Integers) -> Integers:
    """Return int64 in the order (score, row counted backwards); `scores` is overwritten."""
    scores += np.float32(0.0)  # -0.0 becomes 0.0: equal scores must have equal bits
    bits = scores.view(np.int32)
    bits ^= (bits >> 31) & _SIGN
    keys = bits.astype(np.int64)
    keys <<= 32
    keys |= _LOW - rows
    return keys


def exact_search(
    queries: Floats, base: Floats, k: int, metric: Literal["ip", "l2"], exclude_self: Labels | None = None
) -> Iterator[Neighbours]:
    """Yield (slice of the queries, values (B, k) float32, rows (B, k) int64) over (Q, D) queries and (N, D) base.

    Values are inner products, highest first, or squared L2 distances, lowest first; ties by row. `exclude_self` (Q,)
    names the base row that a query leaves out (leave-one-out), -1 for none. k is capped at N, or at N - 1 when any
    query leaves a row out, so every row that comes back is real and all queries return the same number. Memory stays
    at some four times 128 x max(k, 65,536) numbers a thread, of which there are at most four, whatever Q and N are (for
    "l2" plus one copy of the base and the queries).

    Raises VectorsError for shapes that do not fit and for vectors too long for float32 arithmetic.
    """
    return _as_values(_search(*_checked(queries, base, k, exclude_self), metric), metric)


def _checked(
    queries: Floats, base: Floats, k: int, exclude_self: Labels | None
) -> tuple[Floats, Floats, int, Integers, Doubles]:
    if queries.ndim != 2 or base.ndim != 2 or queries.shape[1] != base.shape[1]:
        raise VectorsError(
            f"queries and base must have the shapes (Q, D) and (N, D), seen {queries.shape}, {base.shape}"
        )
    own = (
        np.full(len(queries), -1, dtype=np.int64) if exclude_self is None else np.asarray(exclude_self, dtype=np.int64)
    )
    k = min(k, len(base) - int(bool((own >= 0).any())))
    if k < 1:
        raise VectorsError(f"nothing to search: k {k} over a base of {len(base)} rows")
    lengths = norms(base)
    longest = [float(one.max(initial=0.0)) for one in (norms(queries), lengths)]
    # NaN fails the comparison too, which is what is wanted.
    if not sum(longest) ** 2 < 1e38:
        raise VectorsError(f"vectors of length {longest[0]:.3g} and {longest[1]:.3g} are beyond float32 arithmetic")
    return queries, base, k, own, lengths


def _as_values(found: Iterator[tuple[slice, Doubles, Integers]], metric: Literal["ip", "l2"]) -> Iterator[Neighbours]:
    for span, scores, rows in found:
        values = (scores if metric == "ip" else np.abs(scores)).astype(np.float32)  # no -0.0 among distances
        yield span, values, rows


def exact_neighbours(
    queries: Floats, base: Iterable[Floats], k: int, exclude_self: Integers | None = None
) -> tuple[Floats, Integers]:
    """Return (inner products (Q, k) float32, rows (Q, k) int64) of the k nearest, best first, ties by row.

    `queries` (Q, D), at least one; `base` blocks (n, D) in row order, so that it is never in memory as a whole; k and
    `exclude_self` as in `exact_search`. Memory: the answer, and what `exact_search` takes for one block.
    """
    scores, rows = np.empty((len(queries), 0)), np.empty((len(queries), 0), dtype=np.int64)
    own = np.full(len(queries), -1) if exclude_self is None else exclude_self
    start = 0
    for block in base:
        inside = np.where((own >= start) & (own < start + len(block)), own - start, -1)
        if len(block) > int(bool((inside >= 0).any())):
            parts = list(_search(*_checked(queries, block, k, inside), "ip", every=True))
            scores = np.concatenate((scores, np.concatenate([part[1] for part in parts])), axis=1)
            rows = np.concatenate((rows, np.concatenate([part[2] for part in parts]) + start), axis=1)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            scores, rows = np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
        start += len(block)
    return scores.astype(np.float32), rows


def _search(
    queries: Floats,
    base: Floats,
    k: int,
    own: Integers,
    reach: Doubles,
    metric: Literal["ip", "l2"],
    *,
    every: bool = False,
) -> Iterator[tuple[slice, Doubles, Integers]]:
    """Yield as `exact_search` does, but float64 and higher is nearer: all of them taken again, or where in doubt.

    `reach` (N,) are the lengths of the base.
    """
    given = queries, base
    lengths = None
    if metric == "l2":
        # Distances do not change when everything moves together, but 2qb - bb cancels less near the origin.
        centre = base.mean(axis=0, dtype=np.float64).astype(np.float32)
        base, queries = base - centre, queries - centre
        lengths = np.einsum("nd,nd->n", base, base)
        reach = np.sqrt(lengths, dtype=np.float64)
    again = Again(*given, (queries, base), reach, metric, own, k, every)
    k = min(k + MARGIN, len(base) - int(bool((own >= 0).any())))
    stride = max(16, -(-len(base) // _SAMPLE))
    sifts = 32 * k <= len(base) // stride
    step = _SIFTED if sifts else _QUERIES

    def rank(start: int) -> list[Ranking]:
        span = slice(start, start + step)
        return _rank_all(queries[span], base, lengths, k, own[span])

    def sift(start: int) -> list[Ranking]:
        span = slice(start, start + step)
        ranking = _sift(queries[span], base, lengths, k, own[span], stride)
        return [ranking] if ranking else []

    work, most = (sift, _SIFTING) if sifts else (rank, _RANKING)
    for start, found in _side_by_side(work, range(0, len(queries), step), most):
        span = slice(start, min(start + step, len(queries)))
        parts = [each.result() for each in found or rank(start)]  # not in the threads of the sift, which may be many
        values, rows = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        yield span, *again.settle(span, values, rows)


def _side_by_side(
    work: Callable[[int], list[Ranking]], starts: range, most: int
) -> Iterator[tuple[int, list[Ranking]]]:
    """Yield (start, work(start)) in order, worked on by as many threads as BLAS would use, at most `most`."""
    if len(starts) < 2:
        for start in starts:
            yield start, work(start)
        return
    # Not before they are needed: a single query has no use for them.
    from concurrent.futures import ThreadPoolExecutor

    waiting: deque[tuple[int, Future[list[Ranking]]]] = deque()
    with one_blas_thread() as of_blas, ThreadPoolExecutor(threads := min(most, len(starts), of_blas)) as pool:
        try:
            for start in starts:
                waiting.append((start, pool.submit(work, start)))
                if len(waiting) > threads:
                    first, done = waiting.popleft()
                    yield first, done.result()
            while waiting:
                first, done = waiting.popleft()
                yield first, done.result()
        finally:
            for _, left in waiting:
                left.cancel()


def _rank_all(queries: Floats, base: Floats, lengths: Floats | None, k: int, own: Integers) -> list[Ranking]:
    """Return the rankings of the queries in order, a few queries each, over every score."""
    rankings = []
    for start in range(0, len(queries), _QUERIES):
        block = slice(start, min(start + _QUERIES, len(queries)))
        parts = [slice(i, min(i + _RANKED, block.stop)) for i in range(block.start, block.stop, _RANKED)]
        some = [Ranking(part.stop - part.start, k) for part in parts]
        for first in range(0, len(base), _TILE):
            tile = slice(first, first + _TILE)
            scores = _scores(queries[block], base[tile], None if lengths is None else lengths[tile])
            _leave_out(scores, own[block] - first)
            for part, ranking in zip(parts, some, strict=True):
                ranking.update(first, scores[part.start - start : part.stop - start])
        rankings += some
    return rankings


def _sift(queries: Floats, base: Floats, lengths: Floats | None, k: int, own: Integers, stride: int) -> Ranking | None:
    """Return the ranking of the queries over the scores that reach the k-th best of every `stride`-th row.

    None when that leaves too many, or, where a product is rounded otherwise among other rows, too few.
    """
    scores = _scores(queries, base[::stride], None if lengths is None else lengths[::stride])
    _leave_out(scores, np.where(own % stride == 0, own // stride, -1))
    cut = scores.shape[1] - k
    limits = np.partition(scores, cut, axis=1)[:, cut, None]
    limits -= np.abs(limits) * np.float32(1e-6)
    asked, keys = [], []
    buffer = np.empty((len(queries), min(_SIFT, len(base))), dtype=np.float32)
    for first in range(0, len(base), _SIFT):
        tile = slice(first, min(first + _SIFT, len(base)))
        width = tile.stop - first
        scores = buffer if width == buffer.shape[1] else np.empty((len(queries), width), dtype=np.float32)
        _scores(queries, base[tile], None if lengths is None else lengths[tile], scores)
        _leave_out(scores, own - first)
        near = np.flatnonzero(scores >= limits)
        if len(near) > scores.size // 4:
            return None
        query = near // width
        keys.append(_keys(scores.reshape(-1)[near], near - query * width + first))
        asked.append(query.astype(np.int16))
    query = np.concatenate(asked)
    order = np.argsort(query, kind="stable")
    counts = np.bincount(query, minlength=len(queries))
    if counts.min() < k:
        return None
    place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((len(queries), counts.max()), np.iinfo(np.int64).min)
    table[query[order], place] = np.concatenate(keys)[order]
    ranking = Ranking(len(queries), k)
    ranking.take(table)
    return ranking


def _scores(queries: Floats, base: Floats, lengths: Floats | None, out: Floats | None = None) -> Floats:
    """Return (B, n), higher is nearer: inner products, or 2qb - bb with the squared `lengths` of the base."""
    scores = np.matmul(queries, base.T, out=out)
    if lengths is not None:
        scores *= 2
        scores -= lengths
    return scores


def _leave_out(scores: Floats, columns: Integers) -> None:
    """Put the column of each row out of reach, where it is one of the columns; in place."""
    inside = np.flatnonzero((columns >= 0) & (columns < scores.shape[1]))
    scores[inside, columns[inside]] = -np.inf
