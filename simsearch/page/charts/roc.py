"""ROC curves: pairs of one label let in, by pairs of two labels that are let in with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from simsearch.page.charts.drawing import (
    BOTTOM,
    GAP,
    HEIGHT,
    LEFT,
    MOST_SERIES,
    RIGHT,
    TOP,
    WIDTH,
    Series,
    in_order,
    marks,
    name_tags,
    polyline,
    share_levels,
    svg,
    thinned,
)
from simsearch.page.html import text

PAIRS = ("different pairs let in (FAR)", "same pairs let in (TAR)")


def roc_chart(identity: str, title: str, series: Sequence[Series], axes: tuple[str, str] = PAIRS) -> Markup:
    """Return the chart of TAR over FAR, FAR on a log axis down to the least that is known, 1e-4 at the lowest.

    `series`: at most 4, points (FAR, TAR) ascending. Marks stand at FAR 0.1, 0.01, 0.001 and 0.0001. The names stand
    below the lines at the right, where a log axis leaves room, in the order of the lines. `axes`: what x and y are.
    """
    series = series[:MOST_SERIES]
    least = min((far for line in series for far, _ in line.points if far > 0), default=0.1)
    lowest = min(-1, max(-4, math.floor(math.log10(least) + 1e-9)))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(far: float) -> float:
        return right + (right - LEFT) * math.log10(far) / -lowest

    def down(tar: float) -> float:
        return bottom - (bottom - TOP) * tar

    body = share_levels([0, 0.25, 0.5, 0.75, 1], down, right)
    for power in range(lowest, 1):
        x = across(10**power)
        body += f'<path class="grid" d="M{x:.0f} {TOP}V{bottom}"/>'
        words = "all" if power == 0 else f"1/{10**-power:,}"
        anchor = "end" if power == 0 else "middle"
        body += f'<text x="{x:.0f}" y="{bottom + 16}" text-anchor="{anchor}">{words}</text>'
    body += f'<text x="{right}" y="{HEIGHT - 4}" text-anchor="end">{text(axes[0])}</text>'
    body += f'<text x="{LEFT}" y="{TOP - 8}">{text(axes[1])}</text>'
    starts = []
    for line in series:
        far, tar = (np.array(values, dtype=np.float64) for values in zip(*line.points, strict=True))
        inside = far > 10.0**lowest
        start = (10.0**lowest, float(np.interp(10.0**lowest, far, tar)))
        points = [start, *zip(far[inside].tolist(), tar[inside].tolist(), strict=True)]
        body += polyline(line.look, thinned([(across(x), down(y)) for x, y in points]))
        starts.append(down(start[1]))
        ticks = [10.0**power for power in range(lowest, 0)]
        known = [x for x in ticks if x >= far[far > 0].min()]
        body += marks(line.look, [(across(x), down(float(np.interp(x, far, tar)))) for x in known])
    ranks = np.argsort(np.argsort(starts, kind="stable"))
    places = [float(bottom - 8 - GAP * (len(series) - 1 - rank)) for rank in ranks]
    for line, y in sorted(zip(series, places, strict=True), key=lambda pair: pair[1]):
        body += polyline(line.look, [(right - 150, y - 4), (right - 118, y - 4)])
    body += name_tags(series, right - 134, places, 22)
    return svg(identity, title, f"Lines, from the top at the left: {in_order(series, starts)}.", body, WIDTH, HEIGHT)
