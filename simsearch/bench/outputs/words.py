"""A night in words that all outputs share: the sentence of verdict, findings and causes, as plain text."""

from __future__ import annotations

from simsearch.bench.judging.metrics import METRICS, metric_words, shown
from simsearch.bench.outputs import contents
from simsearch.bench.records import Cause, Finding, Loser, Result, Story
from simsearch.page.dates import date
from simsearch.page.html import count, p_value

REFERENCE = "of the reference workload"


def sentence(story: Story) -> str:
    """Return the verdict: how many cells held, the worst finding with interval and cause, what else went wrong."""
    found, total = contents.counts(story), len(contents.results(story))
    start = "Tonight, abandoned before its end:" if contents.outcome(story) == "abandoned" else "Tonight:"
    if story.accepted is None:
        measured = total - sum(found.get(word, 0) for word in (contents.FAILED, contents.BROKEN, contents.DROPPED))
        told = "no night is accepted yet to hold it against"
        if story.night.number in story.accepts:
            told = "later nights are held against this first one"
        parts = [f"{start} {measured} of {cells(total)} measured; {told}"]
    else:
        held = found.get(contents.HELD, 0)
        share = f"all {cells(total)}" if held == total > 1 else f"{held} of {cells(total)}"
        parts = [f"{start} {share} held"]
    night = story.accepted
    against = "" if night is None else f" against night {night.number} of {date(night.started)}"
    worse = contents.by_loss(story.verdict.worse)
    if worse:
        first = worse[0]
        parts += [f"{first.cell} {metric(first)} {change(first)}{against}", cause(first.cause)]
        if len(worse) > 1:
            others = len({finding.cell for finding in worse})
            more = count(len(worse) - 1, "more figure is", "more figures are")
            parts.append(f"{more} worse" + (f", in {cells(others)} in all" if others > 1 else ""))
    else:
        parts[0] += against
    told_already = {contents.HELD, contents.WORSE} | ({contents.NEW} if story.accepted is None else set())
    parts += [f"{number} {word.lower()}" for word, number in found.items() if word not in told_already]
    return "; ".join(parts) + "."


def metric(finding: Finding) -> str:
    """Return what a finding is about: "recall@10"."""
    return metric_words(finding.metric, finding.k, finding.scope)


def figure(finding: Finding) -> str:
    """Return what a finding is about for a table of values: for speed they are ratios."""
    return f"{metric(finding)} to the reference" if _is_speed(finding) else metric(finding)


def over(finding: Finding) -> str:
    """Return what a finding is over: "359 queries", for speed "15 timings"; nothing where that is not known."""
    names = ("timing", "timings") if _is_speed(finding) else METRICS[finding.metric].over
    return "" if finding.n is None else count(finding.n, *names)


def moved(finding: Finding) -> str:
    """Return all of a finding but what it is about: "0.988 -> 0.984, fell .004 [.002, .006], p < .001 (Holm)"."""
    tested = "" if finding.p_value is None and finding.p_holm is None else f", {chance(finding)}"
    of = f" {REFERENCE}" if _is_speed(finding) else ""
    before, after = value(finding, finding.before), value(finding, finding.after)
    return f"{before} -> {after}{of}, {change(finding)}{tested}"


def value(finding: Finding, of: float) -> str:
    """Return `before` or `after` of a finding as people read it; for speed a ratio to the reference workload."""
    return f"{of:.2f}" if _is_speed(finding) else shown(finding.metric, of)


def change(finding: Finding) -> str:
    """Return how a figure moved: "fell .004 [.002, .006]", "rose 50 %"; the interval is of that move."""
    verb = "fell" if finding.difference < 0 else "rose" if finding.difference else "did not move"
    size = _size(finding) if finding.difference else ""
    return f"{verb} {size}" if size else verb


def signed(finding: Finding) -> str:
    """Return the difference, after - before, for a table: "-.004 [-.006, -.002]"; for speed in percent."""
    return _size(finding, "+") or "-"


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


def loser(found: Loser, of: Cause | None = None) -> str:
    """Return how a class or a query moved: "0.990 -> 0.910", and over how many queries where that is more than one."""
    over = "" if found.n == 1 else f", {found.n:,} {'queries' if of is None else of.over[1]}"
    return f"{found.before:.3f} -> {found.after:.3f}{over}"


def failure(result: Result) -> str:
    """Return where and why a cell failed: "train: loss is NaN"."""
    error = " ".join((result.error or "no error was told").split())
    return f"{result.stage or 'before its first stage'}: {error}"


def cells(number: int) -> str:
    """Return "1 cell", "12 cells"."""
    return count(number, "cell", "cells")


def _is_speed(finding: Finding) -> bool:
    return METRICS[finding.metric].judged == "speed"


def _size(finding: Finding, sign: str = "") -> str:
    """Return the difference with its interval, without a `sign` its size; nothing where it has no measure."""
    times = 1.0 if sign or finding.difference >= 0 else -1.0
    if METRICS[finding.metric].unit and not _is_speed(finding):
        return shown(finding.metric, times * finding.difference)
    if _is_speed(finding) and not finding.before:
        return ""
    digits = 3 if abs(finding.difference) >= 0.002 else 5

    def show(size: float) -> str:
        if _is_speed(finding):
            return f"{100 * size / abs(finding.before):{sign}.0f} %"
        words = f"{size:{sign}.{digits}f}"
        return words.replace("0.", ".", 1) if abs(size) < 1 else words

    ends = [show(end) for end in sorted(times * end for end in finding.interval or ())]
    return show(times * finding.difference) + (f" [{', '.join(ends)}]" if ends else "")
