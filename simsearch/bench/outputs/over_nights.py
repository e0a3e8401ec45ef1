"""The charts of the trend page: a group of small charts a metric, one a cell, and their table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from simsearch.bench.judging.metrics import METRICS, RATIOS, Key, metric_words, shown
from simsearch.bench.outputs import contents, series
from simsearch.bench.records import Cell, Finding, NightFigure, Result, Story
from simsearch.page.charts import Frame, Lane, Line, line_chart
from simsearch.page.dates import short_date
from simsearch.page.html import NONE

MOST_CELLS = 24
LEAST_SPAN = 0.01  # of shares: a line that hardly moves is drawn as one that hardly moves
Followed = tuple[Cell, list[Result | None]]
LANES = (
    Lane("accepted", "m0-4l4 4l-4 4l-4-4z", "a night was accepted"),
    Lane("versions", "m0-4l4 7h-8z", "a library's version changed"),
    Lane("machine", "m-3-3h6v6h-6z", "the machine changed"),
    Lane("matrix", "m-3.5 0h7m-3.5-3.5v7", "the matrix file changed"),
    # Not drawn through the charts: code changes nearly every night.
    Lane("code", "m0-3.5v7", "simsearch's code or the commit changed", through=False),
)
"""What is marked below the charts, each kind in a lane and with a shape of its own."""


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
    years = len({night.started[:4] for night, _ in nights}) > 1
    return Frame(
        [short_date(night.started, year=years) for night, _ in nights],
        numbers,
        {lane: found for lane, found in places.items() if found},
        numbers.index(held) if held in numbers else None,
    )


def followed(nights: list[series.Drawn], cells: list[Cell]) -> tuple[list[Followed], list[Key]]:
    """Return each cell with its results over the nights, and the figures that they have."""
    found = list(series.lines(nights, cells))
    names = {result.cell.name for _, results in found for result in results if result is not None}
    return found, series.keys(nights, sorted(names))


def columns(cells: list[Followed], key: Key) -> list[tuple[Cell, list[Result | None], list[NightFigure | None]]]:
    """Return the cells that have a figure, each with its results and the figure over the nights."""
    found = ((cell, results, series.figures(results, key)) for cell, results in cells)
    return [column for column in found if any(column[-1])]


def stands_open(key: Key, findings: Sequence[Finding]) -> bool:
    """Return whether a figure is shown unasked: those of the tables of cells, and what changed."""
    column = key[2] == "all" and key[:2] in [(name, k) for _, name, k in (*contents.COLUMNS, *contents.OF_DEFECTS)]
    return column or any((f.worse or f.better) and (f.metric, f.k, f.scope) == key for f in findings)


def finding(story: Story, cell: Cell, key: Key) -> Finding | None:
    """Return what the gate found about a figure of a cell."""
    alike = (f for f in story.verdict.findings if (f.cell, f.metric, f.k, f.scope) == (cell.name, *key))
    return next(alike, None)


def earlier(cell: Cell, results: Sequence[Result | None]) -> tuple[int, str] | None:
    """Return the last place with another name of the cell, and that name: a setting was changed after it."""
    older = [(place, r.cell.name) for place, r in enumerate(results) if r is not None and r.cell.name != cell.name]
    return older[-1] if older else None


def value(key: Key, found: NightFigure | None) -> tuple[str, str]:
    """Return a figure and its interval in words."""
    if found is None:
        return NONE, ""
    name, _, scope = key
    return shown(name, found.value, scope), ", ".join(shown(name, end, scope) for end in _interval(found) or ())


def chart(
    identity: str,
    cell: Cell,
    key: Key,
    figures: list[NightFigure | None],
    breaks: frozenset[int],
    finding: Finding | None,
    frame: Frame,
) -> Markup:
    """Return the chart of a figure of a cell; the finding about it says whether it is worse."""
    name, _, scope = key
    line = Line(
        f"{metric_words(*key)}, {cell.name}",
        [None if found is None else (found.value, _interval(found)) for found in figures],
        breaks,
        shown=lambda value: shown(name, value, scope),
        level=lambda value: _level(key, value),
        least=None if METRICS[name].unit else LEAST_SPAN,
        word="" if finding is None else "worse" if finding.worse else "better" if finding.better else "",
    )
    return line_chart(identity, line, frame)


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
