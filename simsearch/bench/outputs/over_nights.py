"""The charts of the trend page: a group of small charts a metric, one a cell, and their table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from simsearch.bench.judging.metrics import METRICS, RATIOS, Key, metric_words, shown
from simsearch.bench.outputs import contents, series, words
from simsearch.bench.records import Cell, Finding, NightFigure, Result, Story
from simsearch.page.html import NONE
from simsearch.page.timeline import Frame, Lane, Line, line_chart

MOST_CELLS = 24
LEAST_SPAN = 0.01  # of shares: a line that hardly moves is drawn as one that hardly moves
LANES = (
    Lane("accepted", "m0-4l4 4l-4 4l-4-4z", "a night was accepted"),
    Lane("versions", "m0-4l4 7h-8z", "a library's version changed"),
    Lane("machine", "m-3-3h6v6h-6z", "the machine changed"),
    Lane("matrix", "m-3.5 0h7m-3.5-3.5v7", "the matrix file changed"),
    # Not drawn through the charts: code changes nearly every night.
    Lane("code", "m0-3.5v7", "simsearch's code or the commit changed", through=False),
)
"""What is marked below the charts, each kind in a lane and with a shape of its own."""


@dataclass(frozen=True)
class Metric:
    """What is shown of a metric: charts (cell, how it is worse, its earlier name and until when, chart), and a table.

    A row of the table is a night and for each of `cells` its value with its interval in words.
    """

    name: str
    about: str
    stands_open: bool
    charts: Sequence[tuple[str, str, tuple[int, str] | None, Markup]]
    cells: list[str]
    rows: list[Sequence[str | tuple[str, str]]]


def chosen(story: Story) -> list[Cell]:
    """Return at most 24 cells in the order of the matrix; of more, those that did not hold are kept first."""
    state = contents.states(story)
    cells = [result.cell for result in contents.results(story)]
    dull = (contents.HELD, contents.NEW, contents.UNPAIRED)
    kept = sorted(cells, key=lambda cell: state[cell.name] in dull)[:MOST_CELLS]
    return [cell for cell in cells if cell in kept]


def frame(story: Story, nights: list[series.Drawn]) -> Frame:
    """Return what the charts share."""
    marks = series.marks(story, nights)
    places = {lane: [place for place, mark in enumerate(marks) if lane.kind in mark] for lane in LANES}
    numbers = [night.number for night, _ in nights]
    held = story.accepted.number if story.accepted is not None else None
    return Frame(
        [words.day(night.started) for night, _ in nights],
        numbers,
        {lane: found for lane, found in places.items() if found},
        numbers.index(held) if held in numbers else None,
    )


def metrics(story: Story, nights: list[series.Drawn], cells: list[Cell], frame: Frame) -> Iterator[Metric]:
    """Yield the charts of every metric over `nights`: those of the tables of cells and of what changed stand open."""
    followed = list(series.lines(nights, cells))
    findings = {(f.cell, f.metric, f.k, f.scope): f for f in story.verdict.findings}
    names = {result.cell.name for _, results in followed for result in results if result is not None}
    for place, key in enumerate(series.keys(nights, sorted(names))):
        charts, columns = [], {}
        breaks = series.breaks(story, nights, key[0])
        for number, (cell, results) in enumerate(followed):
            figures = series.figures(results, key)
            if any(figures):
                found = findings.get((cell.name, *key))
                columns[cell.name] = figures
                change = words.change(found) if found is not None and found.worse else ""
                chart = line_chart(f"c{place}-{number}", _line(cell, key, figures, breaks, found), frame)
                charts.append((cell.name, change, _earlier(cell, results, nights), chart))
        metric = METRICS[key[0]]
        better = "higher" if metric.higher_is_better else "lower"
        column = key[2] == "all" and key[:2] in [(name, k) for _, name, k in contents.COLUMNS]
        yield Metric(
            metric_words(*key),
            f"{better} is better{'' if metric.judged else ', not judged'}",
            column or any((f.worse or f.better) and (f.metric, f.k, f.scope) == key for f in story.verdict.findings),
            charts,
            list(columns),
            [
                (f"{frame.numbers[place]}, {frame.days[place]}", *(_value(key, one[place]) for one in columns.values()))
                for place in reversed(range(len(nights)))
            ],
        )


def _earlier(cell: Cell, results: Sequence[Result | None], nights: list[series.Drawn]) -> tuple[int, str] | None:
    """Return until which night a line had which other name: a setting was changed."""
    older = [(place, r.cell.name) for place, r in enumerate(results) if r is not None and r.cell.name != cell.name]
    return (nights[older[-1][0]][0].number, older[-1][1]) if older else None


def _value(key: Key, found: NightFigure | None) -> tuple[str, str]:
    if found is None:
        return NONE, ""
    name, _, scope = key
    return shown(name, found.value, scope), ", ".join(shown(name, end, scope) for end in _interval(found) or ())


def _line(
    cell: Cell, figure: Key, figures: list[NightFigure | None], breaks: frozenset[int], finding: Finding | None
) -> Line:
    name, _, scope = figure
    return Line(
        f"{metric_words(*figure)}, {cell.name}",
        [None if found is None else (found.value, _interval(found)) for found in figures],
        breaks,
        shown=lambda value: shown(name, value, scope),
        level=lambda value: _level(figure, value),
        least=None if METRICS[name].unit else LEAST_SPAN,
        word="" if finding is None else "worse" if finding.worse else "better" if finding.better else "",
    )


def _interval(figure: NightFigure) -> tuple[float, float] | None:
    """Return the interval of a figure, None where it lacks one or an end of it is no number."""
    if figure.low is None or figure.high is None:
        return None
    return (figure.low, figure.high) if math.isfinite(figure.low + figure.high) else None


def _level(figure: Key, value: float) -> str:
    unit = METRICS[figure[0]].unit
    if figure[2] in RATIOS:
        return f"{value:.3g}"
    if unit == "B":
        return f"{value / 1e6:,.4g} MB"
    if unit == "1/s":
        return f"{value / 1000:,.3g}k/s" if value >= 10_000 else f"{value:,.0f}/s"
    return f"{value:.3g} {unit}" if unit else f"{value:.3f}"
