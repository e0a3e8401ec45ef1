"""What the report page says about labels: which leak into each other, and the map of before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from simsearch.arrays import Flags
from simsearch.evaluation.details.projection import agreement
from simsearch.evaluation.figures import first_k, headline_k
from simsearch.page.charts import MOST_GROUPS, key, map_chart
from simsearch.page.html import NONE, count, get, number, percent

Report = dict[str, Any]


def label_rows(report: Report) -> tuple[int, Sequence[str], Sequence[Sequence[str]]]:
    """Return the k of the errors, and head and rows of the table of labels, the one that went most wrong first."""
    first, last = first_k(report["k"]), headline_k(report["k"])
    rows = [
        (
            entry["label"],
            count(entry["queries"]),
            percent(get(entry, "recall", first)),
            percent(get(entry, "error", last)),
            number(entry.get("map_at_r")),
        )
        for entry in report.get("per_class") or []
    ]
    return last, ("label", "queries", f"recall@{first}", f"error@{last}", "MAP@R"), rows


BY = {
    "untrained": "by features that learnt from none of these labels",
    "pictures": "by the small pictures alone, as the features agree with labels that they learnt from",
    "features": "by features that learnt from these labels too, and agree with most mistakes among them",
}


def doubt_words(doubts: Report) -> str:
    """Return how many labels the nearest others doubt, of how many images, by what, and how many are listed."""
    asked, total, listed = doubts["asked"], doubts["total"], len(doubts["listed"])
    of = count(asked, "image", "images") + (f" looked at, of {doubts['of']:,}" if asked < doubts["of"] else "")
    said = f"Of {of}, {total:,} {'lies' if total == 1 else 'lie'} among others of another label, {BY[doubts['by']]}"
    left = f"; the surest {listed:,} are listed" if listed < total else ""
    return f"{said}: the {doubts['neighbours']} nearest vote for that one{left}."


def chosen_labels(labels: list[str], confused: list[dict[str, Any]]) -> list[str]:
    """Return at most 8 labels that get a colour: those that are confused most, then the most frequent."""
    frequent = Counter(labels)
    order: dict[str, None] = {}
    if len(frequent) > MOST_GROUPS:
        for entry in confused:
            order |= {name: None for name in (entry["label"], entry["other"]) if frequent[name]}
    order |= dict.fromkeys(sorted(frequent, key=lambda name: (-frequent[name], name)))
    return sorted(list(order)[:MOST_GROUPS])


def mapped(report: Report, projection: Report, labels: Sequence[str], once: bool = False) -> Report:
    """Return the maps: "charts" (title, kind, chart), "legend" (sign, name, images), "shares", "head" and "rows".

    There are two, or one without a baseline, under one legend; "shares" and the table say whose nearest point is alike.
    With `once`, as where nothing is trained and before is after, there is one.
    """
    names = [labels[row] if row < len(labels) else "" for row in np.asarray(projection["rows"]).tolist()]
    known = sorted({name for name in names if name})
    chosen = chosen_labels([name for name in names if name], report.get("leaks") or [])
    numbers = {name: i for i, name in enumerate(chosen)}
    groups = np.array([numbers.get(name, -1) for name in names])
    each, every = Counter(names), np.array(names)
    judged = np.array([bool(name) and each[name] > 1 for name in names])  # no point is near one of its label otherwise

    charts, nearest = [], {}
    titles = {"before": "Before: the baseline's features", "after": "After: your embeddings"}
    if once:
        titles = {"after": "Your embeddings"}
    for side, title in titles.items():
        if projection.get(side) is None:
            continue
        points = np.asarray(projection[side], dtype=np.float64)
        kind = projection.get(f"{side}_kind") or "t-SNE"
        if judged.any():
            nearest[side] = agreement(np.asarray(points, dtype=np.float32), every)
        charts.append((title, kind, map_chart(f"map-{side}", f"{title} ({kind})", points, groups, chosen)))
    legend = [(key(i), name, each[name]) for i, name in enumerate(chosen)]
    others = len(names) - sum(each[name] for name in chosen)
    if others:
        legend.append((key(None), "other labels" if len(known) > len(chosen) else "without a label", others))

    def share(side: str, points: Flags) -> str:
        return percent(float(nearest[side][points].mean()), 0)

    rows = [
        (name, count(each[name]), *(share(side, every == name) if each[name] > 1 else NONE for side in nearest))
        for name in known
    ]
    return {
        "charts": charts,
        "legend": legend,
        "shares": [f"{share(side, judged)} {'of the points' if once else side}" for side in nearest],
        "head": ("label", "images", *(f"nearest point has the label{'' if once else f', {side}'}" for side in nearest)),
        "rows": rows,
    }
