"""The gate: did search get worse than in the accepted night? Quality query by query, speed as a ratio.

A loss of quality fails the night when it is sure and when it matters: p of a paired sign-flip test over the same
queries below the gate's level after Holm's correction over all tests of the night, and an interval that lies wholly
beyond the least loss that matters. Speed is judged on one machine only, and measured again before it counts.

A training is a draw: where versions, machine or threads changed, its loss is not held against the paired test but
against the spread of seeds, and what is tested query by query is the accepted embedder, measured anew (a stand-in).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from simsearch.arrays import Doubles
from simsearch.bench.judging.compared import Compared, Pair, compared, gated, shared_queries
from simsearch.bench.judging.metrics import METRICS, RATIOS
from simsearch.bench.judging.spread import against_seeds
from simsearch.bench.judging.tried import apart as images_apart
from simsearch.bench.judging.tried import changes as image_changes
from simsearch.bench.judging.tried import compared_defects
from simsearch.bench.matrix import Matrix
from simsearch.bench.records import Cell, Finding, Night, NightFigure, Result, Verdict
from simsearch.statistics.intervals import percentile_intervals
from simsearch.statistics.significance import holm, sign_flip_bound, sign_flip_test

MOST_FLIPS = 199_999
AGAIN_REPEATS = 15
LEAST_SHARE = 0.9  # of a core, for the reference workload: below it the clock on the wall tells of other work

NO_STAND_INS: Mapping[str, Result] = MappingProxyType({})

Again = Callable[[Cell], Sequence[NightFigure] | None]


def judge(
    matrix: Matrix,
    accepted: tuple[Night, Sequence[Result]] | None,
    tonight: tuple[Night, Sequence[Result]],
    again: Again,
    stand_ins: Mapping[str, Result] = NO_STAND_INS,
) -> Verdict:
    """Return what the gate says of tonight's results against those of the accepted night (None: there is none yet).

    `again(cell)` measures the speed of a cell once more and returns its figures, None where it cannot. `stand_ins` are,
    by the names of cells, the accepted night's embedders as tonight's versions measure them.
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
        notes += [*_changes(both), *image_changes(both)]
        judged = [(before, stand_ins.get(after.cell.name, after)) for before, after in both]
        reasons = [(after, _apart(before, after)) for before, after in judged]
        notes += [f"{after.cell.name}: could not be judged: {why}" for after, why in reasons if why]
        apart = [after for after, why in reasons if why]
        spread, told = against_seeds([pair for pair in both if pair[1].cell.name in stand_ins])
        findings += quality(matrix, judged, spread)
        notes += told
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


def quality(matrix: Matrix, pairs: Sequence[Pair], spread: Sequence[Finding] = ()) -> list[Finding]:
    """Return the paired findings of all cells and those of `spread`, corrected together.

    `spread` holds findings with their p-values, which are not yet corrected or judged.
    """
    found: list[Compared] = []
    ends: list[list[float]] = []
    for before, after in pairs:
        entries = list(compared(before, after))
        if entries:  # the same draws of queries for all metrics of a cell
            ends += percentile_intervals(np.stack([entry.differences for entry in entries], axis=1)).tolist()
        others = list(compared_defects(before, after))
        for entry in others:
            ends += percentile_intervals(entry.differences[:, None]).tolist()
        found += [*entries, *others]
    p_values = _p_values([entry.tested for entry in found], matrix.gate.p)
    paired = [
        Finding(
            entry.cell, *entry.key, entry.before, entry.after, entry.after - entry.before, (low, high), p_value,
            n=entry.over,
        )
        for entry, (low, high), p_value in zip(found, ends, p_values, strict=True)
    ]  # fmt: skip
    findings = [*paired, *spread]
    corrected = holm([1.0 if finding.p_value is None else finding.p_value for finding in findings])
    return [_judged(matrix, finding, p_holm) for finding, p_holm in zip(findings, corrected, strict=True)]


def _judged(matrix: Matrix, finding: Finding, p_holm: float) -> Finding:
    """Return a finding with its verdict: sure, and wholly beyond the least loss that matters."""
    metric, least = METRICS[finding.metric], matrix.least(finding.metric)
    sure = p_holm < matrix.gate.p
    losses = sorted(metric.loss(0.0, end) for end in finding.interval or (0.0,))
    return replace(finding, p_holm=p_holm, worse=sure and losses[0] > least, better=sure and losses[-1] < -least)


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


def _apart(before: Result, after: Result) -> str:
    """Return why a cell cannot be judged, and what to do when that was meant; nothing where it can be."""
    why = "it shares no query and k with the accepted night"
    if after.status != "measured":
        why = f"the accepted night's embedder could not be measured by tonight's versions: {after.error}"
    elif gated(before, after) and len(shared_queries(before, after)[0]):
        if not images_apart(before, after):
            return ""
        why = "it shares too few images that tried its defect scores with the accepted night"
    return f'{why}; when that was meant: simsearch bench accept --reason "..."'


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
