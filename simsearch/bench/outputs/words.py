"""What the outputs have in common: the sentence of verdict, a word for each cell, findings and causes in words.

Plain text, in which names are as they are: each output makes them safe or escapes them in its own way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby

from simsearch.bench.judging.metrics import METRICS, metric_words, shown
from simsearch.bench.records import Cause, Figure, Finding, Loser, Result, Story
from simsearch.page.html import p_value

HELD, WORSE, BETTER, NEW = "held", "WORSE", "better", "new"
FAILED, BROKEN, DROPPED, UNPAIRED = "failed", "BROKEN", "dropped", "unpaired"
_REFERENCE = "of the reference workload"

COLUMNS: tuple[tuple[str, str, int | None], ...] = (
    ("recall@1", "recall", 1),
    ("error@10", "cross_boundary_error", 10),
    ("ann_recall@10", "ann_recall", 10),
    ("qps", "qps", None),
    ("p50 ms", "latency_p50", None),
)
"""The figures of a cell that every table of cells shows: (heading, metric, k)."""


def column(result: Result, metric: str, k: int | None) -> str:
    """Return the value of one of COLUMNS as people read it; "-" where the cell has none."""
    found = [figure for figure in result.figures if (figure.metric, figure.k) == (metric, k) and known(figure)]
    figure = next((figure for figure in found if figure.scope == "all"), found[0] if found else None)
    if figure is None:
        return "-"
    value = figure.value
    if metric == "qps":
        return f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:,.1f}M"
    if metric == "latency_p50":
        return f"{value:.3f}" if value < 100 else f"{value:,.0f}"
    return shown(metric, value)


def known(figure: Figure) -> bool:
    """Return whether a figure has a value that can be shown: its metric is in METRICS, and it is a number."""
    return figure.metric in METRICS and figure.value is not None and math.isfinite(figure.value)


def results(story: Story) -> tuple[Result, ...]:
    """Return tonight's results in their order, then those of cells that only the verdict names."""
    found = {result.cell.name: result for result in story.results}
    for result in story.verdict.failed:
        found.setdefault(result.cell.name, result)
    for cell in story.verdict.dropped:
        found.setdefault(cell.name, Result(cell, "dropped"))
    return tuple(found.values())


def states(story: Story) -> dict[str, str]:
    """Return one word for each cell of tonight, by name; WORSE and BROKEN are regressions."""
    compared = {finding.cell for finding in story.verdict.findings}
    worse = {finding.cell for finding in story.verdict.worse}
    better = {finding.cell for finding in story.verdict.findings if finding.better}
    found = {}
    for result in results(story):
        name = result.cell.name
        if result.status == "failed":
            found[name] = BROKEN if result.broken else FAILED
        elif result.status == "dropped":
            found[name] = DROPPED
        elif name in worse:
            found[name] = WORSE
        elif name in better:
            found[name] = BETTER
        elif name in compared:
            found[name] = HELD
        else:
            found[name] = NEW if name in story.verdict.new or story.accepted is None else UNPAIRED
    return found


def counts(story: Story) -> dict[str, int]:
    """Return how many cells have each word, those with none left out; better cells are counted as held."""
    found = Counter(HELD if word == BETTER else word for word in states(story).values())
    order = (HELD, WORSE, BROKEN, FAILED, DROPPED, NEW, UNPAIRED)
    return {word: found[word] for word in order if found[word]}


def outcome(story: Story) -> str:
    """Return the outcome in a word: pass, regression, failed or abandoned."""
    return "abandoned" if story.night.verdict == "abandoned" else story.verdict.outcome


def sentence(story: Story) -> str:
    """Return the verdict: how many cells held, the worst finding with interval and cause, what else went wrong."""
    found, total = counts(story), len(results(story))
    start = "Tonight, abandoned before its end:" if outcome(story) == "abandoned" else "Tonight:"
    if story.accepted is None:
        measured = total - found.get(FAILED, 0) - found.get(BROKEN, 0) - found.get(DROPPED, 0)
        told = "no night is accepted yet to hold it against"
        if story.night.number in story.accepts:
            told = "later nights are held against this first one"
        parts = [f"{start} {measured} of {cells(total)} measured; {told}"]
    else:
        held = found.get(HELD, 0)
        share = f"all {cells(total)}" if held == total > 1 else f"{held} of {cells(total)}"
        parts = [f"{start} {share} held"]
    night = story.accepted
    against = "" if night is None else f" against night {night.number} of {day(night.started)}"
    worse = by_loss(story.verdict.worse)
    if worse:
        first = worse[0]
        parts += [f"{first.cell} {metric(first)} {change(first)}{against}", cause(first.cause)]
        if len(worse) > 1:
            others = len({finding.cell for finding in worse})
            more = plural(len(worse) - 1, "more figure is", "more figures are")
            parts.append(f"{more} worse" + (f", in {cells(others)} in all" if others > 1 else ""))
    else:
        parts[0] += against
    other = {word.lower(): found[word] for word in (BROKEN, FAILED, DROPPED, NEW, UNPAIRED) if word in found}
    if story.accepted is None:
        other.pop(NEW, None)  # all are
    parts += [f"{number} {word}" for word, number in other.items()]
    return "; ".join(parts) + "."


def by_loss(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings, those of quality first, the greatest loss first."""

    def rank(finding: Finding) -> tuple[bool, float]:
        judged = METRICS[finding.metric]
        loss = judged.loss(finding.before, finding.after)
        if judged.judged == "speed" and finding.before:
            loss /= abs(finding.before)
        return judged.judged != "paired", -loss

    return sorted(findings, key=rank)


def metric(finding: Finding) -> str:
    """Return what a finding is about: "recall@10"."""
    return metric_words(finding.metric, finding.k, finding.scope)


def figure(finding: Finding) -> str:
    """Return what a finding is about for a table of values: for speed they are ratios."""
    return f"{metric(finding)} to the reference" if _is_speed(finding) else metric(finding)


def over(finding: Finding) -> str:
    """Return what a finding is over: "359 queries", for speed "15 timings"; nothing where that is not known."""
    one, many = ("timing", "timings") if _is_speed(finding) else ("query", "queries")
    return "" if finding.n is None else plural(finding.n, one, many)


def of(found: Cause | None) -> str:
    """Return the figure in which classes and queries lost, for a heading: " (MAP@R)"."""
    return f" ({found.of})" if found is not None and found.of else ""


def moved(finding: Finding) -> str:
    """Return all of a finding but what it is about: "0.988 -> 0.984, fell .004 [.002, .006], p < .001 (Holm)"."""
    tested = "" if finding.p_value is None and finding.p_holm is None else f", {chance(finding)}"
    return f"{from_to(finding)}, {change(finding)}{tested}"


def value(finding: Finding, of: float) -> str:
    """Return `before` or `after` of a finding as people read it; for speed a ratio to the reference workload."""
    return f"{of:.2f}" if _is_speed(finding) else shown(finding.metric, of)


def from_to(finding: Finding) -> str:
    """Return "0.988 -> 0.984", with what a ratio is of."""
    reference = f" {_REFERENCE}" if _is_speed(finding) else ""
    return f"{value(finding, finding.before)} -> {value(finding, finding.after)}{reference}"


def change(finding: Finding) -> str:
    """Return how a figure moved: "fell .004 [.002, .006]", "rose 50 %"; the interval is of that move."""
    size, down = abs(finding.difference), finding.difference < 0
    verb = "fell" if down else "rose" if size else "did not move"
    if not size:
        return verb
    if _is_speed(finding):
        if not finding.before:
            return verb
        ends = finding.interval and [100 * end / abs(finding.before) for end in finding.interval]
        return f"{verb} {100 * size / abs(finding.before):.0f} %{_ends(ends, down, lambda end: f'{end:.0f} %')}"
    if METRICS[finding.metric].unit:
        return f"{verb} {shown(finding.metric, size)}"
    digits = 3 if size >= 0.002 else 5
    return f"{verb} {_share(size, digits)}{_ends(finding.interval, down, lambda end: _share(end, digits))}"


def signed(finding: Finding) -> str:
    """Return the difference, after - before, for a table: "-.004 [-.006, -.002]"; for speed in percent."""
    if _is_speed(finding):
        if not finding.before:
            return "-"
        by = 100 / abs(finding.before)
        ends = finding.interval and [by * end for end in finding.interval]
        return f"{by * finding.difference:+.0f} %{_ends(ends, False, lambda end: f'{end:+.0f} %')}"
    if METRICS[finding.metric].unit:
        return shown(finding.metric, finding.difference)
    digits = 3 if abs(finding.difference) >= 0.002 else 5
    ends_shown = _ends(finding.interval, False, lambda end: _share(end, digits, "+"))
    return f"{_share(finding.difference, digits, '+')}{ends_shown}"


def chance(finding: Finding) -> str:
    """Return the p-value in words, after Holm's correction where that is known."""
    if finding.p_holm is not None:
        return f"{p_value(finding.p_holm)} (Holm)"
    return "-" if finding.p_value is None else p_value(finding.p_value)


def cause(found: Cause | None) -> str:
    """Return the cause in words: "cause: the search settings changed (nprobe 4 -> 1)"."""
    return f"cause: {stage(found)}" if found is not None and found.stage is not None else f"cause {stage(found)}"


def stage(found: Cause | None) -> str:
    """Return the cause in words without saying that it is one: "the search settings changed (nprobe 4 -> 1)"."""
    if found is None:
        return "not looked for"
    why = f" ({found.why})" if found.why else ""
    return f"not found{why}" if found.stage is None else f"the {found.stage} changed{why}"


def grouped(findings: Sequence[Finding]) -> list[tuple[str, list[tuple[Cause | None, list[Finding]]]]]:
    """Return findings by cell, and within a cell by cause, in the order of `by_loss`."""
    order = by_loss(findings)
    first = {finding.cell: place for place, finding in reversed(list(enumerate(order)))}
    found: list[tuple[str, list[tuple[Cause | None, list[Finding]]]]] = []
    for cell, own in groupby(sorted(order, key=lambda finding: first[finding.cell]), key=lambda finding: finding.cell):
        causes: list[tuple[Cause | None, list[Finding]]] = []
        for finding in own:
            same = next((group for known_cause, group in causes if known_cause == finding.cause), None)
            if same is None:
                causes.append((finding.cause, [finding]))
            else:
                same.append(finding)
        found.append((cell, causes))
    return found


def notes(story: Story) -> list[str]:
    """Return what the gate and the night have to say besides, each once."""
    return list(dict.fromkeys((*story.verdict.notes, *story.night.notes)))


def loser(found: Loser) -> str:
    """Return how a class or a query moved: "0.990 -> 0.910", and over how many queries where that is more than one."""
    over = f", {found.n:,} queries" if found.n != 1 else ""
    return f"{found.before:.3f} -> {found.after:.3f}{over}"


def failure(result: Result) -> str:
    """Return where and why a cell failed: "train: loss is NaN"."""
    error = " ".join((result.error or "no error was told").split())
    return f"{result.stage or 'before its first stage'}: {error}"


def day(started: str) -> str:
    """Return the date of a time."""
    return started[:10]


def cells(number: int) -> str:
    """Return "1 cell", "12 cells"."""
    return plural(number, "cell", "cells")


def plural(number: int, one: str, many: str) -> str:
    """Return a number with the word for one or for many."""
    return f"{number:,} {one if number == 1 else many}"


def _is_speed(finding: Finding) -> bool:
    return METRICS[finding.metric].judged == "speed"


def _share(value: float, digits: int, sign: str = "") -> str:
    return f"{value:{sign}.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:{sign}.{digits}f}"


def _ends(ends: Sequence[float] | None, turned: bool, show: Callable[[float], str]) -> str:
    if ends is None:
        return ""
    low, high = (-ends[1], -ends[0]) if turned else ends
    return f" [{show(low)}, {show(high)}]"
