"""One run of tuning: a sample to try candidates on, the best of them built in full, and a check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.console import Tell
from simsearch.errors import VectorsError
from simsearch.vectors.index import FaissIndex, Index, Trained, build, find_centroids
from simsearch.vectors.index.building import SAMPLE_ROWS
from simsearch.vectors.index.protocol import Name
from simsearch.vectors.search import WHOLE, Search
from simsearch.vectors.tuning.candidates import LEAST_SECONDS, SAMPLE_BYTES, Candidate, total_bytes
from simsearch.vectors.tuning.sweep import Point, entry, graph_build_seconds, measure, search_seconds, sweep
from simsearch.vectors.tuning.truth import Questions, Source, ask, take, unit_blocks

_SEARCHED = 50_000, 125_000  # rows of the sample that are searched in: an eighth of all, within these
_ROWS_A_LIST = 48
_HELD = 2_000  # rows to tune with, and twice as many to check with
_HELD_ON_SAMPLE = 1_000
_BLOCK = 16_384  # rows added at a time
_MOST_BUILT = 4  # in full
_SHARE_FOR_SAMPLE = 0.4
_SHARE_FOR_BUILDING = 0.8  # of the time that is left: what was built is tuned, and the winner checked
_PROMISING = 0.5  # a sample may predict twice too much: so far, another index is built in full too
# Times slower than the fastest, at which a kind is given up before it reaches the target. Codes get no better by more
# time, the others may only have met a busy moment.
_CODES_SLACK, _SLACK = 1.5, 2.0


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
    """A candidate over all rows."""

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
    asked: Floats = field(init=False)
    asked_rows: Integers = field(init=False)
    held: int = field(init=False)

    def draw(self, wanted: list[Candidate]) -> None:
        """Read the sample, and the rows that are asked for: some to tune with, more to check with."""
        dim = self.source.shape[1]
        self.held = min(_HELD, self.rows // 5)
        most_lists = max(candidate.nlist for candidate in wanted)
        searched = min(max(self.rows // 8, _SEARCHED[0]), _SEARCHED[1])
        size = min(
            max(searched, _ROWS_A_LIST * most_lists),
            self.rows - 3 * self.held,
            max(SAMPLE_BYTES // (4 * dim), 2 * most_lists),
        )
        random = np.random.default_rng(self.seed)
        chosen = random.choice(self.rows, size + 3 * self.held, replace=False)
        vectors = take(self.source, self.rows, chosen, self.name)
        self.asked, self.asked_rows = vectors[size:], chosen[size:]
        self.sample, self.searched = vectors[:size], vectors[: min(size, searched)]

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
        own = np.full(self.held, -1, dtype=np.int64)
        held = min(self.held, _HELD_ON_SAMPLE)
        questions = ask(self.asked[:held], own[:held], [self.searched])
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
                self.limit = max(self.limit, build_seconds)
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

    def questions_in_full(self) -> tuple[Questions, Iterator[Questions]]:
        """Return the same rows searched in all rows, each leaving itself out: some to tune with, two to check with.

        The second lot's exact neighbours are looked for only when it is asked for.
        """
        found = self._ask_all(slice(2 * self.held))
        return found.part(0, self.held), self._checks(found.part(self.held, 2 * self.held))

    def _checks(self, first: Questions) -> Iterator[Questions]:
        yield first
        yield self._ask_all(slice(2 * self.held, None))

    def _ask_all(self, span: slice) -> Questions:
        asked, own = self.asked[span], self.asked_rows[span]
        self.progress(f"exact neighbours of {len(asked):,} rows in {self.rows:,}")
        return ask(asked, own, unit_blocks(self.source, self.rows, self.name))

    def build_in_full(self, one: Tried, questions: Questions, fastest: float) -> Built:
        """Build a candidate over all rows and sweep its settings there, from those that reached on the sample."""
        candidate = one.candidate
        self.progress(f"building {candidate.factory} over {self.rows:,} rows")
        trained, seconds = self.trained(candidate)
        started = time.perf_counter()

        def blocks() -> Iterator[Floats]:
            for start in range(0, self.rows, _BLOCK):
                yield self.source.read(start, min(start + _BLOCK, self.rows))

        index = build(blocks, self.source.shape[1], candidate.factory, rows=self.rows, name=self.name, trained=trained)
        built = time.perf_counter() - started
        self.progress(f"tuning {candidate.factory}")
        points = sweep(
            index, candidate, questions, self.target, lambda _, point: point.qps < fastest, first=one.best.search
        )
        self.table += [entry(candidate.factory, "full", self.rows, one.bytes, seconds + built, p) for p in points]
        return Built(candidate, index, points, one.bytes, seconds + built)

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
        """Return how long the next may take to build: nothing where too little were left to tune and check it."""
        left = _SHARE_FOR_BUILDING * (self.limit - (time.perf_counter() - self.started))
        return left if left >= (1 - _SHARE_FOR_BUILDING) * self.limit else 0.0

    def check(self, best: Built, parts: Iterator[Questions]) -> tuple[Point, bool]:
        """Return the chosen settings on rows that tuned nothing; where they fall short, dearer ones on others."""
        flat = best.index.is_flat
        chosen = best.best(self.target)
        dearer = sorted((p for p in best.points if p.recall > chosen.recall), key=lambda p: p.recall)
        found = chosen
        for part in parts:
            found = measure(best.index, part, chosen.search, exact_index=flat)
            line = entry(best.candidate.factory, "check", self.rows, best.bytes, best.build_seconds, found)
            self.table.append(line)
            if found.low >= self.target or not chosen.reaches(self.target):
                break
            chosen = next(iter(dearer), None) or _dearer(chosen)
        return found, found.low >= self.target


def beyond_bytes(rows: int, allowed: int, least: int) -> VectorsError:
    """Return the error that no index keeps within `allowed` bytes."""
    return VectorsError(
        f"no index of {rows:,} rows keeps within max_bytes = {allowed:,}: "
        f"the smallest that was tried takes about {least:,}",
        hint=f"set [index] max_bytes to {least} or more",
    )


def _dearer(point: Point) -> Point:
    """Return settings a quarter dearer."""
    now = point.search.given()
    more = {key: value + max(1, value // 4) if key in WHOLE else value * 1.25 for key, value in now.items()}
    return replace(point, search=Search.from_json(more))


def _best(points: list[Point], target: float) -> Point:
    return max(points, key=lambda p: (p.reaches(target), p.qps if p.reaches(target) else p.recall))


def _slower(predict: Callable[[list[Point], Point], float], limit: float, points: list[Point], point: Point) -> bool:
    """Return whether to give up. One point does not tell what grows with the rows, unless it has no settings."""
    return (len(points) > 1 or not point.search.given()) and predict(points, point) > limit
