"""What was tuned, verified on rows that neither tuned it nor are in it; then built over all rows, looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist

from simsearch.vectors.search import WHOLE, Search
from simsearch.vectors.tuning.growing import Growing
from simsearch.vectors.tuning.sweep import Point, entry, measure
from simsearch.vectors.tuning.truth import Questions, ask, unit_blocks
from simsearch.vectors.tuning.tuning import Built, Tried, Tuning

_MOST_KINDS = 2  # verified; then only Flat is, which is exact
_MORE = 4  # settings of a kind that is given, each a quarter dearer
_DOUBT = 0.025  # that a bound is above the truth


@dataclass
class Served:
    """An index over all rows, the lower of what its settings did with and without the rows held out, and its speed."""

    built: Built
    point: Point
    qps: float
    reached: bool


def verified(run: Tuning, ranked: list[Tried]) -> Served:
    """Return the first that holds the target on rows held out: by its bound, without these rows and with them.

    None does: the one of the highest recall, as not reached.
    """
    tuned_with, checked_with = run.ask_rest(run.tuning), run.ask_rest(run.verifying)
    again: Questions | None = None
    failed: list[tuple[Built, Point, int]] = []
    attempts = 0
    left = list(ranked)
    while left:
        best = run.best_in_full(left, tuned_with)
        growing = Growing(run, best) if Growing.matters(run, best) else None
        for search in _settings(best, run.target):
            attempts += 1
            z = doubt_after(attempts)
            point = measure(best.index, checked_with, search, exact_index=best.index.is_flat, z=z)
            rows = best.index.ntotal
            if growing:
                point, rows = growing.check(point, search, z), growing.rows
            run.table.append(entry(best.candidate.factory, "check", rows, best.bytes, best.build_seconds, point))
            line = len(run.table) - 1
            failed.append((best, point, line))
            if point.low < run.target:
                continue
            again = again or _ask_all(run)
            built, all_rows = _serve(run, best, point, again, z)
            if all_rows.low >= run.target:
                return _told(run, built, point, all_rows, line, reached=True)
        if not best.best(run.target).reaches(run.target):
            break  # all that are left were built and found no better
        kinds = {one.candidate.factory for one, _, _ in failed}
        left = [one for one in left if one.candidate.factory not in kinds]
        if len(kinds) >= _MOST_KINDS:
            left = [one for one in left if one.candidate.factory == "Flat"]
    best, point, line = max(failed, key=lambda one: one[1].recall)
    built, all_rows = _serve(run, best, point, again or _ask_all(run), doubt_after(attempts))
    return _told(run, built, point, all_rows, line, reached=False)


def _told(run: Tuning, built: Built, point: Point, all_rows: Point, line: int, *, reached: bool) -> Served:
    """Return what is served with the lower of both figures: more rows make a search harder, own rows easier."""
    lower = all_rows.recall < point.recall
    run.table[-1 if lower else line]["chosen"] = True
    return Served(built, all_rows if lower else point, all_rows.qps, reached)


def doubt_after(attempts: int) -> float:
    """Return the standard errors of the bound at an attempt: 1.96, then more.

    The same rows verify every attempt, so each is allowed half the doubt of the one before: all together err in at
    most 5 % of runs, however many there are.
    """
    return NormalDist().inv_cdf(1 - _DOUBT / 2 ** (attempts - 1))


def _settings(best: Built, target: float) -> Iterator[Search]:
    """Yield the settings chosen by tuning, then dearer ones."""
    chosen = best.best(target)
    yield chosen.search
    if best.index.is_flat:
        return
    dearer = sorted((p for p in best.points if p.recall > chosen.recall), key=lambda p: p.recall)
    search = dearer[0].search if dearer else _dearer(chosen.search, best.candidate.nlist)
    yield search
    for _ in range(_MORE if best.candidate.given else 0):  # no other kind may be taken
        search = _dearer(search, best.candidate.nlist)
        yield search


def _dearer(search: Search, nlist: int) -> Search:
    """Return settings a quarter dearer; of lists no more than there are."""
    now = search.given()
    found = {key: value + max(1, value // 4) if key in WHOLE else value * 1.25 for key, value in now.items()}
    return Search.from_json({**found, **({"nprobe": min(found["nprobe"], nlist)} if "nprobe" in found else {})})


def _beside_itself(search: Search, k: int) -> Search:
    """Return the settings under which k + 1 answers of a row cost what k of a query do.

    k_factor candidates an answer are scored again: one more answer, which the row itself takes, is not to bring
    k_factor more of them, only the one.
    """
    return search if search.k_factor is None else replace(search, k_factor=(k * search.k_factor + 1) / (k + 1))


def _ask_all(run: Tuning) -> Questions:
    """Return the rows that verify with their exact neighbours among all rows, each leaving itself out."""
    run.progress(f"exact neighbours of {len(run.verifying):,} rows in {run.rows:,}")
    return ask(run.verifying, run.held.verifying, unit_blocks(run.source, run.rows, run.name))


def _serve(run: Tuning, best: Built, point: Point, questions: Questions, z: float) -> tuple[Built, Point]:
    """Build over all rows, by the same factory and training, and measure the settings there."""
    index, seconds = run.build(best.candidate, run.source, run.rows)
    found = measure(index, questions, _beside_itself(point.search, questions.k), exact_index=index.is_flat, z=z)
    found = replace(found, search=point.search)
    run.table.append(entry(best.candidate.factory, "served", run.rows, best.bytes, seconds, found))
    return replace(best, index=index, build_seconds=seconds), found
