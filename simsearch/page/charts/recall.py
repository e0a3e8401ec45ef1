"""Recall over k: a line a system, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from simsearch.page.charts.drawing import (
    BOTTOM,
    HEIGHT,
    LABELS,
    LEFT,
    MOST_SERIES,
    TOP,
    WIDTH,
    Series,
    in_order,
    marks,
    name_tags,
    polyline,
    share_levels,
    spread,
    svg,
)


def recall_chart(
    identity: str,
    title: str,
    ks: Sequence[int],
    series: Sequence[Series],
    across_words: str = "first k hits",
    last_words: str = "At the largest k",
) -> Markup:
    """Return the chart of at most 4 lines over k: points (k, share) with their intervals as bars.

    k, or what else `across_words` says, is set out in even steps.
    """
    series = series[:MOST_SERIES]
    right, bottom = WIDTH - LABELS, HEIGHT - BOTTOM
    ends = [low for line in series for pair in line.intervals if pair is not None for low in pair]
    values = [y for line in series for _, y in line.points] + ends
    spare = 1 - min(values, default=0.0) + 1e-9
    part = next((part for part in (2, 5, 10, 15, 20) if 0.04 * part >= spare), 25)  # whole percents between levels
    floor = 1 - 0.04 * part
    step = (right - LEFT - 32) / max(1, len(ks) - 1)

    def across(k: float) -> float:
        return LEFT + 16 + step * list(ks).index(int(k))

    def down(share: float) -> float:
        return bottom - (bottom - TOP) * (share - floor) / (1 - floor)

    body = share_levels([1 - part * level / 100 for level in range(5)], down, right)
    for k in ks:
        body += f'<text x="{across(k):.0f}" y="{bottom + 16}" text-anchor="middle">{k}</text>'
    body += f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle">{across_words}</text>'
    last = []
    for i, line in enumerate(series):
        aside = 4 * (i - (len(series) - 1) / 2)  # bars side by side: equal systems would hide one another
        places = [(across(x) + aside, down(y)) for x, y in line.points]
        for (x, _), pair in zip(places, line.intervals, strict=False):
            if pair is not None:
                body += f'<path class="line c{line.look}" d="M{x:.1f} {down(pair[0]):.1f}V{down(pair[1]):.1f}"/>'
        body += polyline(line.look, places) + marks(line.look, places)
        last.append(places[-1][1])
    spreads = spread(last, TOP, bottom)
    for line, y, found in zip(series, last, spreads, strict=True):
        body += f'<path class="thin c{line.look}" d="M{right - 12} {y:.1f}L{right + 2} {found:.1f}"/>'
    body += name_tags(series, right + 6, [y + 4 for y in spreads])
    return svg(identity, title, f"{last_words}, from the top: {in_order(series, last)}.", body, WIDTH, HEIGHT)
