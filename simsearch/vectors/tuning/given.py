"""The search settings of a kind of index that is given: tuned, and verified on rows that it has never seen."""

from __future__ import annotations

import time

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.console import Tell
from simsearch.vectors.index import settings_of
from simsearch.vectors.index.protocol import Name
from simsearch.vectors.search import DEFAULT, Search
from simsearch.vectors.tuning.candidates import FEW, Candidate
from simsearch.vectors.tuning.choose import Choice, chosen, in_words, verified_words
from simsearch.vectors.tuning.sweep import Point, entry, mark_pareto, measure
from simsearch.vectors.tuning.truth import K, Source, ask, unit_blocks
from simsearch.vectors.tuning.tuning import Tried, Tuning
from simsearch.vectors.tuning.verify import verified

_LEAST_EF = 16  # FAISS's default


def tune(
    source: Source,
    rows: int,
    factory: str,
    *,
    target_recall: float,
    val: Integers | None = None,
    seed: int = 0,
    name: Name | None = None,
    progress: Tell = lambda message: None,
) -> Choice:
    """Return the index of `factory` over the first `rows` rows of `source`, at the cheapest settings that reach.

    It is the index that the factory alone would make. It is built twice: over all rows but those held out, which tune
    and verify as `choose` does, then over all. Below 1,000 rows it looks everywhere. What no setting reaches is served
    at its best, as not reached. Raises VectorsError for a factory that FAISS refuses.
    """
    has, nlist = settings_of(factory, source.shape[1])
    candidate = Candidate(factory, nlist, given=True)
    run = Tuning(source, rows, target_recall, None, None, seed, name, progress, rows)
    if rows < FEW:
        return _everywhere(run, candidate, has)
    run.draw([candidate], np.empty(0, dtype=np.int64) if val is None else val)
    served = verified(run, [Tried(candidate, Point(DEFAULT, 0.0, 0.0, 0.0, 0.0), 0.0, 0, 0.0)])
    found = served.point
    settings, measured = in_words(found.search), verified_words(run, served)
    why = f"{settings}: tuned to ann_recall@10 {run.target:g}: {measured}; {_others(found.search)}."
    if not served.reached:
        why = f"{factory} reached ann_recall@10 {run.target:g} at no setting. The best is {settings}: {measured}."
    return chosen(run, served, why, reached=served.reached)


def _others(search: Search) -> str:
    return f"{' '.join(f'--set index.{key}=' for key in search.given())} for another"


def _everywhere(run: Tuning, candidate: Candidate, has: list[str]) -> Choice:
    """Return the index with every list, node or code looked at: of so few rows too few could be held out."""
    index, seconds = run.build(candidate, run.source, run.rows)
    most = {"nprobe": candidate.nlist, "efSearch": max(run.rows, _LEAST_EF), "k_factor": float(-(-run.rows // K))}
    search = Search.from_json({key: value for key, value in most.items() if key in has})
    asked = _unit(run)
    questions = ask(asked, np.arange(run.rows), [asked])
    point = measure(index, questions, search)
    size = index.measured_bytes()
    run.table.append({**entry(candidate.factory, "full", run.rows, size, seconds, point), "chosen": True})
    mark_pareto(run.table)
    reached = point.recall >= run.target
    why = (
        f"{in_words(search)}: {run.rows:,} rows are too few to hold some out, so every search looks everywhere, "
        f"ann_recall@10 {point.recall:.4f} on its own rows; {_others(search)}."
    )
    if not reached:
        why = (
            f"{candidate.factory} reached ann_recall@10 {run.target:g} at no setting: {point.recall:.4f} on its own "
            f"{run.rows:,} rows with {in_words(search)}, which looks everywhere."
        )
    return Choice(
        index,
        candidate.factory,
        search,
        run.target,
        reached,
        point.recall,
        (point.low, point.high),
        point.qps,
        size,
        seconds,
        time.perf_counter() - run.started,
        why,
        {},
        run.table,
    )


def _unit(run: Tuning) -> Floats:
    return np.concatenate(list(unit_blocks(run.source, run.rows, run.name)))
