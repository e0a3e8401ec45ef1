"""How an index was chosen: recall against queries a second, the chosen point named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from simsearch.page.charts.drawing import Series, marked_lines, svg

_WIDTH, _HEIGHT = 360, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 20, 40
_TICKS = (0.5, 0.9, 0.99, 0.999)
_PERFECT = 1e-4  # drawn where a share of 0.9999 would be
_KINDS = 2  # built in full, that the chart shows besides the chosen one's check

Line = dict[str, Any]


def tuning_chart(title: str, lines: Sequence[Line], target: float) -> Markup:
    """Return the chart of recall against queries a second, both on log axes.

    It shows the best on a sample, what was built in full, and the chosen.
    """
    speeds = [math.log10(max(line["qps"], 1)) for line in lines]
    low, high = math.floor(min(speeds)), max(math.ceil(max(speeds)), math.floor(min(speeds)) + 1)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def across(recall: float) -> float:
        missed = -math.log10(max(1 - recall, _PERFECT))
        return _LEFT + (right - _LEFT) * missed / -math.log10(_PERFECT)

    def down(qps: float) -> float:
        return bottom - (bottom - _TOP) * (math.log10(max(qps, 1)) - low) / (high - low)

    body = f'<text x="{_LEFT}" y="{_TOP - 8}">queries a second</text>'
    body += f'<text x="{right}" y="{_HEIGHT - 4}" text-anchor="end">ann_recall@10</text>'
    for power in range(low, high + 1):
        y = down(10**power)
        body += f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        body += f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_short(10**power)}</text>'
    for tick in (*_TICKS, 1.0):
        x = across(tick)
        body += f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
        body += f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
    body += f'<path class="thin c3" d="M{across(target):.1f} {_TOP}V{bottom}"/>'
    sampled = [line for line in lines if line["stage"] == "sample" and line["pareto"]]
    full = [line for line in lines if line["stage"] == "full"]
    kinds = list(dict.fromkeys(line["factory"] for line in full))[:_KINDS]
    series = [("best on a sample", sampled)]
    series += [(kind, [line for line in full if line["factory"] == kind]) for kind in kinds]
    series.append(("chosen", [line for line in lines if line["chosen"]]))
    drawn = []
    for look, (name, points) in enumerate(series):
        ordered = sorted(points, key=lambda line: line["ann_recall"])
        places = [(across(line["ann_recall"]), down(line["qps"])) for line in ordered]
        drawn.append(Series(name, min(look, 2) if look < len(series) - 1 else 3, places))
    body += marked_lines(drawn, _LEFT + 10, bottom - 10)
    chosen = next((line for line in lines if line["chosen"]), None)
    said = "" if chosen is None else f"{chosen['factory']} at {chosen['ann_recall']:.4f}, {chosen['qps']:,.0f} a second"
    return svg("tuning", title, f"The chosen point: {said}.", body, _WIDTH, _HEIGHT)


def _short(speed: int) -> str:
    """Return 100000 as "100k": an axis has little room."""
    if speed >= 1_000_000:
        return f"{speed // 1_000_000}M"
    return f"{speed // 1_000}k" if speed >= 1_000 else str(speed)
