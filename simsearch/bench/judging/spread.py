"""A retraining held against the spread of seeds: where another draw of the same training gives other figures anyway."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, stdev

from simsearch.bench.judging.compared import Compared, Pair, compared
from simsearch.bench.judging.metrics import Key
from simsearch.bench.judging.tried import compared_defects
from simsearch.bench.records import Cause, Finding
from simsearch.statistics.student import t_interval

LEAST_SEEDS = 5
WHY = "the same settings and data gave other weights under other versions, threads or on another machine"


def against_seeds(pairs: Sequence[Pair]) -> tuple[list[Finding], list[str]]:
    """Return findings on retrained cells with uncorrected p-values, and a note for each recipe and index.

    Cells that differ in their seed alone are one sample. Tonight's mean over seeds is held against the accepted one
    with the spread of the accepted seeds, as both are draws of it: Student's t with N - 1 degrees of freedom. Fewer
    than 5 accepted seeds tell too little of their spread: nothing is judged, which is said.
    """
    groups: defaultdict[tuple[object, ...], list[Pair]] = defaultdict(list)
    for before, after in pairs:
        groups[after.cell.recipe, after.cell.factory, after.cell.search].append((before, after))
    findings: list[Finding] = []
    notes = []
    for group in groups.values():
        name, count = group[0][1].cell.name, len(group)
        seeds = "1 seed" if count == 1 else f"{count} seeds"
        if count < LEAST_SEEDS:
            notes.append(f"{name}: tonight's retraining was not judged: {seeds}, at least {LEAST_SEEDS} needed")
            continue
        notes.append(f"{name}: tonight's retraining was judged by its mean over {seeds} against their spread")
        values: defaultdict[Key, list[Compared]] = defaultdict(list)
        for before, after in group:
            for entry in (*compared(before, after), *compared_defects(before, after)):
                values[entry.key].append(entry)
        findings += (_finding(name, key, entries) for key, entries in values.items() if len(entries) == count)
    return findings, notes


def _finding(cell: str, key: Key, entries: Sequence[Compared]) -> Finding:
    """Return the difference of the means over N seeds with its interval by the spread of the accepted ones."""
    before, after = fmean(entry.before for entry in entries), fmean(entry.after for entry in entries)
    # Seeds that all came out alike, as at a recall of 1, are told apart by a query at the least.
    spread = max(stdev(entry.before for entry in entries), 1 / min(len(entry.tested) for entry in entries))
    error = spread * math.sqrt(2 / len(entries))
    interval, p_value = t_interval(after - before, error, len(entries) - 1)
    return Finding(cell, *key, before, after, after - before, interval, p_value, cause=Cause("embedder", WHY))
