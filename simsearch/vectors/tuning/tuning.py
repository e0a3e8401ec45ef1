"""One run of tuning: a sample to try candidates on, and the best of them built over all rows but those held out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.console import Tell
from simsearch.errors import VectorsError
from simsearch.vectors.index import FaissIndex, Index, Trained, build, find_centroids
from simsearch.vectors.index.building import SAMPLE_ROWS
from simsearch.vectors.index.protocol import Name
from simsearch.vectors.tuning.candidates import LEAST_SECONDS, SAMPLE_BYTES, Candidate, total_bytes
from simsearch.vectors.tuning.held import Held, Without, hold_out
from simsearch.vectors.tuning.sweep import Point, entry, graph_build_seconds, search_seconds, sweep
from simsearch.vectors.tuning.truth import Questions, Source, ask, take, unit_blocks

_SEARCHED = 50_000, 125_000  # rows of the sample that are searched in: an eighth of all, within these
_ROWS_A_LIST = 48
_HELD_ON_SAMPLE = 1_000
_BLOCK = 16_384  # rows added at a time
_MOST_BUILT = 4  # in full
_SHARE_FOR_SAMPLE = 0.4
_SHARE_FOR_BUILDING = 0.8  # of the time that is left: what was built is tuned, and the winner checked
_PROMISING = 0.5  # a sample may predict twice too much: so far, another index is built in full too
# Times slower than the fastest, at which a kind is given up before it reaches the target. Codes get no better by more
# time, the others may only have met a busy moment.
_CODES_SLACK, _SLACK = 1.5, 2.0
_LEAST_GAIN = 0.02  # of what is missing of the target, by a setting that is doubled


@dataclass
class Tried:
    """A candidate as it did on the sample, and what that comes to over all rows."""

    candidate: Candidate
    best: Point
    seconds: float  # a query over all rows
    bytes: int
    build_seconds: float


@dataclass
class Built:
    """A candidate over all rows, or over all that are not held out."""

    candidate: Candidate
    index: Index
    points: list[Point]
    bytes: int
    build_seconds: float

    def best(self, target: float) -> Point:
        return _best(self.points, target)


@dataclass
class Tuning:
    """One run of `choose`."""

    source: Source
    rows: int
    target: float
    max_bytes: int | None
    max_build_seconds: float | None
    seed: int
    name: Name | None
    progress: Tell
    rows_in_end: int  # what it holds when it is limited by max_bytes: rows may be added to the index that is chosen
    started: float = field(default_factory=time.perf_counter)
    table: list[dict[str, Any]] = field(default_factory=list)
    centroids: dict[int, tuple[Floats, float]] = field(default_factory=dict)
    limit: float = LEAST_SECONDS
    sample: Floats = field(init=False)  # to find centroids with
    searched: Floats = field(init=False)  # the part of it that is searched in
    held: Held = field(init=False)
    rest: Without = field(init=False)  # what every index that is tried is built of
    tuning: Floats = field(init=False)  # queries, the rows of `held`
    verifying: Floats = field(init=False)

    def draw(self, wanted: list[Candidate], val: Integers) -> None:
        """Hold rows out, half to tune with and half to verify with, and read them and a sample of the others."""
        dim = self.source.shape[1]
        self.held = hold_out(self.rows, val, self.seed)
        self.rest = Without(self.source, self.rows, self.held.rows())
        left = self.rest.shape[0]
        most_lists = max(candidate.nlist for candidate in wanted)
        searched = min(max(self.rows // 8, _SEARCHED[0]), _SEARCHED[1])
        size = min(max(searched, _ROWS_A_LIST * most_lists), left, max(SAMPLE_BYTES // (4 * dim), 2 * most_lists))
        size = 0 if wanted[0].given else size
        sampled = self.rest.origin(np.random.default_rng(self.seed).choice(left, size, replace=False))
        rows = np.concatenate([sampled, self.held.tuning, self.held.verifying])
        vectors = take(self.source, self.rows, rows, self.name)
        self.sample, self.searched = vectors[:size], vectors[: min(size, searched)]
        tuning = size + len(self.held.tuning)
        self.tuning, self.verifying = vectors[size:tuning], vectors[tuning:]

    def trained(self, candidate: Candidate) -> tuple[Trained, float]:
        """Return the sample and the centroids of a candidate, and the seconds that these took."""
        nlist = candidate.nlist
        if not nlist:
            return Trained(self.sample[:SAMPLE_ROWS]), 0.0
        if nlist not in self.centroids:
            started = time.perf_counter()
            found = find_centroids(self.sample, nlist, self.seed)
            self.centroids[nlist] = found, time.perf_counter() - started
        centroids, seconds = self.centroids[nlist]
        return Trained(self.sample[:SAMPLE_ROWS], centroids), seconds

    def try_on_sample(self, wanted: list[Candidate]) -> list[Tried]:
        """Build each candidate over the sample and sweep its settings; the fastest over all rows comes first."""
        asked = self.tuning[:_HELD_ON_SAMPLE]
        questions = ask(asked, none_own(asked), [self.searched])
        size, dim = self.searched.shape
        tried: list[Tried] = []
        for candidate in wanted:
            left = _SHARE_FOR_SAMPLE * self.limit - (time.perf_counter() - self.started)
            if tried and left < 0:
                break
            if tried and left < self._centroid_seconds(candidate):
                continue
            self.progress(f"{candidate.factory} on a sample of {size:,}")
            trained, centroid_seconds = self.trained(candidate)
            started = time.perf_counter()
            index = build(lambda: [], dim, candidate.factory, trained=trained)
            training_seconds = time.perf_counter() - started
            index.add(self.searched)
            seconds = time.perf_counter() - started
            adding_seconds = seconds - training_seconds
            coarse = self._coarse_seconds(index, trained, questions)
            predict = partial(search_seconds, candidate, growth=self.rows / size, coarse=coarse)
            slack = _CODES_SLACK if candidate.refines else _SLACK
            fastest = min((one.seconds for one in tried if one.best.reaches(self.target)), default=np.inf)
            points = sweep(index, candidate, questions, self.target, partial(_slower, predict, slack * fastest))
            bytes_ = index.measured_bytes()
            self.table += [entry(candidate.factory, "sample", size, bytes_, seconds, point) for point in points]
            best = _best(points, self.target)
            build_seconds = centroid_seconds + training_seconds + adding_seconds * self.rows / size
            if candidate.is_graph:
                build_seconds = graph_build_seconds(size, self.rows, adding_seconds)
                self.limit = max(self.limit, 2 * build_seconds)  # once without the rows held out, once with them
            total = total_bytes(candidate, size, self.rows_in_end, dim, bytes_)
            tried.append(Tried(candidate, best, predict(points, best), total, build_seconds))
        return self._ranked(tried)

    def _centroid_seconds(self, candidate: Candidate) -> float:
        """Return about how long finding its centroids would take: rows and lists both grow with their number."""
        nlist = candidate.nlist
        if not nlist or nlist in self.centroids:
            return 0.0
        return max(
            (seconds * (nlist / known) ** 2 for known, (_, seconds) in self.centroids.items() if known < nlist),
            default=0.0,
        )

    def _coarse_seconds(self, index: FaissIndex, trained: Trained, questions: Questions) -> float:
        if trained.centroids is None:
            return 0.0
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            index.nearest_lists(questions.embeddings, 1)
            seconds.append(time.perf_counter() - started)
        return min(seconds) / len(questions.embeddings)

    def _ranked(self, tried: list[Tried]) -> list[Tried]:
        """Return those within the limits: the ones that reach first, by speed; then the others, by recall."""
        within = [one for one in tried if self.max_bytes is None or one.bytes <= self.max_bytes]
        if not within:
            least = min(one.bytes for one in tried)
            raise beyond_bytes(self.rows_in_end, self.max_bytes or 0, least)
        if self.max_build_seconds is not None:
            quick = [one for one in within if one.build_seconds <= self.max_build_seconds]
            within = quick or [min(within, key=lambda one: one.build_seconds)]
        return sorted(
            within,
            key=lambda one: (0, one.seconds) if one.best.reaches(self.target) else (1, -one.best.recall),
        )

    def ask_rest(self, asked: Floats) -> Questions:
        """Return queries that are held out with their exact neighbours among the rows that are not."""
        self.progress(f"exact neighbours of {len(asked):,} rows in {self.rest.shape[0]:,}")
        return ask(asked, none_own(asked), unit_blocks(self.rest, self.rest.shape[0], None))

    def build(self, candidate: Candidate, source: Source, rows: int) -> tuple[FaissIndex, float]:
        """Return an index over the first `rows` rows of `source`, and the seconds that it took."""
        self.progress(f"building {candidate.factory} over {rows:,} rows")
        trained, seconds = (None, 0.0) if candidate.given else self.trained(candidate)
        started = time.perf_counter()

        def blocks() -> Iterator[Floats]:
            for start in range(0, rows, _BLOCK):
                yield source.read(start, min(start + _BLOCK, rows))

        index = build(blocks, source.shape[1], candidate.factory, rows=rows, name=self.name, trained=trained)
        return index, seconds + time.perf_counter() - started

    def build_in_full(self, one: Tried, questions: Questions, fastest: float) -> Built:
        """Build a candidate over all rows but those held out and sweep its settings, from those of the sample."""
        candidate, rows = one.candidate, self.rest.shape[0]
        index, seconds = self.build(candidate, self.rest, rows)
        self.progress(f"tuning {candidate.factory}")
        hopeless = partial(_stuck, self.target) if candidate.given else lambda _, point: point.qps < fastest
        points = sweep(index, candidate, questions, self.target, hopeless, first=one.best.search)
        size = index.measured_bytes() if candidate.given else one.bytes  # no sample told
        self.table += [entry(candidate.factory, "full", rows, size, seconds, point) for point in points]
        return Built(candidate, index, points, size, seconds)

    def best_in_full(self, ranked: list[Tried], questions: Questions) -> Built:
        """Return the fastest of those built in full: another is built only if it promises more than the best."""
        best: Built | None = None
        count = 0
        for place, one in enumerate(ranked, 1):
            fastest = 0.0
            left = self._seconds_to_build()
            if best is None:
                # A graph may need more than all that is left, where another that reaches does not.
                others = (other for other in ranked[place:] if other.best.reaches(self.target))
                if left < one.build_seconds and any(other.build_seconds <= left for other in others):
                    continue
            else:
                point = best.best(self.target)
                reached = point.reaches(self.target)
                if reached and (one.seconds * _PROMISING > 1 / point.qps or left < one.build_seconds):
                    continue
                # Without one that reaches, the flat index is built even when there is no time left.
                if (count >= _MOST_BUILT or left < one.build_seconds) and one.candidate.factory != "Flat":
                    continue
                fastest = point.qps if reached else 0.0
            count += 1
            built = self.build_in_full(one, questions, fastest)
            if best is None or _best([best.best(self.target), built.best(self.target)], self.target) in built.points:
                best = built
        assert best is not None
        return best

    def _seconds_to_build(self) -> float:
        """Return how long the next may take to build: nothing where too little were left to tune and check it.

        What is chosen is built twice: without the rows held out, and with them.
        """
        left = _SHARE_FOR_BUILDING * (self.limit - (time.perf_counter() - self.started))
        return left / 2 if left >= (1 - _SHARE_FOR_BUILDING) * self.limit else 0.0


def none_own(asked: Floats) -> Integers:
    """Return that no query is a row of what is searched."""
    return np.full(len(asked), -1, dtype=np.int64)


def beyond_bytes(rows: int, allowed: int, least: int) -> VectorsError:
    """Return the error that no index keeps within `allowed` bytes."""
    return VectorsError(
        f"no index of {rows:,} rows keeps within max_bytes = {allowed:,}: "
        f"the smallest that was tried takes about {least:,}",
        hint=f"set [index] max_bytes to {least} or more",
    )


def _best(points: list[Point], target: float) -> Point:
    return max(points, key=lambda p: (p.reaches(target), p.qps if p.reaches(target) else p.recall))


def _stuck(target: float, points: list[Point], point: Point) -> bool:
    """Return whether a setting was doubled for next to nothing: then no step that follows brings it to the target."""
    alone = len(point.search.given()) == 1 and len(points) > 2
    return alone and point.recall - points[-2].recall < _LEAST_GAIN * (target - point.recall)


def _slower(predict: Callable[[list[Point], Point], float], limit: float, points: list[Point], point: Point) -> bool:
    """Return whether to give up. One point does not tell what grows with the rows, unless it has no settings."""
    return (len(points) > 1 or not point.search.given()) and predict(points, point) > limit
