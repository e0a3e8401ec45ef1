"""What the page says of defect scores: how they are spread, and which pictures are called wrong."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from simsearch.page.charts.scores import score_histogram

SHOWN = 12

Told = dict[str, Any]
Charted = tuple[str, Markup, str, list[str], list[tuple[str, ...]]]


def spread(told: Told) -> Charted:
    """Return the histogram of scores with what a template needs to show it."""
    scored = told["scored"]
    named = [("set the threshold", told["calibration"]["scores"])]
    named += [(name, scored[key]["scores"]) for key, name in (("normal", "other normal"), ("defective", "defective"))
              if scored[key]["scores"]]  # fmt: skip
    title = "Defect scores"
    chart, rows = score_histogram("defect-scores", title, named, told["threshold"])
    return title, chart, title, ["score", *(name for name, _ in named)], rows


def pictures_of(told: Told) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return headed lists of entries {"row", "score"}: what was called wrong, the borderline, the surest."""
    threshold = told["threshold"]
    normal, defective = (
        [{"row": row, "score": score} for row, score in zip(one["rows"], one["scores"], strict=True)]
        for one in (told["scored"]["normal"], told["scored"]["defective"])
    )
    by_score = [sorted(one, key=lambda entry: entry["score"]) for one in (normal, defective)]
    alarms = [entry for entry in reversed(by_score[0]) if entry["score"] >= threshold]
    missed = [entry for entry in by_score[1] if entry["score"] < threshold]
    near = sorted((*normal, *defective), key=lambda entry: abs(entry["score"] - threshold))
    lists = [
        ("Normal, and called defective", alarms),
        ("Defective, and called normal", missed),
        ("Nearest to the threshold", near),
        ("Surest defects", by_score[1][::-1]),
    ]
    return [(title, entries[:SHOWN]) for title, entries in lists if entries]
