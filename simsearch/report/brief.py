"""What a build says at its end, in a few lines that anyone can read: what was made, how good it is, where it errs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simsearch.evaluation.comparison import HEADLINE
from simsearch.evaluation.figures import headline, headline_k
from simsearch.report.columns import p_words
from simsearch.report.head import head_words
from simsearch.report.summary import collapse_words, optimistic_words, unmeasured_words
from simsearch.report.verdict import TOO_FEW, forced_words, shown, too_few, verdict
from simsearch.report.words import system_words

Report = Mapping[str, Any]

OFTEN = 0.2  # of a label's queries: less often is not worth a line
LEAST_CONFUSED = 2  # queries


def brief(report: Report) -> list[str]:
    """Return the lines: recall in words, what a head brought, the two labels most confused, and the boundary.

    One line without figures.
    """
    if unmeasured := unmeasured_words(report):
        return [*collapse_words(report), unmeasured]
    head = [words] if (words := head_words(report)) else []
    return [*collapse_words(report), _recall(report), *head, *_confused(report), *_boundary(report)]


def _recall(report: Report) -> str:
    place = headline(report["k"])[0]
    share, interval = shown(report, HEADLINE, place)
    queries = report["queries"] - report["unanswerable"]
    low, high = interval or (share, share)
    asked = "1 query" if queries == 1 else f"{queries:,} queries"
    figure = f"{place.title} {share:.3f} [{low:.3f}, {high:.3f}], {asked}{optimistic_words(report)}"
    if few := too_few(queries, interval):
        return f"How many queries find their label: {few} ({figure})"
    where = "first" if place.k == 1 else f"among the first {place.k}"
    return f"Of 100 queries about {100 * (share or 0):.0f} find their label {where} ({figure})"


def _confused(report: Report) -> list[str]:
    leaks = report.get("leaks") or []
    if not leaks:
        return [f"No label is confused with another among the first {headline_k(report['k'])}"]
    counts = {entry["label"]: entry["queries"] for entry in report.get("per_class") or []}
    often = []
    for leak in leaks:
        of = leak.get("of") or counts.get(leak["label"])  # an older report does not say
        if of and leak["queries"] >= OFTEN * of:
            often.append((leak, of))
    if not often:
        return [f"No label is often confused with another (none in {OFTEN:.0%} of its queries)".replace("%", " %")]
    leak, of = max(often, key=lambda found: found[0]["queries"])
    if leak["queries"] < LEAST_CONFUSED:
        return [f"Most confused labels: {TOO_FEW}, no pair of them in {LEAST_CONFUSED} queries"]
    first = leak.get("k", headline_k(report["k"]))
    among = "as the first hit" if first == 1 else f"among the first {first}"
    return [f"Most confused: {leak['label']} with {leak['other']} ({among} of {leak['queries']:,} of {of:,} queries)"]


def _boundary(report: Report) -> list[str]:
    found = verdict(report)
    if found is None:
        return []
    entry = found.comparison
    start = f"Hardest tenth of the queries, other labels among the first {entry.k:.0f}:"
    if entry.seeds == 1 and (few := too_few(entry.n, entry.interval, seen=entry.seen)):
        return [f"{start} {few}"]
    if found.after is None or found.before is None:
        return []
    figures = f"{_percent(found.after)} against {_percent(found.before)} of '{system_words(entry.baseline)}'"
    word = {"better": "fewer", "worse": "MORE"}.get(entry.word, "no difference seen")
    p_value = "" if entry.p_value is None else p_words(entry.p_value)
    seeds = f"{entry.seeds} seeds" if entry.seeds > 1 else ""
    known = ", ".join(part for part in (p_value, seeds) if part)
    forced = f"; {words}" if (words := forced_words(report)) else ""
    alone = f"; normalization alone {found.alone} this recipe" if found.alone and entry.seen else ""
    return [f"{start} {figures}, {word}{f' ({known})' if known else ''}{forced}{alone}"]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
