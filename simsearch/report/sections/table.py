"""What the report page says in tables: systems with intervals, the best of them, seeds, counts, copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from simsearch.evaluation.comparison import HEADLINE
from simsearch.evaluation.figures import FIGURES, Place, places
from simsearch.images.sources.left_out import rows
from simsearch.images.tally import in_words
from simsearch.page.html import NONE, count, get, interval, number
from simsearch.report.verdict import shown
from simsearch.report.words import system_words

Report = dict[str, Any]
LEAST = 30  # boundary queries before one system is said to be the best on them
_GROUPS = {
    "recall": "Recall: a same-label image among the first k",
    "error": "Cross-boundary error: other labels among the first k",
    "precision": "Precision of the first k",
    "share": "Share of the label that was found",
    "pairs": "Verification: are two images of one label?",
}


def figure_rows(report: Report) -> list[tuple[str, list[Sequence[Any]]]]:
    """Return the groups (title, rows) of the full table: a row has the figure, and for each system a cell.

    A cell is value, interval, and whether the system is the best.
    """
    groups = []
    for group, title in _GROUPS.items():
        found = [place for figure in FIGURES if figure.group == group for place in places(figure, report["k"])]
        found.sort(key=lambda place: place.scope == "all")  # the boundary first
        rows = [_figure_row(report, place) for place in found]
        rows = [row for row in rows if any(value is not None for value, _, _ in row[1:])]
        groups += [(title, rows)] if rows else []
    return groups


def _figure_row(report: Report, place: Place) -> Sequence[Any]:
    figures = {name: shown(report, name, place) for name in in_order(report["systems"])}
    values, ends = ({name: figure[i] for name, figure in figures.items()} for i in (0, 1))
    few = place.scope == "boundary" and (report.get("boundary_queries") or 0) < LEAST
    best = set() if few else best_systems(values, ends, place.figure.higher_is_better)
    title = place.title if len(place.figure.scopes) == 1 else f"{place.title}, {place.scope}"
    return [title, *((*figures[name], name in best) for name in figures)]


def in_order(systems: Report) -> list[str]:
    """Return the keys of the systems, the one that answers queries first."""
    return sorted(systems, key=lambda name: name != HEADLINE)


def best_systems(values: Report, ends: Report, higher: bool) -> set[str]:
    """Return the systems with the best value when their intervals touch no other system's; else nobody.

    Systems with the same value and interval share the place. Without an interval, or with one of a single point,
    nothing can be told apart.
    """
    sign = 1 if higher else -1
    known = {name: sign * value for name, value in values.items() if value is not None}
    if len(known) < 2 or any(ends[name] is None or ends[name][0] == ends[name][1] for name in known):
        return set()
    best = {name for name, value in known.items() if value == max(known.values())}
    low = min(sign * end for name in best for end in ends[name])
    high = max((sign * end for name in known.keys() - best for end in ends[name]), default=low)
    return best if low > high else set()


def seed_rows(systems: Report) -> tuple[Sequence[str], list[Sequence[Any]]]:
    """Return head and rows of the table of the seeds' means with their intervals and values."""
    names = list(dict.fromkeys(name for figures in systems.values() for name in figures))

    def cell(one: Report | None) -> str | Sequence[str]:
        if one is None:
            return NONE
        values = " ".join(number(value, 4) for value in one["values"])
        return number(one["mean"], 4), interval(one["interval"]), values

    rows: list[Sequence[Any]] = [
        (system_words(system), *map(cell, map(found.get, names))) for system, found in systems.items()
    ]
    return ("system", *names), rows


def counts(report: Report, facts: Report) -> dict[str, int]:
    """Return how many images, queries and labels there are, by their words."""
    found = {**(facts.get("counts") or {}), "gallery": report["gallery"], "queries": report["queries"]}
    further = {
        "boundary queries": report.get("boundary_queries"),
        "labels": report.get("classes"),
        "queries without another image of their label, left out": report.get("unanswerable") or None,
        "groups, kept on one side of the split": get(report, "groups", "groups"),
        "queries whose group is in the gallery too, left out": get(report, "groups", "queries_left_out_for"),
    }
    return found | {words: number for words, number in further.items() if number is not None}


def left_out(report: Report) -> list[tuple[str, int]]:
    """Return what of the source is no picture of the build, in words, and how much of each."""
    return rows(report.get("left_out") or {})


def decided(report: Report) -> list[str]:
    """Return sentences on what decoding had to decide."""
    return in_words(report.get("decoded") or {})


def headlines(near: Report) -> list[tuple[str, str, str]]:
    """Return the figures of the headline with the queries that have copies or near twins, and without them."""
    without = get(near, "by_kind", "hash", "without") if "by_kind" in near else near.get("without")
    before, after = (dict(_leaves(tree or {})) for tree in (near.get("with"), without))
    return [(name, _figure(value), _figure(after.get(name))) for name, value in before.items()]


def _leaves(tree: Report, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, figure) of a headline: "your search, recall@1"."""
    for key, value in tree.items():
        key = system_words(key)
        told = f"{name}@{key}" if key.isdigit() else ", ".join(part for part in (name, key.replace("_", " ")) if part)
        if isinstance(value, dict):
            yield from _leaves(value, told)
        else:
            yield told, value


def _figure(value: Any) -> str:
    return count(value) if isinstance(value, int) else number(value, 4)


def named(systems: Sequence[str]) -> list[str]:
    """Return the names of systems for people."""
    return [system_words(name) for name in systems]
