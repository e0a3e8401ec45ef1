"""The section of the report page with all systems: the full table with intervals, comparisons, placebo, few-shot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simsearch.evaluation.figures import FIGURES, Place, places
from simsearch.evaluation.paired import Comparison
from simsearch.page.html import (
    NONE,
    count,
    interval,
    number,
    p_value,
    paragraph,
    percent,
    table,
    text,
)
from simsearch.report.verdict import comparisons, shown

Report = dict[str, Any]
_LEAST = 30  # boundary queries before one system is said to be the best on them
_GROUPS = {
    "recall": "Recall: a same-label image among the first k",
    "error": "Cross-boundary error: other labels among the first k",
    "precision": "Precision of the first k",
    "share": "Share of the label that was found",
    "pairs": "Verification: are two images of one label?",
}


def systems(report: Report) -> str:
    """Return the full table with intervals, the comparisons, the placebo and few-shot accuracy; "" without labels."""
    names = list(report["systems"])
    rows: list[Sequence[str]] = []
    for group, title in _GROUPS.items():
        found = [place for figure in FIGURES if figure.group == group for place in places(figure, report["k"])]
        found.sort(key=lambda place: place.scope == "all")  # the boundary first
        lines = [_figure_row(report, names, place) for place in found]
        lines = [line for line in lines if any(cell != NONE for cell in line[1:])]
        if lines:
            rows += [(title,), *lines]
    if not rows:
        return ""
    words = (
        "95&nbsp;% intervals over queries stand beneath the figures. <b class=best>Best</b> is said only where the "
        "interval of the best system touches that of no other, with no interval of a single point and with at least "
        f"{_LEAST} queries at the boundary."
    )
    body = paragraph(words) + table("All systems", ("figure", *(text(name) for name in names)), rows)
    return body + _comparisons(report) + _over_seeds(report) + _placebo(report) + _few_shot(report)


def _figure_row(report: Report, names: Sequence[str], place: Place) -> list[str]:
    values = {name: shown(report, name, place)[0] for name in names}
    ends = {name: shown(report, name, place)[1] for name in names}
    few = place.scope == "boundary" and (report.get("boundary_queries") or 0) < _LEAST
    best = set() if few else best_systems(values, ends, place.figure.higher_is_better)
    title = place.title if len(place.figure.scopes) == 1 else f"{place.title}, {place.scope}"
    cells = [text(title)]
    for name in names:
        if values[name] is None:
            cells.append(NONE)
            continue
        mark = ' <b class="best">best</b>' if name in best else ""
        small = f"<br><small>{interval(ends[name])}</small>" if ends[name] is not None else ""
        cells.append(f"{number(values[name], 4)}{mark}{small}")
    return cells


def best_systems(values: Report, ends: Report, higher: bool) -> set[str]:
    """Return the systems with the best value when their intervals touch no other system's; else nobody.

    Systems with the same value and interval share the place. Without an interval, or with one of a single point,
    nothing can be told apart.
    """
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) < 2 or any(ends[name] is None or ends[name][0] == ends[name][1] for name in known):
        return set()
    top = (max if higher else min)(known.values())
    best = {name for name, value in known.items() if value == top}
    others = known.keys() - best
    if not others:
        return set()
    apart = (
        min(ends[name][0] for name in best) > max(ends[name][1] for name in others)
        if higher
        else max(ends[name][1] for name in best) < min(ends[name][0] for name in others)
    )
    return best if apart else set()


def _comparisons(report: Report) -> str:
    entries = comparisons(report)
    body = _compared([entry for entry in entries if entry.seeds == 1], "Paired comparisons, query by query")
    body += _compared([entry for entry in entries if entry.seeds > 1], "Paired comparisons, seed by seed")
    return f"<h3>Comparisons</h3>{body}" if body else ""


def _compared(entries: Sequence[Comparison], caption: str) -> str:
    rows = [
        (
            f"{text(entry.system)} against {text(entry.baseline)}",
            f"{text(entry.place.title)}, {text(entry.scope)}",
            f"{entry.difference:+.4f}<br><small>{interval(entry.interval)}</small>",
            p_value(entry.p_value),
            count(entry.n),
            count(entry.seeds),
            f"{entry.word}<br><small>{text(entry.test)}</small>",
        )
        for entry in entries
    ]
    if not rows:
        return ""
    head = ("systems", "figure", "difference", "p", "n", "seeds", "in words")
    return table(caption, head, rows, words=(0, 1, 6))


def _over_seeds(report: Report) -> str:
    """Return the means of the seeds with their intervals and values; nothing where there is one seed."""
    found = report.get("seeds")
    if not found:
        return ""
    names = list(dict.fromkeys(name for figures in found["systems"].values() for name in figures))
    rows = []
    for system, figures in found["systems"].items():
        cells = [text(system)]
        for name in names:
            figure = figures.get(name)
            if figure is None:
                cells.append(NONE)
                continue
            ends, values = interval(figure["interval"]), " ".join(number(value, 4) for value in figure["values"])
            cells.append(f"{number(figure['mean'], 4)}<br><small>{ends}</small><br><small>{values}</small>")
        rows.append(cells)
    seeds = ", ".join(text(seed) for seed in found["training_seeds"])
    words = (
        f"Means over {found['count']} seeds ({seeds}), 95&nbsp;% t intervals over seeds, and the value of each seed."
    )
    return "<h3>Over seeds</h3>" + paragraph(words) + table("Over seeds", ("system", *map(text, names)), rows)


def _placebo(report: Report) -> str:
    found = report.get("placebo")
    if not found or found.get("self") is None:
        return ""
    return "<h3>Placebo</h3>" + paragraph(
        f"Which queries lie at the boundary is decided by a reference that is never scored. {text(found['system'])} "
        f"has error@{found['k']} {percent(found['reference'])} on those, and {percent(found['self'])} on the tenth "
        "that it would choose itself: the difference is what choosing by a scored system's own margins would give away."
    )


def _few_shot(report: Report) -> str:
    found = report.get("few_shot")
    if not found:
        return ""
    return "<h3>Few-shot accuracy</h3>" + paragraph(
        f"{found['ways']}-way {found['shots']}-shot on labels that were not trained on: {percent(found['accuracy'])} "
        f"{interval(found['interval'], percent)} over {count(found['episodes'], 'episode', 'episodes')}."
    )
