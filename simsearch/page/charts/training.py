"""How a training went: loss, share of active tuples and val recall@1 by epoch, one below another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from simsearch.page.charts.drawing import GAP, RIGHT, WIDTH, Point, marks, polyline, svg
from simsearch.page.html import text

_PANELS = (("loss", "loss"), ("active", "active tuples"), ("val_recall_at_1", "recall@1 of val images"))
_LEFT = 50
_TOP, _PANEL, _BELOW = 30, 90, 40  # of a panel: above its levels, between them, and below the last one
_FEW = 40  # epochs up to which each has a mark
_LEVELS = 4  # parts of an axis, at most

Epoch = Mapping[str, float | None]


@dataclass(frozen=True)
class _Panel:
    words: str
    points: Sequence[Point]
    share: bool

    def shown(self, value: float) -> str:
        return f"{100 * value:.4g}%" if self.share else f"{value:.4g}"


def training_chart(identity: str, metrics: Sequence[Epoch], kept: int | None = None) -> Markup:
    """Return the chart of a training: a panel for each figure that was measured.

    `metrics` has one row an epoch: {"epoch": 1, "loss": 0.5, "active": 0.3, "val_recall_at_1": 0.98}, where the last
    two may be None. `kept` is the epoch whose weights were kept, marked where it is not the last. Raises ValueError
    without rows.
    """
    if not metrics:
        raise ValueError("no epoch to draw: metrics is empty")
    panels = [panel for key, words in _PANELS if (panel := _panel(metrics, key, words)).points]
    epochs = [int(row["epoch"] or 0) for row in metrics]
    first, last = epochs[0], epochs[-1]
    right, spare = WIDTH - RIGHT, 8

    def across(epoch: float) -> float:
        share = (epoch - first) / (last - first) if last > first else 0.5
        return _LEFT + spare + (right - _LEFT - 2 * spare) * share

    body, top = "", 0
    for panel in panels:
        top += _TOP
        body += f'<text class="name" x="{_LEFT}" y="{top - 10}">{text(panel.words)}</text>'
        body += _drawn(panel, top, across, len(epochs) <= _FEW)
        top += _PANEL
    if kept is not None and kept != last:
        x, side = across(kept), "start" if across(kept) < WIDTH / 2 else "end"
        body += f'<path class="when" d="M{x:.1f} {_TOP}V{top}"/>'
        body += f'<text x="{x:.0f}" y="12" text-anchor="{side}">kept: epoch {kept}</text>'
    for epoch in _whole(first, last):
        body += f'<text x="{across(epoch):.0f}" y="{top + 16}" text-anchor="middle">{epoch}</text>'
    body += f'<text x="{right}" y="{top + 16 + GAP}" text-anchor="end">epoch</text>'
    return svg(identity, "How the training went", _described(panels, last, kept), body, WIDTH, top + _BELOW)


def _panel(metrics: Sequence[Epoch], key: str, words: str) -> _Panel:
    found = ((row["epoch"], row.get(key)) for row in metrics)
    points = [(float(epoch), value) for epoch, value in found if epoch and value is not None and math.isfinite(value)]
    return _Panel(words, points, share=key != "loss")


def _drawn(panel: _Panel, top: float, across: Callable[[float], float], marked: bool) -> str:
    values = [value for _, value in panel.points]
    levels = _levels(min(values), max(values))
    low, high = levels[0], levels[-1]

    def down(value: float) -> float:
        return top + _PANEL - _PANEL * (value - low) / (high - low)

    body = ""
    for level in levels:
        y = down(level)
        body += f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        body += f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{panel.shown(level)}</text>'
    places = [(across(epoch), down(value)) for epoch, value in panel.points]
    return body + (polyline(0, places) if len(places) > 1 else "") + marks(0, places if marked else places[-1:])


def _levels(low: float, high: float) -> list[float]:
    """Return 3 to 5 round values from below `low` to above `high`; of equal ones, those around them."""
    span = high - low or abs(high) / 10 or 1.0
    power = 10.0 ** math.floor(math.log10(span / _LEVELS))
    for step in (times * power for times in (1, 2, 2.5, 5, 10, 20)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= _LEVELS:
            break
    if last == first:
        first, last = first - 1, last + 1
    return [round(step * level, 12) for level in range(first, last + 1)]


def _whole(first: int, last: int) -> list[int]:
    """Return the epochs that an axis names: at most nine, the first and the last among them where there is room."""
    power = 10 ** max(0, math.floor(math.log10(max(last - first, 1))) - 1)
    step = next(times * power for times in (1, 2, 5, 10, 20, 50) if (last - first) / (times * power) <= 8)
    inside = [epoch for epoch in range(0, last, step) if first + step / 2 < epoch < last - step / 2]
    return [*dict.fromkeys((first, *inside, last))]


def _described(panels: Sequence[_Panel], last: int, kept: int | None) -> str:
    parts = [
        f"{panel.words} from {panel.shown(panel.points[0][1])} to {panel.shown(panel.points[-1][1])}"
        for panel in panels
    ]
    words = f"{', '.join(parts)} in {last} {'epoch' if last == 1 else 'epochs'}"
    return f"{words}; kept: epoch {kept}." if kept is not None else f"{words}."
