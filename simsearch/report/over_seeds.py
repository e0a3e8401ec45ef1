"""What several seeds of one recipe show together: seeds are the units, queries of different seeds are never pooled.

A difference is first taken within each seed, between systems that share data, queries and seed; the t interval and the
t test are then over these differences, one a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simsearch.report.summary import render_table
from simsearch.statistics.student import t_test

TEST = "paired t over seeds"

Report = dict[str, Any]


def over_seeds(reports: Sequence[Report], seeds: Sequence[int]) -> Report:
    """Return {"comparisons": further entries of that list, "seeds": means and values of every system's figures}.

    `reports` are those of the single builds, one for each of `seeds`. A figure that a seed lacks is left out.
    """
    return {
        "comparisons": _comparisons(reports),
        "seeds": {
            "count": len(seeds),
            "training_seeds": list(seeds),
            "systems": {system: _figures(reports, system) for system in reports[0]["systems"]},
        },
    }


def render_with_seeds(report: Report) -> str:
    """Return a report as plain text of at most 80 columns; one over several seeds ends with what these show."""
    alone = {**report, "comparisons": [entry for entry in report["comparisons"] if entry["seeds"] == 1]}
    seeds = report.get("seeds")
    if seeds is None:
        return render_table(alone)
    text = render_table(alone)
    several = [entry for entry in report["comparisons"] if entry["seeds"] > 1]
    return "\n".join([text, "", *_figure_lines(seeds), *_comparison_lines(several, seeds["count"])])


def _comparisons(reports: Sequence[Report]) -> list[Report]:
    found = []
    tables = [{_identity(e): e["difference"] for e in report["comparisons"] if e["seeds"] == 1} for report in reports]
    for identity in tables[0]:
        values = [table.get(identity) for table in tables]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            continue
        mean, interval, p_value = t_test(known)
        ends = None if interval is None else [max(-1.0, interval[0]), min(1.0, interval[1])]  # differences of shares
        found.append(
            {
                **dict(identity),
                "n": len(known),
                "difference": mean,
                "interval": ends,
                "p_value": p_value,
                "test": TEST,
                "seeds": len(known),
            }
        )
    return found


def _identity(entry: Report) -> tuple[tuple[str, Any], ...]:
    return tuple((key, entry[key]) for key in ("metric", "k", "scope", "system", "baseline"))


def _figures(reports: Sequence[Report], system: str) -> Report:
    ks = reports[0]["k"]
    first, last = str(ks[0]), str(10 if 10 in ks else ks[-1])
    places = {
        f"recall@{first}": ("recall", first),
        f"error@{last} all": ("cross_boundary_error", last, "all"),
        f"error@{last} boundary": ("cross_boundary_error", last, "boundary"),
    }
    figures = {}
    for name, place in places.items():
        values = [_look_up(report["systems"][system], place) for report in reports]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            mean, interval, _ = t_test(known)
            ends = None if interval is None else [max(0.0, interval[0]), min(1.0, interval[1])]  # they are shares
            figures[name] = {"mean": mean, "interval": ends, "values": known}
    return figures


def _look_up(tree: Any, place: Sequence[str]) -> float | None:
    for key in place:
        tree = tree[key]
    return None if tree is None else float(tree)


def _figure_lines(seeds: Report) -> list[str]:
    """The headline figures of every system, mean and interval over seeds."""
    names = list(seeds["systems"]["recipe/index"])
    if not names:
        return []
    first, last = names[0], names[-1]
    lines = [f"mean over {seeds['count']} seeds [95 % t interval]:", f"{'system':<18}{first:<26}{last}"]
    for system, figures in seeds["systems"].items():
        cells = (_with_interval(figures[name], ".4f") if name in figures else "-" for name in (first, last))
        lines.append("{:<18}{:<26}{}".format(system, *cells))
    return lines


def _comparison_lines(entries: Sequence[Report], count: int) -> list[str]:
    if not entries:
        return []
    lines = ["", f"{entries[0]['system']} less the baseline over {count} seeds ({TEST}, n = {count}):"]
    for entry in entries:
        figure = f"{'recall' if entry['metric'] == 'recall' else 'error'}@{entry['k']} {entry['scope']}"
        shown = _with_interval({"mean": entry["difference"], "interval": entry["interval"]}, "+.4f")
        p_value = "p unknown: no spread" if entry["p_value"] is None else f"p = {entry['p_value']:.4f}"
        lines.append(f"{entry['baseline']:<18}{figure:<20}{shown:<28}{p_value}".rstrip())
    return lines


def _with_interval(figure: Report, form: str) -> str:
    mean = format(figure["mean"], form)
    if figure["interval"] is None:
        return mean
    low, high = (format(end, form) for end in figure["interval"])
    return f"{mean} [{low}, {high}]"
