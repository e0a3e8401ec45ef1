"""The gate: did search get worse than in the accepted night? Quality query by query, speed as a ratio.

A loss of quality fails the night when it is sure and when it matters: p of a paired sign-flip test over the same
queries below the gate's level after Holm's correction over all tests of the night, and an interval that lies wholly
beyond the least loss that matters. Speed is judged on one machine only, and measured again before it counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Doubles, Integers
from simsearch.bench.judging.metrics import METRICS, RATIOS, Key, kept_name, tested
from simsearch.bench.matrix import Matrix
from simsearch.bench.records import Cell, Finding, Night, NightFigure, Result, Verdict
from simsearch.statistics.intervals import percentile_intervals
from simsearch.statistics.significance import holm, sign_flip_bound, sign_flip_test

MOST_FLIPS = 199_999
AGAIN_REPEATS = 15
LEAST_SHARE = 0.9  # of a core, for the reference workload: below it the clock on the wall tells of other work

Pair = tuple[Result, Result]  # of the accepted night, of tonight
Again = Callable[[Cell], Sequence[NightFigure] | None]


@dataclass(frozen=True)
class _Compared:
    """A figure of a cell: its means, and the differences of the shared queries (n,), NaN where one has no value."""

    cell: str
    key: Key
    before: float
    after: float
    differences: Doubles

    @property
    def tested(self) -> Doubles:
        """Return the differences of the queries that have one."""
        return self.differences[~np.isnan(self.differences)]


def judge(
    matrix: Matrix,
    accepted: tuple[Night, Sequence[Result]] | None,
    tonight: tuple[Night, Sequence[Result]],
    again: Again,
) -> Verdict:
    """Return what the gate says of tonight's results against those of the accepted night (None: there is none yet).

    `again(cell)` measures the speed of a cell once more and returns its figures, None where it cannot.
    """
    night, results = tonight
    measured = [result for result in results if result.status == "measured"]
    failed = tuple(result for result in results if result.status == "failed")
    dropped = tuple(result.cell for result in results if result.status == "dropped")
    findings: list[Finding] = []
    notes: list[str] = []
    new = tuple(result.cell.name for result in measured)
    gone: tuple[str, ...] = ()
    apart: list[Result] = []
    broken: list[Result] = []
    if accepted is not None:
        known = [result for result in accepted[1] if result.status == "measured"]
        pairs, left_before, left_after = pair_cells(known, list(results))
        new = tuple(result.cell.name for result in left_after if result.status == "measured")
        gone = tuple(result.cell.name for result in left_before)
        both = [pair for pair in pairs if pair[1].status == "measured"]
        notes += _changes(both)
        apart = [
            after for before, after in both if not gated(before, after) or not len(shared_queries(before, after)[0])
        ]
        notes += [
            f"{after.cell.name}: could not be judged: it shares no query and k with the accepted night; when that was "
            'meant: simsearch bench accept --reason "..."'
            for after in apart
        ]
        findings += quality(matrix, both)
        if accepted[0].fingerprint == night.fingerprint:
            findings += speed(matrix, both, again)
        else:
            notes.append(
                "speed was not judged: the accepted night ran on another machine, which may train otherwise too"
            )
        broken = [after for _, after in pairs if after.broken]
        notes += [f"{after.cell.name}: regression in the stage index: {after.error}" for after in broken]
    worse = any(finding.worse for finding in findings) or broken
    outcome = "regression" if worse else "failed" if failed or apart or not measured else "pass"
    return Verdict(outcome, tuple(findings), failed, dropped, new, gone, tuple(dict.fromkeys(notes)))  # type: ignore[arg-type]


def pair_cells(before: Sequence[Result], after: Sequence[Result]) -> tuple[list[Pair], list[Result], list[Result]]:
    """Return (pairs of (before, after), left over of before, left over of after), the pairs in the order of `after`.

    Cells of the same name are pairs. What is left is paired within recipe and seed: with the same factory (another
    search setting), then at the same place of the matrix (another factory), in order. So a setting that was changed in
    the matrix is a change, and not one cell that vanished and another that is new.
    """
    left_before, left_after = list(before), list(after)
    pairs: list[Pair] = []
    keys: tuple[Callable[[Cell], object], ...] = (
        lambda cell: cell.name,
        lambda cell: (cell.recipe, cell.seed, cell.factory, cell.slot[1]),
        lambda cell: (cell.recipe, cell.seed, cell.factory),
        lambda cell: (cell.recipe, cell.seed, cell.slot),
    )
    for key in keys:
        waiting: defaultdict[object, list[Result]] = defaultdict(list)
        for result in left_before:
            waiting[key(result.cell)].append(result)
        rest = []
        for result in left_after:
            if waiting[key(result.cell)]:
                pairs.append((waiting[key(result.cell)].pop(0), result))
            else:
                rest.append(result)
        left_after = rest
        left_before = [result for results in waiting.values() for result in results]
    place = {id(result): i for i, result in enumerate(after)}
    pairs.sort(key=lambda pair: place[id(pair[1])])
    return pairs, left_before, left_after


def shared_queries(before: Result, after: Result) -> tuple[Integers, Integers]:
    """Return where the queries that both have stand in each, (n,) and (n,), in the order of `after`."""
    place = {name: i for i, name in enumerate(before.queries)}
    found = [(place[name], i) for i, name in enumerate(after.queries) if name in place]
    columns = np.array(found, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def quality(matrix: Matrix, pairs: Sequence[Pair]) -> list[Finding]:
    """Return the paired findings of all cells, corrected together."""
    compared: list[_Compared] = []
    ends: list[list[float]] = []
    for before, after in pairs:
        entries = list(_compared(before, after))
        if entries:  # the same draws of queries for all metrics of a cell
            ends += percentile_intervals(np.stack([entry.differences for entry in entries], axis=1)).tolist()
        compared += entries
    p_values = _p_values([entry.tested for entry in compared], matrix.gate.p)
    findings = []
    for entry, (low, high), p_value, p_holm in zip(compared, ends, p_values, holm(p_values), strict=True):
        metric, least = METRICS[entry.key[0]], matrix.least(entry.key[0])
        sure = p_holm < matrix.gate.p
        losses = sorted((metric.loss(0.0, low), metric.loss(0.0, high)))
        findings.append(
            Finding(
                entry.cell, *entry.key, entry.before, entry.after, entry.after - entry.before, (low, high), p_value,
                p_holm, len(entry.tested), worse=sure and losses[0] > least, better=sure and losses[1] < -least,
            )
        )  # fmt: skip
    return findings


def speed(matrix: Matrix, pairs: Sequence[Pair], again: Again) -> list[Finding]:
    """Return the findings on speed; a loss is measured a second time, and the better of the two counts."""
    if matrix.gate.speed is False:
        return []
    findings = []
    for before, after in pairs:
        limit = 1 + matrix.gate.speed
        seen, earlier = (_ratios(result.figures) for result in (after, before))
        shared = [key for key in seen if key in earlier]
        slow = [key for key in shared if _slower(key[0], earlier[key].value, seen[key].value) > limit]
        if slow:
            timed = again(after.cell)
            second = _ratios(timed or ())
            for key in slow:
                if key in second and METRICS[key[0]].loss(seen[key].value, second[key].value) < 0:
                    seen[key] = second[key]
                elif timed is not None and key not in second:
                    del seen[key]  # the machine was busy by then
            shared = [key for key in shared if key in seen]
        for key in shared:
            old, new = earlier[key], seen[key]
            factor = _slower(key[0], old.value, new.value)
            findings.append(
                Finding(
                    after.cell.name, key[0], None, key[1], old.value, new.value, new.value - old.value,
                    n=new.n, worse=factor > limit, better=1 / factor > limit,
                )
            )  # fmt: skip
    return findings


def _slower(name: str, before: float, after: float) -> float:
    """Return how many times slower it is: above 1 is worse, in either direction of the metric."""
    if before <= 0 or after <= 0:
        return 1.0
    return before / after if METRICS[name].higher_is_better else after / before


def _ratios(figures: Sequence[NightFigure]) -> dict[tuple[str, str], NightFigure]:
    """Return the judged figures of speed; that by the clock on the wall only where the machine was not busy."""
    known = [figure for figure in figures if figure.metric in METRICS]
    share = next((figure.value for figure in known if figure.metric == "processor_share"), 0.0)
    scopes = RATIOS if share >= LEAST_SHARE else RATIOS[:1]
    judged = (f for f in known if METRICS[f.metric].judged == "speed" and f.scope in scopes)
    return {(figure.metric, figure.scope): figure for figure in judged}


def _compared(before: Result, after: Result) -> Iterator[_Compared]:
    """Yield what is tested of a cell, over the queries that both nights have."""
    one, other = shared_queries(before, after)
    if not len(one):
        return
    near = None
    if "boundary" in before.per_query and "boundary" in after.per_query:
        # Chosen by either night's reference: neither may leave out the queries that the other found hard.
        near = (before.per_query["boundary"][one] > 0) | (after.per_query["boundary"][other] > 0)
    for key in gated(before, after):
        name, scope = kept_name(*key[:2]), key[2]
        values = before.per_query[name][one], after.per_query[name][other]
        usable = ~(np.isnan(values[0]) | np.isnan(values[1]))
        if scope == "boundary":
            usable &= False if near is None else near
        if usable.any():
            old, new = (np.where(usable, column, np.nan) for column in values)
            # Shares of k as floats: 0.3 - 0.2 and 0.2 - 0.1 must tie.
            differences = np.round(new - old, 9)
            yield _Compared(after.cell.name, key, float(np.nanmean(old)), float(np.nanmean(new)), differences)


def gated(before: Result, after: Result) -> list[Key]:
    """Return which figures are tested: those of `tested` that both nights have, at the k that both have."""
    both = before.per_query.keys() & after.per_query.keys()
    ks = sorted(int(name.partition("@")[2]) for name in both if name.startswith("ann_recall@"))
    return [key for key in tested(ks) if kept_name(*key[:2]) in both] if ks else []


def _p_values(columns: Sequence[Doubles], level: float) -> list[float]:
    """Return two-sided p-values of paired differences, fine enough to pass a correction for their number."""
    flips = min(MOST_FLIPS, max(9_999, math.ceil(10 * max(1, len(columns)) / level)))
    found = []
    for column in columns:
        bound = sign_flip_bound(column)
        if bound < level / max(1, len(columns)) / 10:
            found.append(bound)
            continue
        rough = sign_flip_test(column, flips=999)
        found.append(rough if rough > 0.05 else sign_flip_test(column, flips=flips))
    return found


def _changes(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield what of the data is not the same, in words, once a recipe."""
    for before, after in pairs:
        one, _ = shared_queries(before, after)
        if len(one) != len(before.queries) or len(one) != len(after.queries):
            yield (
                f"{after.cell.recipe}: the data changed: compared on the {len(one):,} queries that both nights have "
                f"({len(before.queries):,} in the accepted night, {len(after.queries):,} tonight)"
            )
        elif before.digests.get("dataset") != after.digests.get("dataset"):
            yield f"{after.cell.recipe}: the data changed; both nights have the same {len(one):,} queries"
