"""Small charts as inline SVG: real text, colours of the page (light, dark, print), shapes and dashes besides colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from simsearch.arrays import Integers, Labels, Numbers
from simsearch.console import safe
from simsearch.page.html import text

MOST_SERIES, MOST_GROUPS = 4, 8

# The charts are drawn for a phone, 360 wide, and scale up: their text stays readable at either size.
_WIDTH, _HEIGHT = 360, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 10, 20, 40
_LABELS = 116  # right of lines, for their names
_GAP = 15  # between the base lines of two names
_DASHES = ("", "7 3", "2 3", "9 3 2 3")
_FEW = 2  # points of a label: its name stands beside them
_LONGEST = 18  # characters of a name in a chart
_MAP = 720  # a map's points are rounded to integers: twice as fine as the other charts' units

# One point of a group on a map, drawn from where the point is: dot, square, plus, cross, triangle, diamond, bars.
_GLYPHS = (
    "h0",
    "h0",
    "m-6 0h12m-6-6v12",
    "m-5-5l10 10m0-10l-10 10",
    "m0-6l6 10h-12z",
    "m0-7l6 7l-6 7l-6-7z",
    "m-7 0h14",
    "m0-7v14",
)
_MARKERS = (
    "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",
    "m-3-3h6v6h-6z",
    "m0-4l4 7h-8z",
    "m0-4.5l4.5 4.5l-4.5 4.5l-4.5-4.5z",
)

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A named line: its points (x, y), and where known the interval (low, high) of each y.

    `look`, 0 to 3, is its colour, dash and mark: one system looks the same in every chart.
    """

    name: str
    look: int
    points: Sequence[Point]
    intervals: Sequence[Sequence[float] | None] = ()


def roc_chart(identity: str, title: str, series: Sequence[Series]) -> Markup:
    """Return the chart of TAR over FAR, FAR on a log axis down to the least that is known, 1e-4 at the lowest.

    `series`: at most 4, points (FAR, TAR) ascending. Marks stand at FAR 0.1, 0.01, 0.001 and 0.0001. The names stand
    below the lines at the right, where a log axis leaves room, in the order of the lines.
    """
    series = series[:MOST_SERIES]
    least = min((far for line in series for far, _ in line.points if far > 0), default=0.1)
    lowest = min(-1, max(-4, math.floor(math.log10(least) + 1e-9)))
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def across(far: float) -> float:
        return right + (right - _LEFT) * math.log10(far) / -lowest

    def down(tar: float) -> float:
        return bottom - (bottom - _TOP) * tar

    body = _levels([0, 0.25, 0.5, 0.75, 1], down, right)
    for power in range(lowest, 1):
        x = across(10**power)
        body += f'<path class="grid" d="M{x:.0f} {_TOP}V{bottom}"/>'
        words = "all" if power == 0 else f"1/{10**-power:,}"
        anchor = "end" if power == 0 else "middle"
        body += f'<text x="{x:.0f}" y="{bottom + 16}" text-anchor="{anchor}">{words}</text>'
    body += f'<text x="{right}" y="{_HEIGHT - 4}" text-anchor="end">different pairs let in (FAR)</text>'
    body += f'<text x="{_LEFT}" y="{_TOP - 8}">same pairs let in (TAR)</text>'
    starts = []
    for line in series:
        far, tar = (np.array(values, dtype=np.float64) for values in zip(*line.points, strict=True))
        inside = far > 10.0**lowest
        start = (10.0**lowest, float(np.interp(10.0**lowest, far, tar)))
        points = [start, *zip(far[inside].tolist(), tar[inside].tolist(), strict=True)]
        body += _line(line.look, _thinned([(across(x), down(y)) for x, y in points]))
        starts.append(down(start[1]))
        ticks = [10.0**power for power in range(lowest, 0)]
        known = [x for x in ticks if x >= far[far > 0].min()]
        body += _marks(line.look, [(across(x), down(float(np.interp(x, far, tar)))) for x in known])
    ranks = np.argsort(np.argsort(starts, kind="stable"))
    places = [float(bottom - 8 - _GAP * (len(series) - 1 - rank)) for rank in ranks]
    for line, y in sorted(zip(series, places, strict=True), key=lambda pair: pair[1]):
        body += _line(line.look, [(right - 150, y - 4), (right - 118, y - 4)])
    body += _names(series, right - 134, places, 22)
    return svg(identity, title, f"Lines, from the top at the left: {_order(series, starts)}.", body, _WIDTH, _HEIGHT)


def recall_chart(identity: str, title: str, ks: Sequence[int], series: Sequence[Series]) -> Markup:
    """Return the chart of at most 4 lines over k: points (k, share) with their intervals as bars."""
    series = series[:MOST_SERIES]
    right, bottom = _WIDTH - _LABELS, _HEIGHT - _BOTTOM
    ends = [low for line in series for pair in line.intervals if pair is not None for low in pair]
    values = [y for line in series for _, y in line.points] + ends
    spare = 1 - min(values, default=0.0) + 1e-9
    part = next((part for part in (2, 5, 10, 15, 20) if 0.04 * part >= spare), 25)  # whole percents between levels
    floor = 1 - 0.04 * part
    step = (right - _LEFT - 32) / max(1, len(ks) - 1)

    def across(k: float) -> float:
        return _LEFT + 16 + step * list(ks).index(int(k))

    def down(share: float) -> float:
        return bottom - (bottom - _TOP) * (share - floor) / (1 - floor)

    body = _levels([1 - part * level / 100 for level in range(5)], down, right)
    for k in ks:
        body += f'<text x="{across(k):.0f}" y="{bottom + 16}" text-anchor="middle">{k}</text>'
    body += f'<text x="{(_LEFT + right) / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">first k hits</text>'
    last = []
    for i, line in enumerate(series):
        aside = 4 * (i - (len(series) - 1) / 2)  # bars side by side: equal systems would hide one another
        places = [(across(x) + aside, down(y)) for x, y in line.points]
        for (x, _), pair in zip(places, line.intervals, strict=False):
            if pair is not None:
                body += f'<path class="line c{line.look}" d="M{x:.1f} {down(pair[0]):.1f}V{down(pair[1]):.1f}"/>'
        body += _line(line.look, places) + _marks(line.look, places)
        last.append(places[-1][1])
    spread = _spread(last, _TOP, bottom)
    for line, y, found in zip(series, last, spread, strict=True):
        body += f'<path class="thin c{line.look}" d="M{right - 12} {y:.1f}L{right + 2} {found:.1f}"/>'
    body += _names(series, right + 6, [y + 4 for y in spread])
    return svg(identity, title, f"At the largest k, from the top: {_order(series, last)}.", body, _WIDTH, _HEIGHT)


def map_chart(identity: str, title: str, points: Numbers, groups: Labels, names: Sequence[str]) -> Markup:
    """Return the chart of `points` (n, 2) coloured by `groups` (n,): 0 to 7 are `names`, the others are gray.

    Each group has a shape of its own and its name at the middle of its points, or beside a point where it has but two.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    size = float(max(high - low)) or 1.0
    places = 20 + (_MAP - 40) * ((points - (low + high) / 2) / size + 0.5)
    places[:, 1] = _MAP - places[:, 1]
    whole = np.rint(places).astype(np.int64)
    known = (groups >= 0) & (groups < min(len(names), MOST_GROUPS))
    body = _dots("other", "h0", whole[~known])
    named, middles, asides = [], [], []
    for group, name in enumerate(names[:MOST_GROUPS]):
        inside = whole[known & (groups == group)]
        if len(inside):
            body += _dots(str(group), _GLYPHS[group], inside)
            named.append(_cut(name))
            few = len(inside) <= _FEW  # the name would hide them
            right = inside[inside[:, 0].argmax()]
            middles.append(right + np.array((0, 8)) if few else np.median(inside, axis=0))
            asides.append(few)
    lines = _spread([float(y) for _, y in middles], 34, _MAP - 12, 2 * _GAP)
    for name, (x, _), y, few in zip(named, middles, lines, asides, strict=True):
        half = min(_MAP / 2, 8 * len(name) + 8)  # kept off the edges: a name is set around its middle
        place, kind = min(max(x, half), _MAP - half), "name"
        if few:
            after = x + 16 + 2 * half <= _MAP
            place, kind = (x + 16, "name after") if after else (x - 16, "name before")
        body += f'<text class="{kind}" x="{place:.0f}" y="{y:.0f}">{text(name)}</text>'
    description = f"{len(points):,} points; each label's name stands at the middle of its points, or beside its few."
    return svg(identity, title, description, body, _MAP, _MAP, "map")


def key(group: int | None) -> Markup:
    """Return the sign of a map's group for a legend; None: the others."""
    name, shape = ("other", "h0") if group is None else (str(group), _GLYPHS[group])
    sign = f'<path class="dots d{name}" d="M12 12{shape}"/>'
    return Markup(f'<svg class="key" viewBox="0 0 24 24" aria-hidden="true">{sign}</svg>')


def svg(identity: str, title: str, description: str, body: str, width: int, height: int, kind: str = "") -> Markup:
    """Return a chart with its title and what it shows in words."""
    return Markup(
        f'<svg class="{f"chart {kind}".rstrip()}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{identity}-title {identity}-desc"><title id="{identity}-title">{text(title)}</title>'
        f'<desc id="{identity}-desc">{text(description)}</desc>{body}</svg>'
    )


def marked_lines(series: Sequence[Series], x: float, bottom: float) -> str:
    """Return lines whose points are places in a chart, and their names from `x` on, the last one above `bottom`."""
    body = "".join(_line(line.look, line.points) for line in series if len(line.points) > 1)
    body += "".join(_marks(line.look, line.points) for line in series)
    return body + _names(series, x, [bottom - _GAP * (len(series) - 1 - i) for i in range(len(series))])


def _levels(levels: Sequence[float], down: Callable[[float], float], right: float) -> str:
    body = ""
    for level in levels:
        y = down(level)
        body += f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        body += f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{100 * level:.3g}%</text>'
    return body


def _line(i: int, places: Sequence[Point]) -> str:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dash = f' stroke-dasharray="{_DASHES[i]}"' if _DASHES[i] else ""
    return f'<path class="line c{i}" d="{path}"{dash}/>'


def _marks(i: int, places: Sequence[Point]) -> str:
    path = "".join(f"M{x:.1f} {y:.1f}{_MARKERS[i]}" for x, y in places)
    return f'<path class="mark c{i}" d="{path}"/>' if path else ""


def _names(series: Sequence[Series], x: float, ys: Sequence[float], aside: float = 8) -> str:
    """Return the names of lines, each `aside` from its line's mark at x."""
    body = ""
    for line, y in zip(series, ys, strict=True):
        body += _marks(line.look, [(x, y - 4)])
        body += f'<text class="name" x="{x + aside:.0f}" y="{y:.1f}">{text(_cut(line.name))}</text>'
    return body


def _dots(name: str, glyph: str, places: Integers) -> str:
    if not len(places):
        return ""
    path = "".join(f"M{x} {y}{glyph}" for x, y in np.unique(places, axis=0).tolist())
    return f'<path class="dots d{name}" d="{path}"/>'


def _thinned(places: Sequence[Point]) -> list[Point]:
    """Return the places that are at least a unit from the last kept one, and the last."""
    kept = list(places[:1])
    for place in places[1:-1]:
        if abs(place[0] - kept[-1][0]) + abs(place[1] - kept[-1][1]) >= 1.5:
            kept.append(place)
    return kept + list(places[1:][-1:])


def _spread(ys: Sequence[float], top: float, bottom: float, gap: float = _GAP) -> list[float]:
    """Return places for names near `ys`, in the same order, at least `gap` apart, and inside where there is room."""
    order = sorted(range(len(ys)), key=lambda i: ys[i])
    found = list(ys)
    for i in order:
        found[i] = max(ys[i], top)
        top = found[i] + gap
    for i in reversed(order):
        found[i] = min(found[i], bottom)
        bottom = found[i] - gap
    return found


def _order(series: Sequence[Series], ys: Sequence[float]) -> str:
    return ", ".join(series[i].name for i in np.argsort(ys, kind="stable"))


def _cut(name: str) -> str:
    """Return a name as it is shown, its escapes written out, at most 18 characters of it."""
    shown = safe(name)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
