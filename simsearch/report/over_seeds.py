"""What several seeds of one recipe show together: seeds are the units, queries of different seeds are never pooled.

A difference is first taken within each seed, between systems that share data, queries and seed; the t interval and the
t test are then over these differences, one a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from simsearch.evaluation.comparison import HEADLINE
from simsearch.evaluation.figures import headline, heads
from simsearch.report.columns import ends, row
from simsearch.report.summary import render_table
from simsearch.report.verdict import comparisons
from simsearch.report.words import system_words
from simsearch.statistics.student import t_test

TEST = "paired t over seeds"
_WIDTHS = (19, 26, 26)

Report = dict[str, Any]


def over_seeds(reports: Sequence[Report], seeds: Sequence[int], apart: int = 1) -> Report:
    """Return {"comparisons": further entries of that list, "seeds": means and values of every system's figures}.

    `reports` are those of the single builds, one for each of `seeds`; their references have the seeds `apart` from it,
    1 in older versions, where the reference of one seed was the scored baseline of the next. A figure that a seed
    lacks is left out.
    """
    return {
        "comparisons": _comparisons(reports),
        "seeds": {
            "count": len(seeds),
            "training_seeds": list(seeds),
            **({"references_apart": apart} if apart > 1 else {}),
            "systems": {system: _figures(reports, system) for system in reports[0]["systems"]},
        },
    }


def render_with_seeds(report: Report) -> str:
    """Return a report as plain text of at most 80 columns; one over several seeds ends with what these show."""
    alone = {**report, "comparisons": [entry for entry in report["comparisons"] if entry["seeds"] == 1]}
    if report.get("seeds") is None:
        return render_table(alone)
    return "\n".join([render_table(alone), "", *_figure_lines(report), *_comparison_lines(report)])


def _comparisons(reports: Sequence[Report]) -> list[Report]:
    found = []
    tables = [
        {(entry.place, entry.system, entry.baseline): entry for entry in comparisons(report) if entry.seeds == 1}
        for report in reports
    ]
    for pair, first in tables[0].items():
        values = [table[pair].difference for table in tables if pair in table]
        if len(values) < len(tables):
            continue
        mean, interval, p_value = t_test(values)
        ends = None if interval is None else [max(-1.0, interval[0]), min(1.0, interval[1])]  # differences of shares
        several = replace(
            first, n=len(values), difference=mean, interval=ends, p_value=p_value, test=TEST, seeds=len(values)
        )
        found.append(asdict(several))
    return found


def _figures(reports: Sequence[Report], system: str) -> Report:
    figures = {}
    for place in (place for place in heads(reports[0]["k"]) if place.k):
        values = [place.of(report["systems"][system]) for report in reports]
        if None not in values:
            mean, interval, _ = t_test(values)
            ends = None if interval is None else [max(0.0, interval[0]), min(1.0, interval[1])]  # they are shares
            figures[place.scoped] = {"mean": mean, "interval": ends, "values": values}
    return figures


def _figure_lines(report: Report) -> list[str]:
    """Return the headline figures of every system, mean and interval over seeds."""
    seeds, (recall, error) = report["seeds"], headline(report["k"])
    known = seeds["systems"][HEADLINE]
    if not known:
        return []
    names = (recall.scoped, (error if error.scoped in known else error._replace(scope="all")).scoped)
    lines = [f"mean over {seeds['count']} seeds [95 % t interval]:", row(_WIDTHS, "system", *names)]
    for system, figures in seeds["systems"].items():
        cells = (_with_interval(**figures[name]) if name in figures else "-" for name in names)
        lines.append(row(_WIDTHS, system_words(system), *cells))
    return lines


def _comparison_lines(report: Report) -> list[str]:
    entries = [entry for entry in comparisons(report) if entry.seeds > 1]
    if not entries:
        return []
    count = report["seeds"]["count"]
    lines = ["", f"{system_words(entries[0].system)} less the baseline over {count} seeds ({TEST}, n = {count}):"]
    for entry in entries:
        shown = _with_interval(entry.difference, entry.interval, form="+.4f")
        p_value = "no spread" if entry.p_value is None else f"p = {entry.p_value:.4f}"
        place = f"{entry.place.title} {entry.scope}"
        lines.append(row((19, 20, 28, 10), system_words(entry.baseline), place, shown, p_value))
    return lines


def _with_interval(mean: float, interval: Sequence[float] | None, values: object = None, *, form: str = ".4f") -> str:
    return f"{mean:{form}} {ends(interval, form)}".rstrip()
