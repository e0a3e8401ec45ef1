"""What the report page says of verdicts: how often they are right, of labels that are there and of those never seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from simsearch.console import one_in
from simsearch.page.charts import Series, roc_chart
from simsearch.page.html import count, interval, percent

AXES = ("queries of labels never seen, told known", "known ones told so, by their label")
HEADS, DEPLOYED = "fold_heads", "deployed"
SHORT = {HEADS: "fold heads", DEPLOYED: "your search"}  # beside a line of the chart
_TICKS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)

Report = dict[str, Any]
Charted = tuple[str, Markup, str, Sequence[str], list[tuple[str, ...]]]


def names(told: Report) -> dict[str, str]:
    """Return what each line of table and chart is of, those that were measured alone."""
    seen = "trained on, left out" if told["fold_heads"] or told["calibrated_on"].startswith("trained") else "left out"
    found = {HEADS: "fold heads, trained without them", DEPLOYED: f"your search, labels {seen}"}
    return {key: name for key, name in found.items() if told.get(key)}


def rows(told: Report) -> list[tuple[str, ...]]:
    """Return a row of each: known and unknown queries that are told right, and their mean, with intervals."""
    found = []
    for key, name in names(told).items():
        entry = told[key]
        cells = (
            percent(entry["known"]["share"]),
            percent(entry["unknown"]["share"]),
            percent(entry["balanced"]["share"]),
        )
        ends = (interval(entry[side]["interval"], percent) for side in ("known", "unknown", "balanced"))
        found.append((name, *(f"{cell} {end}".rstrip() for cell, end in zip(cells, ends, strict=True))))
    return found


def curve(told: Report) -> Charted | None:
    """Return known queries that are told right, by unknown ones that are let in with them; None without any."""
    lines = [
        Series(SHORT[key], look, [tuple(point) for point in told[key]["curve"]]) for look, key in enumerate(names(told))
    ]
    if not lines:
        return None
    title = "Queries that are told known and right, by those of labels never seen that are told known with them"
    ticks = [tick for tick in _TICKS if all(tick >= line.points[0][0] for line in lines)]
    body = []
    for name, line in zip(names(told).values(), lines, strict=True):
        reached = [max((right for passed, right in line.points if passed <= tick), default=0.0) for tick in ticks]
        body.append((name, *map(percent, reached)))
    return title, roc_chart("unknown-curve", title, lines, AXES), title, ("line", *map(one_in, ticks)), body


def words(told: Report) -> list[str]:
    """Return sentences on the threshold: what it lets through, and by what it was found."""
    images, labels = count(told["images"], "image", "images"), count(told["labels"], "label", "labels")
    rate = one_in(told["unknown_accepted"])
    found = [
        f"A query is told the label of its neighbours, or none of these: {rate} images of {told['calibrated_on']} is "
        "told known, these left out of what is searched. "
        f"Found by {images} of {labels}, a fifth of the labels left out at a time; queries of this report decided "
        "nothing."
    ]
    if told[HEADS]:
        found.append(
            "Each image asks a head that was trained without its label, a fold head; their threshold is that of the "
            "head in use too."
        )
    elif told["calibrated_on"].startswith("trained"):
        found.append("The network was trained on these labels: of labels that it never saw more are told known.")
    return found
