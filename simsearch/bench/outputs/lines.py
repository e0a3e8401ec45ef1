"""The section of the trend page with the charts: a group of small charts a metric, one a cell, and their table."""

from __future__ import annotations

from collections.abc import Sequence

from simsearch.bench.judging.metrics import METRICS, metric_words, shown
from simsearch.bench.outputs import series, words
from simsearch.bench.outputs.charts import KINDS, Frame, interval, key, line_chart
from simsearch.bench.records import Cell, Finding, Result, Story
from simsearch.page.html import NONE, more, paragraph, table, text

MOST_CELLS = 24
_OPEN = {(metric, k) for _, metric, k in words.COLUMNS}
_SIGNS = {
    "accepted": "a night was accepted",
    "versions": "a library's version changed",
    "machine": "the machine changed",
    "matrix": "the matrix file changed",
    "code": "simsearch's code or the commit changed",
}

Followed = list[tuple[Cell, list[Result | None]]]


def trends(story: Story, nights: list[series.Drawn]) -> str:
    """Return the charts of every metric over `nights`: those of the tables of cells and of what changed stand open."""
    cells = _chosen(story)
    if not cells:
        return ""
    followed = list(series.lines(nights, cells))
    findings = {(f.cell, f.metric, f.k, f.scope): f for f in story.verdict.findings}
    names = {result.cell.name for _, results in followed for result in results if result is not None}
    marks = series.marks(story, nights)
    places = {kind: [place for place, mark in enumerate(marks) if kind in mark] for kind in KINDS}
    frame = Frame([words.day(night.started) for night, _ in nights], [night.number for night, _ in nights], places)
    accepted = next(
        (p for p, (n, _) in enumerate(nights) if story.accepted and n.number == story.accepted.number), None
    )
    body = _legend(story, frame, len(cells))
    for place, figure in enumerate(series.keys(nights, sorted(names))):
        charts, lines = "", []
        breaks = series.breaks(story, nights, figure[0])
        for number, (cell, results) in enumerate(followed):
            line = series.line(cell, results, figure, breaks)
            if any(line.figures):
                lines.append(line)
                found = findings.get((cell.name, *figure))
                chart = line_chart(f"c{place}-{number}", line, frame, _word(found), accepted)
                charts += f"<figure><figcaption>{_caption(cell, results, found, nights)}</figcaption>{chart}</figure>"
        charted = f'<div class="charts small">{charts}</div>' + _table(figure, lines, nights)
        body += _metric(figure, charted, [f for f in story.verdict.findings if (f.metric, f.k, f.scope) == figure])
    return body


def _metric(figure: series.Key, body: str, findings: Sequence[Finding]) -> str:
    metric = METRICS[figure[0]]
    better = "higher" if metric.higher_is_better else "lower"
    judged = "" if metric.judged else ", not judged"
    title = f"<h3>{text(metric_words(*figure))}</h3> <small>{better} is better{judged}</small>"
    open_ = (figure[:2] in _OPEN and figure[2] == "all") or any(f.worse or f.better for f in findings)
    return f"<details{' open' if open_ else ''}><summary>{title}</summary>{body}</details>"


def _chosen(story: Story) -> list[Cell]:
    """Return at most 24 cells in the order of the matrix; of more, those that did not hold are kept first."""
    state = words.states(story)
    cells = [result.cell for result in words.results(story)]
    dull = (words.HELD, words.NEW, words.UNPAIRED)
    kept = sorted(cells, key=lambda cell: state[cell.name] in dull)[:MOST_CELLS]
    return [cell for cell in cells if cell in kept]


def _legend(story: Story, frame: Frame, cells: int) -> str:
    nights = words.plural(len(frame.days), "night", "nights")
    told = (
        f"{nights}. A chart is one cell: its value, the band its 95&nbsp;% interval over queries, the broken line the "
        "value of the accepted night, the diamond tonight. A gap is a night that lacks the cell; figures of time part "
        "where the machine changed. Each chart has a scale of its own."
    )
    signs = "".join(f"<li>{key(kind)} {_SIGNS[kind]}</li>" for kind in frame.kinds)
    legend = f'<ul class="legend">{signs}</ul>' if signs else ""
    left = len(words.results(story)) - cells
    rest = f"{words.cells(left)} more {'is' if left == 1 else 'are'} in the history and its export." if left else ""
    older = len(series.nights(story)) - len(frame.days)
    if older:
        rest += (
            f" So {'is' if older == 1 else 'are'} {words.plural(older, 'older night', 'older nights')}."
            if rest
            else (f"{words.plural(older, 'older night is', 'older nights are')} in the history and its export.")
        )
    return paragraph(told) + legend + (paragraph(rest) if rest else "")


def _word(finding: Finding | None) -> str:
    if finding is None:
        return ""
    return "worse" if finding.worse else "better" if finding.better else ""


def _caption(cell: Cell, results: Sequence[Result | None], finding: Finding | None, nights: list[series.Drawn]) -> str:
    words_ = text(cell.name)
    if finding is not None and finding.worse:
        words_ = f'<b class="worse">WORSE</b> {words_}: {text(words.change(finding))}'
    older = [(place, r.cell.name) for place, r in enumerate(results) if r is not None and r.cell.name != cell.name]
    if older:  # a setting was changed: the line goes on under another name
        place, name = older[-1]
        words_ += f"<br><small>until night {nights[place][0].number}: {text(name)}</small>"
    return words_


def _table(figure: series.Key, lines: Sequence[series.Line], nights: list[series.Drawn]) -> str:
    rows = []
    for place, (night, _) in reversed(list(enumerate(nights))):
        cells = []
        for line in lines:
            found = line.figures[place]
            ends = interval(found)
            small = (
                ""
                if ends is None
                else f" <small>[{', '.join(shown(figure[0], end, figure[2]) for end in ends)}]</small>"
            )
            cells.append(NONE if found is None else f"{shown(figure[0], found.value, figure[2])}{small}")
        rows.append((f"{night.number}, {text(words.day(night.started))}", *cells))
    name = metric_words(*figure)
    head = ("night", *(text(line.cell) for line in lines))
    return more(f"{name} as a table", table(f"{name}, the newest night first", head, rows))
