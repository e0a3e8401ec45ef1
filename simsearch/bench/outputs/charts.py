"""The chart of one metric of one cell over nights, as inline SVG: line, interval band, gaps, and marks below it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simsearch.bench.judging.metrics import METRICS, RATIOS, metric_words, shown
from simsearch.bench.outputs.series import Line
from simsearch.bench.records import Figure
from simsearch.page.html import text

KINDS = ("accepted", "versions", "machine", "matrix", "code")
"""What is marked below a chart, each kind in a lane and with a shape of its own."""

_SHAPES = {
    "accepted": "m0-4l4 4l-4 4l-4-4z",
    "versions": "m0-4l4 7h-8z",
    "machine": "m-3-3h6v6h-6z",
    "matrix": "m-3.5 0h7m-3.5-3.5v7",
    "code": "m0-3.5v7",
}
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 320, 58, 14, 18, 104
_LANE = 13
_LEAST_SPAN = 0.01  # of shares: a line that hardly moves is drawn as one that hardly moves
_MANY = 30  # nights from which on a dot a night would be a smear
_DASHED = ("accepted", "versions", "machine", "matrix")  # marked through the chart; code changes nearly every night


@dataclass(frozen=True)
class Frame:
    """What the charts of a page share: their nights' dates and numbers, and where something of a kind is marked."""

    days: Sequence[str]
    numbers: Sequence[int]
    places: Mapping[str, Sequence[int]]

    @property
    def kinds(self) -> list[str]:
        """The kinds that are marked anywhere."""
        return [kind for kind in KINDS if self.places.get(kind)]


def line_chart(identity: str, line: Line, frame: Frame, word: str = "", accepted: int | None = None) -> str:
    """Return the chart as SVG; `word` ("worse") stands at the last point, `accepted` is the accepted night's place.

    A night without a value leaves a gap; a value between two gaps is a dot.
    """
    values = [None if figure is None else figure.value for figure in line.figures]
    found = [value for value in values if value is not None]
    low, high = _range(line)
    last = max(len(values) - 1, 1)

    def across(place: float) -> float:
        return _LEFT + (_WIDTH - _RIGHT - _LEFT) * (place / last if len(values) > 1 else 0.5)

    def down(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - low) / (high - low)

    body = ""
    for level in (low, (low + high) / 2, high):
        body += f'<path class="grid" d="M{_LEFT} {down(level):.0f}H{_WIDTH - _RIGHT}"/>'
        body += f'<text x="{_LEFT - 5}" y="{down(level) + 4:.0f}" text-anchor="end">{text(_level(line, level))}</text>'
    height, lanes = _lanes(frame, across)
    body += lanes
    reference = values[accepted] if accepted is not None else None
    if reference is not None:
        y = down(reference)
        held = f"M{across(accepted or 0):.1f} {y:.1f}H{_WIDTH - _RIGHT}"
        body += f'<path class="held" d="{held}"><title>as accepted</title></path>'
    for run in _runs(line):
        body += _band([(across(p), line.figures[p]) for p in run], down)
        places = [(across(place), down(values[place] or 0.0)) for place in run]
        if len(places) > 1:
            body += f'<path class="line c0" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>'
        if len(places) == 1 or len(values) <= _MANY:
            body += f'<path class="dot c0" d="{"".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)}"/>'
    if values[-1] is not None:
        x, y = across(len(values) - 1), down(values[-1])
        kind = f"now {word}" if word else "now"
        body += f'<path class="{kind}" d="M{x:.1f} {y:.1f}m0-5l5 5l-5 5l-5-5z"/>'
        if word:
            above = y - 9 if y > _TOP + 14 else y + 19
            body += f'<text class="word {word}" x="{x + 6:.0f}" y="{above:.0f}" text-anchor="end">{text(word)}</text>'
    ends = [(0, "start"), (len(values) - 1, "end")] if len(values) > 1 else [(0, "middle")]
    for place, anchor in ends:
        x = across(place) + (_RIGHT - 2 if anchor == "end" else 0)
        body += f'<text x="{x:.0f}" y="{height - 4}" text-anchor="{anchor}">{text(frame.days[place])}</text>'
    title = f"{metric_words(*line.key)}, {line.cell}"
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="{identity}-t {identity}-d">'
        f'<title id="{identity}-t">{text(title)}</title>'
        f'<desc id="{identity}-d">{text(_described(line, frame, found, word))}</desc>{body}</svg>'
    )


def key(kind: str) -> str:
    """Return the sign of a kind of mark for a legend."""
    return (
        f'<svg class="key" viewBox="-8 -8 16 16" aria-hidden="true"><path class="event" d="M0 0{_SHAPES[kind]}"/></svg>'
    )


def interval(figure: Figure | None) -> tuple[float, float] | None:
    """Return the interval of a figure, None where it lacks one or an end of it is no number."""
    if figure is None or figure.low is None or figure.high is None:
        return None
    return (figure.low, figure.high) if math.isfinite(figure.low + figure.high) else None


def _range(line: Line) -> tuple[float, float]:
    """Return the ends of the axis: all values and intervals, not drawn larger than what matters."""
    figures = [figure for figure in line.figures if figure is not None]
    known = [value for figure in figures for value in (figure.value, *(interval(figure) or ()))]
    low, high = min(known, default=0.0), max(known, default=1.0)
    metric = METRICS[line.key[0]]
    least = 0.1 * max(abs(low), abs(high)) or 1.0
    if not metric.unit:
        least = _LEAST_SPAN
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
        if not metric.unit and high > 1 >= middle:
            low, high = 1 - least, 1.0
        elif low < 0 <= middle:
            low, high = 0.0, least
    return low, high


def _level(line: Line, value: float) -> str:
    unit = METRICS[line.key[0]].unit
    if line.key[2] in RATIOS:
        return f"{value:.3g}"
    if unit == "B":
        return f"{value / 1e6:,.4g} MB"
    if unit == "1/s":
        return f"{value / 1000:,.3g}k/s" if value >= 10_000 else f"{value:,.0f}/s"
    if unit:
        return f"{value:.3g} {unit}"
    return f"{value:.3f}"


def _runs(line: Line) -> list[list[int]]:
    """Return the places of the values, parted where a night lacks one and at breaks."""
    runs: list[list[int]] = []
    for place, figure in enumerate(line.figures):
        if figure is None:
            continue
        if not runs or runs[-1][-1] != place - 1 or place in line.breaks:
            runs.append([])
        runs[-1].append(place)
    return runs


def _band(run: Sequence[tuple[float, Figure | None]], down: Callable[[float], float]) -> str:
    ends = []
    for x, figure in run:
        ends_here = interval(figure)
        if ends_here is None:
            return ""
        ends.append((x, down(ends_here[0]), down(ends_here[1])))
    if len(ends) == 1:
        x, low, high = ends[0]
        ends = [(x - 2, low, high), (x + 2, low, high)]
    there = "L".join(f"{x:.1f} {high:.1f}" for x, _, high in ends)
    back = "L".join(f"{x:.1f} {low:.1f}" for x, low, _ in reversed(ends))
    return f'<path class="band" d="M{there}L{back}z"/>'


def _lanes(frame: Frame, across: Callable[[float], float]) -> tuple[int, str]:
    """Return the height of the chart and its lanes of marks, one a kind that is marked anywhere in the page."""
    body, y = "", _BOTTOM + 14
    for kind in frame.kinds:
        xs = [across(place) for place in frame.places[kind]]
        if kind in _DASHED:
            body += f'<path class="when" d="{"".join(f"M{x:.1f} {_TOP}V{y - 4}" for x in xs)}"/>'
        signs = "".join(f"M{x:.1f} {y}{_SHAPES[kind]}" for x in xs)
        told = ", ".join(str(frame.numbers[place]) for place in frame.places[kind])
        body += f'<path class="event" d="{signs}"><title>{kind}: night {told}</title></path>'
        body += f'<text class="lane" x="{_LEFT - 9}" y="{y + 4}" text-anchor="end">{kind}</text>'
        y += _LANE
    return y + 12, body


def _described(line: Line, frame: Frame, found: Sequence[float], word: str) -> str:
    if not found:
        return "No value in these nights."
    name, _, scope = line.key
    known = [place for place, figure in enumerate(line.figures) if figure is not None]
    now = f"{shown(name, found[-1], scope)} on {frame.days[known[-1]]}"
    if len(found) == 1:
        told = f"One value: {now}"
    else:
        told = f"From {shown(name, found[0], scope)} on {frame.days[known[0]]} to {now}"
        told += f"; lowest {shown(name, min(found), scope)}, highest {shown(name, max(found), scope)}"
    lacking = len(line.figures) - len(found)
    told += f"; {lacking} of {len(line.figures)} nights lack it" if lacking else ""
    return f"{told}; {word} than accepted." if word else f"{told}."
