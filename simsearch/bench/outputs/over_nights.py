"""The section of the trend page with the charts: a group of small charts a metric, one a cell, and their table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simsearch.bench.judging.metrics import METRICS, RATIOS, Key, metric_words, shown
from simsearch.bench.outputs import contents, series, words
from simsearch.bench.records import Cell, Finding, NightFigure, Result, Story
from simsearch.page.html import NONE, more, paragraph, table, text
from simsearch.page.timeline import Frame, Lane, Line, key, line_chart

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


def trends(story: Story, nights: list[series.Drawn]) -> str:
    """Return the charts of every metric over `nights`: those of the tables of cells and of what changed stand open."""
    cells = _chosen(story)
    if not cells:
        return ""
    followed = list(series.lines(nights, cells))
    findings = {(f.cell, f.metric, f.k, f.scope): f for f in story.verdict.findings}
    names = {result.cell.name for _, results in followed for result in results if result is not None}
    marks = series.marks(story, nights)
    places = {lane: [place for place, mark in enumerate(marks) if lane.kind in mark] for lane in LANES}
    numbers = [night.number for night, _ in nights]
    held = story.accepted.number if story.accepted is not None else None
    frame = Frame(
        [words.day(night.started) for night, _ in nights],
        numbers,
        {lane: found for lane, found in places.items() if found},
        numbers.index(held) if held in numbers else None,
    )
    body = _legend(story, frame, len(cells))
    for place, figure in enumerate(series.keys(nights, sorted(names))):
        charts, columns = "", []
        breaks = series.breaks(story, nights, figure[0])
        for number, (cell, results) in enumerate(followed):
            figures = series.figures(results, figure)
            if any(figures):
                columns.append((cell.name, figures))
                found = findings.get((cell.name, *figure))
                chart = line_chart(f"c{place}-{number}", _line(cell, figure, figures, breaks, found), frame)
                charts += f"<figure><figcaption>{_caption(cell, results, found, nights)}</figcaption>{chart}</figure>"
        charted = f'<div class="charts small">{charts}</div>' + _table(figure, columns, nights)
        body += _metric(figure, charted, [f for f in story.verdict.findings if (f.metric, f.k, f.scope) == figure])
    return body


def _metric(figure: Key, body: str, findings: Sequence[Finding]) -> str:
    metric = METRICS[figure[0]]
    better = "higher" if metric.higher_is_better else "lower"
    judged = "" if metric.judged else ", not judged"
    title = f"<h3>{text(metric_words(*figure))}</h3> <small>{better} is better{judged}</small>"
    column = figure[2] == "all" and figure[:2] in [(name, k) for _, name, k in contents.COLUMNS]
    open_ = column or any(f.worse or f.better for f in findings)
    return f"<details{' open' if open_ else ''}><summary>{title}</summary>{body}</details>"


def _chosen(story: Story) -> list[Cell]:
    """Return at most 24 cells in the order of the matrix; of more, those that did not hold are kept first."""
    state = contents.states(story)
    cells = [result.cell for result in contents.results(story)]
    dull = (contents.HELD, contents.NEW, contents.UNPAIRED)
    kept = sorted(cells, key=lambda cell: state[cell.name] in dull)[:MOST_CELLS]
    return [cell for cell in cells if cell in kept]


def _legend(story: Story, frame: Frame, cells: int) -> str:
    nights = words.plural(len(frame.days), "night", "nights")
    told = (
        f"{nights}. A chart is one cell: its value, the band its 95&nbsp;% interval over queries, the broken line the "
        "value of the accepted night, the diamond tonight. A gap is a night that lacks the cell; figures of time part "
        "where the machine changed. Each chart has a scale of its own."
    )
    signs = "".join(f"<li>{key(lane)} {lane.words}</li>" for lane in frame.lanes)
    legend = f'<ul class="legend">{signs}</ul>' if signs else ""
    left = len(contents.results(story)) - cells
    rest = f"{words.cells(left)} more {'is' if left == 1 else 'are'} in the history and its export." if left else ""
    older = series.older(story, len(frame.days))
    if older and rest:
        rest += f" So {'is' if older == 1 else 'are'} {words.plural(older, 'older night', 'older nights')}."
    elif older:
        rest = series.left_out(older)
    return paragraph(told) + legend + (paragraph(rest) if rest else "")


def _caption(cell: Cell, results: Sequence[Result | None], finding: Finding | None, nights: list[series.Drawn]) -> str:
    words_ = text(cell.name)
    if finding is not None and finding.worse:
        words_ = f'<b class="worse">WORSE</b> {words_}: {text(words.change(finding))}'
    older = [(place, r.cell.name) for place, r in enumerate(results) if r is not None and r.cell.name != cell.name]
    if older:  # a setting was changed: the line goes on under another name
        place, name = older[-1]
        words_ += f"<br><small>until night {nights[place][0].number}: {text(name)}</small>"
    return words_


def _table(figure: Key, columns: list[tuple[str, list[NightFigure | None]]], nights: list[series.Drawn]) -> str:
    def cell(found: NightFigure | None) -> str:
        if found is None:
            return NONE
        ends = _interval(found)
        small = ", ".join(shown(figure[0], end, figure[2]) for end in ends or ())
        return shown(figure[0], found.value, figure[2]) + (f" <small>[{small}]</small>" if small else "")

    rows = [
        (f"{night.number}, {text(words.day(night.started))}", *(cell(figures[place]) for _, figures in columns))
        for place, (night, _) in reversed(list(enumerate(nights)))
    ]
    name = metric_words(*figure)
    head = ("night", *(text(cell_name) for cell_name, _ in columns))
    return more(f"{name} as a table", table(f"{name}, the newest night first", head, rows))


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
