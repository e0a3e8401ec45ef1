"""Histograms of scores: shares of several sets of images over one scale, with a line where a threshold is."""

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
    Point,
    Series,
    name_tags,
    polyline,
    share_levels,
    svg,
)

BINS = 24


def score_histogram(
    identity: str, title: str, named: Sequence[tuple[str, Sequence[float]]], threshold: float
) -> tuple[Markup, list[tuple[str, ...]]]:
    """Return the chart of at most 3 sets of scores, each a stepped line of shares, and its figures as rows of a table.

    A row: the bin from and to, then the share of each set.
    """
    named = named[: MOST_SERIES - 1]
    every = np.concatenate([np.asarray(scores, dtype=np.float64) for _, scores in named] + [np.array([threshold])])
    edges = np.linspace(every.min(), max(every.max(), every.min() + 1e-9), BINS + 1)
    shares = [np.histogram(scores, edges)[0] / max(1, len(scores)) for _, scores in named]
    top = max(0.1, math.ceil(10 * max(float(share.max()) for share in shares)) / 10)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(score: float) -> float:
        return float(LEFT + (right - LEFT) * (score - edges[0]) / (edges[-1] - edges[0]))

    def down(share: float) -> float:
        return bottom - (bottom - TOP) * share / top

    body = share_levels([0, top / 2, top], down, right)
    for score in (edges[0], edges[-1]):
        anchor = "start" if score == edges[0] else "end"
        body += f'<text x="{across(score):.0f}" y="{bottom + 16}" text-anchor="{anchor}">{score:.3g}</text>'
    x = across(threshold)
    body += polyline(MOST_SERIES - 1, [(x, TOP), (x, bottom)])
    body += f'<text x="{x:.0f}" y="{TOP - 6}" text-anchor="middle">threshold</text>'
    body += f'<text x="{right}" y="{HEIGHT - 4}" text-anchor="end">defect score, higher is worse</text>'
    for look, share in enumerate(shares):
        places: list[Point] = []
        for left, end, one in zip(edges[:-1], edges[1:], share.tolist(), strict=True):
            places += [(across(left), down(one)), (across(end), down(one))]
        body += polyline(look, places)
    series = [Series(name, look, ()) for look, (name, _) in enumerate(named)]
    body += name_tags(series, right - 120, [TOP + 14 + GAP * look for look in range(len(series))])
    rows = [
        (f"{low:.3g} to {high:.3g}", *(f"{100 * share[at]:.1f} %" for share in shares))
        for at, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        if any(share[at] for share in shares)
    ]
    described = f"Shares of images by defect score; the threshold is {threshold:.3g}."
    return svg(identity, title, described, body, WIDTH, HEIGHT), rows
