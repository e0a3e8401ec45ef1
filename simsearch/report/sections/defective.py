"""What the page says of defect scores: how they are spread, kind by kind, and which pictures are called wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from simsearch.console import one_in
from simsearch.defects import shown
from simsearch.evaluation.false_alarms import FALSE_ACCEPT_RATES
from simsearch.page.charts import Series, roc_chart
from simsearch.page.charts.scores import score_histogram
from simsearch.page.html import percent
from simsearch.statistics.ranks import roc_points

MOST_UNDRAWN = 12  # pictures of a list where each is a thumbnail alone
MOST_LINES = 4  # of a chart
TITLES = {
    shown.ALARMS: "Normal, and called defective",
    shown.MISSED: "Defective, and called normal",
    shown.NEAR: "Nearest to the threshold",
    shown.SUREST: "Surest defects",
    shown.NORMAL: "Surest normal ones",
    shown.UNUSUAL: "Most unusual of the normal ones that set the threshold",
}
AXES = ("normal ones called defective", "defective ones found")

Told = dict[str, Any]
Charted = tuple[str, Markup, str, Sequence[str], list[tuple[str, ...]]]


def charts(told: Told, labels: Sequence[str]) -> list[Charted]:
    """Return the histogram of scores, and the ROC where normal and defective images were tried."""
    found = [_spread(told)]
    roc = _roc(told, labels)
    return found if roc is None else [*found, roc]


def kinds(told: Told) -> list[tuple[str, ...]]:
    """Return a row of each kind of defect: images, image AUROC and its interval, share that is found and its."""
    rows: list[tuple[str, ...]] = []
    for kind, area in (told["test"].get("kinds") or {}).items():
        found = area.get("found")  # a document of an older version does not know
        rows.append((
            kind,
            f"{area['defective']:,}",
            f"{area['auroc']:.3f}",
            "{:.3f} to {:.3f}".format(*area["interval"]),
            percent(found["share"] if found else None),
            "{} to {}".format(*map(percent, found["interval"])) if found else "",
        ))  # fmt: skip
    return rows


def pictures_of(told: Told, labels: Sequence[str]) -> tuple[list[tuple[str, list[shown.Entry]]], dict[str, Any]]:
    """Return headed lists of entries, what was called wrong first, and those of each kind of defect."""
    most = shown.MOST if told.get("drawn") else MOST_UNDRAWN
    found = shown.pictures(told, labels.__getitem__, most)
    return [(TITLES[name], entries) for name, entries in found.lists.items()], found.kinds


def _spread(told: Told) -> Charted:
    scored = told["scored"]
    named = [("set the threshold", told["calibration"]["scores"])]
    named += [(name, scored[key]["scores"]) for key, name in (("normal", "other normal"), ("defective", "defective"))
              if scored[key]["scores"]]  # fmt: skip
    title = "Defect scores"
    chart, rows = score_histogram("defect-scores", title, named, told["threshold"])
    return title, chart, title, ["score", *(name for name, _ in named)], rows


def _roc(told: Told, labels: Sequence[str]) -> Charted | None:
    normal, defective = (np.array(told["scored"][key]["scores"]) for key in ("normal", "defective"))
    if not len(normal) or not len(defective):
        return None
    of = np.array([labels[row] for row in told["scored"]["defective"]["rows"]])
    names = sorted(set(of.tolist()))
    lines = [Series("all defects", 0, roc_points(defective, normal))]
    if 1 < len(names) < MOST_LINES:
        lines += [Series(name, look, roc_points(defective[of == name], normal)) for look, name in enumerate(names, 1)]
    title = "ROC: defective ones that are found, by normal ones that are called defective with them"
    ticks = [tick for tick in FALSE_ACCEPT_RATES if tick * len(normal) >= 1]
    rows = []
    for line in lines:
        alarms, found = zip(*line.points, strict=True)
        rows.append((line.name, *(percent(float(np.interp(tick, alarms, found))) for tick in ticks)))
    head = ("line", *(f"found at {one_in(tick)}" for tick in ticks))
    return title, roc_chart("defect-roc", title, lines, AXES), title, head, rows
