"""The chart of one value over nights, as inline SVG: line, interval band, gaps, and lanes of marks below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from simsearch.page.charts.drawing import svg
from simsearch.page.html import text

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 320, 58, 14, 18, 104
LANE = 13
MANY = 30  # nights from which on a dot a night would be a smear

Value = tuple[float, tuple[float, float] | None]  # and its interval


@dataclass(frozen=True)
class Lane:
    """A kind of mark: its word, its shape as an SVG path, what it says, and whether it is drawn through the chart."""

    kind: str
    shape: str
    words: str
    through: bool = True


@dataclass(frozen=True)
class Frame:
    """What the charts of a page share: their nights' dates and numbers, the places of each lane's marks, and `held`.

    `held` is the place of the night whose value is drawn through the chart.
    """

    days: Sequence[str]
    numbers: Sequence[int]
    lanes: Mapping[Lane, Sequence[int]]
    held: int | None


@dataclass(frozen=True)
class Line:
    """What one chart shows: a value a night, None where a night lacks it; at least one night has one.

    `breaks` are places of nights before which the line is interrupted. `shown` are the words of a value, `level` those
    at the axis. `least` is the least span of the axis for shares; None is for other values a tenth of their size.
    `word` ("worse") stands at the last value.
    """

    title: str
    values: Sequence[Value | None]
    breaks: frozenset[int]
    shown: Callable[[float], str]
    level: Callable[[float], str]
    least: float | None
    word: str


def line_chart(identity: str, line: Line, frame: Frame) -> Markup:
    """Return the chart as SVG: a night without a value leaves a gap, a value between two gaps is a dot."""
    nights = len(line.values)
    low, high = _range([value for value in line.values if value is not None], line.least)

    def across(place: float) -> float:
        return LEFT + (WIDTH - RIGHT - LEFT) * (place / (nights - 1) if nights > 1 else 0.5)

    def down(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)

    body = ""
    for level in (low, (low + high) / 2, high):
        body += f'<path class="grid" d="M{LEFT} {down(level):.0f}H{WIDTH - RIGHT}"/>'
        body += f'<text x="{LEFT - 5}" y="{down(level) + 4:.0f}" text-anchor="end">{text(line.level(level))}</text>'
    height, lanes = _lanes(frame, across)
    body += lanes
    if frame.held is not None and (reference := line.values[frame.held]) is not None:
        held = f"M{across(frame.held):.1f} {down(reference[0]):.1f}H{WIDTH - RIGHT}"
        body += f'<path class="held" d="{held}"><title>as accepted</title></path>'
    for run in _runs(line):
        places = [(across(place), down(value)) for place, (value, _) in run]
        body += _band([(across(place), ends) for place, (_, ends) in run], down)
        if len(places) > 1:
            body += f'<path class="line c0" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>'
        if len(places) == 1 or nights <= MANY:
            body += f'<path class="dot c0" d="{"".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)}"/>'
    now, word = line.values[-1], line.word
    if now is not None:
        x, y = across(nights - 1), down(now[0])
        body += f'<path class="{f"now {word}".rstrip()}" d="M{x:.1f} {y:.1f}m0-5l5 5l-5 5l-5-5z"/>'
        if word:
            above = y - 9 if y > TOP + 14 else y + 19
            body += f'<text class="word {word}" x="{x + 6:.0f}" y="{above:.0f}" text-anchor="end">{text(word)}</text>'
    for place, anchor in [(0, "start"), (nights - 1, "end")] if nights > 1 else [(0, "middle")]:
        x = across(place) + (RIGHT - 2 if anchor == "end" else 0)
        body += f'<text x="{x:.0f}" y="{height - 4}" text-anchor="{anchor}">{text(frame.days[place])}</text>'
    return svg(identity, line.title, _described(line, frame), body, WIDTH, height)


def _range(values: Sequence[Value], least_share: float | None) -> tuple[float, float]:
    """Return the ends of the axis: all values and intervals, not drawn larger than what matters."""
    known = [end for value, ends in values for end in (value, *(ends or ()))]
    low, high = min(known), max(known)
    least = least_share or 0.1 * max(abs(low), abs(high)) or 1.0
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
        if least_share and high > 1 >= middle:
            low, high = 1 - least, 1.0
        elif low < 0 <= middle:
            low, high = 0.0, least
    return low, high


def _described(line: Line, frame: Frame) -> str:
    """Return what a chart shows in words, for readers who do not see it."""
    found = [(value[0], frame.days[place]) for place, value in enumerate(line.values) if value is not None]
    (first, since), (last, day) = found[0], found[-1]
    words = f"One value: {line.shown(last)} on {day}"
    if len(found) > 1:
        values = [value for value, _ in found]
        words = f"From {line.shown(first)} on {since} to {line.shown(last)} on {day}"
        words += f"; lowest {line.shown(min(values))}, highest {line.shown(max(values))}"
    lacking = len(line.values) - len(found)
    words += f"; {lacking} of {len(line.values)} nights lack it" if lacking else ""
    return f"{words}; {line.word} than accepted." if line.word else f"{words}."


def _runs(line: Line) -> list[list[tuple[int, Value]]]:
    """Return the values with their places, parted where a night lacks one and at breaks."""
    runs: list[list[tuple[int, Value]]] = []
    for place, value in enumerate(line.values):
        if value is not None:
            if not runs or runs[-1][-1][0] != place - 1 or place in line.breaks:
                runs.append([])
            runs[-1].append((place, value))
    return runs


def _band(run: Sequence[tuple[float, tuple[float, float] | None]], down: Callable[[float], float]) -> str:
    """Return the band of intervals; nothing where one of the values has none."""
    ends = [(x, down(found[0]), down(found[1])) for x, found in run if found is not None]
    if len(ends) < len(run):
        return ""
    if len(ends) == 1:
        x, low, high = ends[0]
        ends = [(x - 2, low, high), (x + 2, low, high)]
    there = "L".join(f"{x:.1f} {high:.1f}" for x, _, high in ends)
    back = "L".join(f"{x:.1f} {low:.1f}" for x, low, _ in reversed(ends))
    return f'<path class="band" d="M{there}L{back}z"/>'


def _lanes(frame: Frame, across: Callable[[float], float]) -> tuple[int, str]:
    """Return the height of the chart and its lanes of marks."""
    body, y = "", BOTTOM + 14
    for lane, places in frame.lanes.items():
        xs = [across(place) for place in places]
        if lane.through:
            body += f'<path class="when" d="{"".join(f"M{x:.1f} {TOP}V{y - 4}" for x in xs)}"/>'
        signs = "".join(f"M{x:.1f} {y}{lane.shape}" for x in xs)
        told = ", ".join(str(frame.numbers[place]) for place in places)
        body += f'<path class="event" d="{signs}"><title>{lane.kind}: night {told}</title></path>'
        body += f'<text class="lane" x="{LEFT - 9}" y="{y + 4}" text-anchor="end">{lane.kind}</text>'
        y += LANE
    return y + 12, body
