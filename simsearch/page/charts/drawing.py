"""What charts are drawn with: real text, colours of the page (light, dark, print), shapes and dashes besides colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from simsearch.console import safe
from simsearch.page.html import text

MOST_SERIES = 4

# The charts are drawn for a phone, 360 wide, and scale up: their text stays readable at either size.
WIDTH, HEIGHT = 360, 300
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 20, 40
LABELS = 132  # right of lines, for their names
GAP = 15  # between the base lines of two names
DASHES = ("", "7 3", "2 3", "9 3 2 3")
_LONGEST = 18  # characters of a name in a chart

MARKERS = (
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


def svg(identity: str, title: str, description: str, body: str, width: int, height: int, kind: str = "") -> Markup:
    """Return a chart with its title and what it shows in words."""
    return Markup(
        f'<svg class="{f"chart {kind}".rstrip()}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{identity}-title {identity}-desc"><title id="{identity}-title">{text(title)}</title>'
        f'<desc id="{identity}-desc">{text(description)}</desc>{body}</svg>'
    )


def sign(body: str) -> Markup:
    """Return a sign of a legend, 24 by 24."""
    return Markup(f'<svg class="key" viewBox="0 0 24 24" aria-hidden="true">{body}</svg>')


def marked_lines(series: Sequence[Series], x: float, bottom: float) -> str:
    """Return lines whose points are places in a chart, and their names from `x` on, the last one above `bottom`."""
    body = "".join(polyline(line.look, line.points) for line in series if len(line.points) > 1)
    body += "".join(marks(line.look, line.points) for line in series)
    return body + name_tags(series, x, [bottom - GAP * (len(series) - 1 - i) for i in range(len(series))])


def share_levels(levels: Sequence[float], down: Callable[[float], float], right: float) -> str:
    """Return lines across the chart at shares, with their percents at the left."""
    body = ""
    for level in levels:
        y = down(level)
        body += f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>'
        body += f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{100 * level:.3g}%</text>'
    return body


def polyline(look: int, places: Sequence[Point]) -> str:
    """Return a line through places, in the colour and dashes of a look."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dash = f' stroke-dasharray="{DASHES[look]}"' if DASHES[look] else ""
    return f'<path class="line c{look}" d="{path}"{dash}/>'


def marks(look: int, places: Sequence[Point]) -> str:
    """Return a mark at each place, in the colour and shape of a look."""
    path = "".join(f"M{x:.1f} {y:.1f}{MARKERS[look]}" for x, y in places)
    return f'<path class="mark c{look}" d="{path}"/>' if path else ""


def name_tags(series: Sequence[Series], x: float, ys: Sequence[float], aside: float = 8) -> str:
    """Return the names of lines, each `aside` from its line's mark at x."""
    body = ""
    for line, y in zip(series, ys, strict=True):
        body += marks(line.look, [(x, y - 4)])
        body += f'<text class="name" x="{x + aside:.0f}" y="{y:.1f}">{text(cut_name(line.name))}</text>'
    return body


def thinned(places: Sequence[Point]) -> list[Point]:
    """Return the places that are at least a unit from the last kept one, and the last."""
    kept = list(places[:1])
    for place in places[1:-1]:
        if abs(place[0] - kept[-1][0]) + abs(place[1] - kept[-1][1]) >= 1.5:
            kept.append(place)
    return kept + list(places[1:][-1:])


def spread(ys: Sequence[float], top: float, bottom: float, gap: float = GAP) -> list[float]:
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


def in_order(series: Sequence[Series], ys: Sequence[float]) -> str:
    """Return the names of lines from the top, by their heights."""
    return ", ".join(series[i].name for i in np.argsort(ys, kind="stable"))


def cut_name(name: str) -> str:
    """Return a name as it is shown, its escapes written out, at most 18 characters of it."""
    shown = safe(name)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
