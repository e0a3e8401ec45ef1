"""A rehearsed change of model as plain text of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simsearch.bench.judging.metrics import METRICS
from simsearch.bench.outputs import words
from simsearch.bench.outputs.terminal import wrap
from simsearch.bench.records import Finding
from simsearch.bench.rehearsal import METRIC, RULES, LabelChange, Rehearsal, SideChange
from simsearch.console import some
from simsearch.page.html import count
from simsearch.report.verdict import LEAST_QUERIES

LABELS, QUERIES = 10, 5  # that are named


def rehearsal_text(found: Rehearsal) -> str:
    """Return what moved, by figure, by label and by query, and last yes or no."""
    title = f"{found.after.name} in the place of {found.before.name}, over {found.shared:,} queries that both have"
    names = (found.before.name, found.after.name)
    if any(found.left_out):
        only = zip(names, found.left_out, strict=True)
        title += "; left out: " + ", ".join(f"{number:,} only in {name}" for name, number in only if number)
    lines = [*wrap(title, 0, 2), ""]
    for one in found.findings:
        lines += wrap(f"{_word(one):<7} {words.metric(one)} {words.moved(one)}", 0, 8)
    lines += ["", *_labels(found.labels, found.figure), "", *_sides(found)]
    lines += ["", *wrap(_verdict(found), 0, 2)]
    for note in found.notes:
        lines += wrap(f"note: {note}", 0, 2)
    return "\n".join(lines)


def _word(finding: Finding) -> str:
    return "WORSE" if finding.worse else "better" if finding.better else "held"


def _labels(labels: Sequence[LabelChange], figure: str) -> Iterator[str]:
    moved = [one for one in labels if one.moved]
    yield from wrap(f"{figure} by label (for a look: labels are not judged): {len(moved):,} of {len(labels):,} moved")
    for one in moved[:LABELS]:
        ends = f" [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]" if one.interval else ""
        told = f"{one.before:.3f} -> {one.after:.3f}{ends}, {count(one.n, 'query', 'queries')}"
        yield from wrap(f"{one.label} {told}", 2, 4)
    if len(moved) > LABELS:
        yield f"  and {len(moved) - LABELS:,} more (--json has all)"


def _sides(found: Rehearsal) -> Iterator[str]:
    for then, now, changed in (("right", "wrong", found.lost), ("wrong", "right", found.gained)):
        told = count(len(changed), f"query was {then} and is", f"queries were {then} and are")
        yield from wrap(f"{told} {now}{_named(changed)}", 0, 2)


def _named(changed: Sequence[SideChange]) -> str:
    return f": {some([one.image for one in changed], QUERIES)}" if changed else ""


def _verdict(found: Rehearsal) -> str:
    gate = RULES.gate
    worse = [words.metric(one) for one in found.findings if one.worse]
    if worse:
        return f"no: {found.after.name} is worse in {', '.join(worse)}, surely (p < {gate.p:g}) and by what matters"
    head = next(one for one in found.findings if one.metric == METRIC)
    told = f"yes: no figure is worse, surely (p < {gate.p:g} after Holm's correction) and by what matters"
    if head.n is not None and head.n < LEAST_QUERIES:
        return f"{told}; but {count(head.n, 'query', 'queries')} are too few to tell"
    if head.n and (least := _not_ruled_out(head, head.n)) > RULES.least(head.metric):
        told += f"; a loss of up to {least:.3f} in {words.metric(head)} is not ruled out by so few queries"
    return told


def _not_ruled_out(finding: Finding, n: int) -> float:
    """Return the largest loss within the 95 % interval; where no query of n moved, 3 / n.

    That none did leaves out, with 95 %, only what would have moved three of n (Hanley and Lippman-Hand 1983, If nothing
    goes wrong, is everything all right?).
    """
    low, high = finding.interval or (0.0, 0.0)
    if low == high:
        return 3 / n
    return max(METRICS[finding.metric].loss(0.0, end) for end in (low, high))
