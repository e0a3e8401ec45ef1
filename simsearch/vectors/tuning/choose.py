"""Choose an index by measuring: tried on a sample, the best built in full, verified on rows it has never seen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsearch.arrays import Integers
from simsearch.console import Tell
from simsearch.errors import VectorsError
from simsearch.vectors.index import Index, build
from simsearch.vectors.index.protocol import Name
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import DEFAULT, Search
from simsearch.vectors.speed import queries_per_second
from simsearch.vectors.tuning.candidates import candidates
from simsearch.vectors.tuning.sweep import Point, entry, mark_pareto
from simsearch.vectors.tuning.truth import K, Source
from simsearch.vectors.tuning.tuning import Tuning, beyond_bytes
from simsearch.vectors.tuning.verify import Served, verified


@dataclass(frozen=True)
class Choice:
    """An index over all rows, its search settings, and what rows found that tuned nothing and were held out of it.

    `reached`: the lower bound of ann_recall@10 reaches the target, without the rows held out and with them, and the
    limits are kept. `held_out`: how many rows tuned, how many verified, how many of them are val rows. `table` holds
    every point that was measured, JSON-ready: "factory", settings, "stage" (sample; full and check: without the rows
    held out; served: with them), "rows", "ann_recall", "low", "high", "qps", "bytes", "build_seconds", "pareto",
    "chosen".
    """

    index: Index
    factory: str
    search: Search
    target_recall: float
    reached: bool
    ann_recall: float
    interval: tuple[float, float]
    qps: float
    bytes: int
    build_seconds: float
    tuning_seconds: float
    why: str
    held_out: dict[str, int]
    table: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Return all but the index."""
        return {key: value for key, value in vars(self).items() if key not in ("index", "factory", "search", "bytes")}


def choose(
    source: Source,
    rows: int,
    *,
    target_recall: float,
    max_bytes: int | None = None,
    max_build_seconds: float | None = None,
    rows_in_end: int | None = None,
    val: Integers | None = None,
    seed: int = 0,
    name: Name | None = None,
    progress: Tell = lambda message: None,
) -> Choice:
    """Return the fastest index over the first `rows` rows of `source` whose ann_recall@10 reaches the target.

    Speed is queries a second of a batch, with all threads that FAISS has. Rows are held out: of `val` first (which
    trained nothing), others where these are fewer than 1,000. Candidates are tried on a sample of the rest, the best
    built over all the rest, both tuned with half of the rows held out. The winner is verified on the other half, then
    built over all rows and looked at once more; where either fails, the next is taken. Below 1,000 rows it is Flat.
    Memory: two indexes (three of a graph over few rows: growing.py), the sample of at most 512 MB, and a block.
    `rows_in_end`: how many rows the index will hold that is kept within `max_bytes`, where more are added later.
    Raises VectorsError for a target outside (0, 1], limits that nothing keeps, no rows, or the first row without
    direction, which `name(row)` names.
    """
    if not 0 < target_recall <= 1:
        raise VectorsError(f"target_recall: expected above 0 and at most 1, seen {target_recall}", hint="as 0.99")
    if not 1 <= rows <= source.shape[0]:
        raise VectorsError(f"index: expected 1 to {source.shape[0]} rows, seen {rows}", hint="give at least one row")
    run = Tuning(source, rows, target_recall, max_bytes, max_build_seconds, seed, name, progress, rows_in_end or rows)
    wanted = candidates(rows, source.shape[1])
    if len(wanted) == 1:  # too few to hold some out; a flat search is exact
        return _tiny(run)
    run.draw(wanted, np.empty(0, dtype=np.int64) if val is None else val)
    ranked = run.try_on_sample(wanted)
    served = verified(run, ranked)
    slow = max_build_seconds is not None and served.built.build_seconds > max_build_seconds
    return chosen(run, served, _why(run, served, len(ranked), slow), reached=served.reached and not slow)


def chosen(run: Tuning, served: Served, why: str, *, reached: bool) -> Choice:
    """Return what is served as the choice of a run that ends with it."""
    best, found = served.built, served.point
    mark_pareto(run.table)
    return Choice(
        index=best.index,
        factory=best.candidate.factory,
        search=found.search,
        target_recall=run.target,
        reached=reached,
        ann_recall=found.recall,
        interval=(found.low, found.high),
        qps=served.qps,
        bytes=best.bytes,
        build_seconds=best.build_seconds,
        tuning_seconds=time.perf_counter() - run.started,
        held_out=run.held.to_json(),
        table=run.table,
        why=why,
    )


def _tiny(run: Tuning) -> Choice:
    started = time.perf_counter()
    index = build(lambda: [run.source.read(0, run.rows)], run.source.shape[1], "Flat", rows=run.rows, name=run.name)
    seconds = time.perf_counter() - started
    size = index.measured_bytes() + 4 * run.source.shape[1] * (run.rows_in_end - run.rows)
    if run.max_bytes is not None and size > run.max_bytes:
        raise beyond_bytes(run.rows_in_end, run.max_bytes, size)
    queries = normalize(run.source.read(0, run.rows), name=run.name)
    qps, _ = queries_per_second(lambda: index.search(queries, min(K, run.rows)), run.rows)
    run.table.append(entry("Flat", "full", run.rows, size, seconds, Point(DEFAULT, 1.0, 1.0, 1.0, qps)))
    run.table[-1]["chosen"] = True
    mark_pareto(run.table)
    slow = run.max_build_seconds is not None and seconds > run.max_build_seconds
    why = f"Flat: at {run.rows:,} rows every search is exact, {qps:,.0f} queries a second."
    if slow:
        why = f"Flat took {seconds:,.1g} s to build, more than the {run.max_build_seconds:g} s allowed."
    return Choice(
        index, "Flat", DEFAULT, run.target, not slow, 1.0, (1.0, 1.0), qps, size, seconds, seconds, why, {}, run.table
    )


def in_words(search: Search) -> str:
    """Return search settings as people read them: "nprobe 8, k_factor 4"."""
    return ", ".join(f"{key} {value:g}" for key, value in search.given().items())


def verified_words(run: Tuning, served: Served) -> str:
    """Return what was found on rows that tuned nothing, and where these come from."""
    found, held = served.point, run.held
    others = len(held.tuning) + len(held.verifying) - held.val
    drawn = "val rows" if not others else f"{held.val:,} val and {others:,} other rows" if held.val else "random rows"
    return (
        f"ann_recall@10 {found.recall:.4f} [{found.low:.4f}, {found.high:.4f}] on {len(held.verifying):,} rows that "
        f"tuned nothing, held out of the index (of {drawn})"
    )


def _why(run: Tuning, served: Served, kinds: int, slow: bool) -> str:
    """Return a sentence that says why this index was chosen."""
    best, found, reached = served.built, served.point, served.reached
    settings = in_words(found.search)
    what = best.candidate.factory + (f" with {settings}" if settings else "")
    measured = f"{verified_words(run, served)}, {served.qps:,.0f} queries a second"
    flat = next((line["qps"] for line in run.table if line["factory"] == "Flat"), 0.0) * len(run.searched) / run.rows
    if best.candidate.factory != "Flat" and flat:
        measured += f", {served.qps / flat:,.0f} times an exact search"
    among = f"of {kinds} kinds tried" + ("" if run.max_bytes is None else f" within {run.max_bytes:,} bytes")
    if not reached:
        return f"No index {among} reached ann_recall@10 {run.target:g}. The best is {what}: {measured}."
    if slow:
        took = f"took {best.build_seconds:,.1f} s to build, more than the {run.max_build_seconds:g} s allowed"
        return f"{what} {took}; it is the quickest to build {among}: {measured}."
    return f"{what} is the fastest {among} that reaches ann_recall@10 {run.target:g}: {measured}."
