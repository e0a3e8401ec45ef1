"""What the report page says about single scores: ROC, false alarms, and pairs of short and of long features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from simsearch.console import one_in
from simsearch.evaluation.details.norm_buckets import BUCKETS
from simsearch.evaluation.false_alarms import FALSE_ACCEPT_RATES
from simsearch.evaluation.figures import Place
from simsearch.page.charts import Series, recall_chart, roc_chart
from simsearch.page.html import get, number, percent
from simsearch.report.columns import ends
from simsearch.report.verdict import shown
from simsearch.report.words import system_words

# The four that a chart shows: the headline, the baseline as it is searched, and both with normalization alone.
_SHOWN = ("baseline/raw-l2", "baseline/raw-ip", "baseline/cosine", "recipe/index")
_KINDS = ("same", "different")
_SPACES = {
    "baseline": "The baseline's features, at their own length",
    "baseline_cosine": "",  # in the table only
    "recipe": "Your embeddings, the same pairs",
}
_SIDES = {"baseline": "baseline", "baseline_cosine": system_words("baseline/cosine"), "recipe": "yours"}
_RARE = 1000  # of so many pairs of different labels one reaches a score that the page speaks of
_LEAST_RARE = 100
_LEAST_QUERIES = 6  # in a tenth: with fewer no test reaches .05
_LEAST_PAIRS = 100  # of one label and of two in a bucket, before its AUC is compared

Report = dict[str, Any]
Curve = list[tuple[float, float]]
Charted = tuple[str, Markup, str, Sequence[str], list[tuple[str, ...]]]
"""What a chart shows: title, chart; caption, head and rows of its table."""


def recall_lines(report: Report) -> Charted | None:
    """Return recall over k as a chart with its table; None without labels or for a single k."""
    ks = report["k"]
    lines = []
    for look, name in enumerate(_SHOWN):
        recalls, ends = zip(*(shown(report, name, Place("recall", k)) for k in ks), strict=True)
        if None not in recalls:
            lines.append(Series(system_words(name), look, list(zip(ks, recalls, strict=True)), ends))
    if not lines or len(ks) < 2:
        return None
    title = "Share of queries with an image of their label among the first k hits"
    rows = [(line.name, *(percent(share) for _, share in line.points)) for line in lines]
    head = ("system", *(f"recall@{k}" for k in ks))
    return title, recall_chart("recall", title, ks, lines), "Recall by k", head, rows


def roc(report: Report, details: Report) -> Charted | None:
    """Return the ROC of the systems that a chart shows, those with a measured curve if there are any."""
    lines = []
    measured = any(get(details, "roc", name) for name in _SHOWN)
    for look, name in enumerate(_SHOWN):
        found = get(details, "roc", name)
        curve = _curve(found, get(report["systems"], name, "tar_at_far"))
        if curve and (found or not measured):  # straight lines between four ticks look wrong beside real curves
            lines.append(Series(system_words(name), look, curve))
    title = "ROC: pairs of one label that are accepted, by pairs of two labels that are accepted with them"
    return _charted("roc", title, lines) if lines else None


def norm_charts(report: Report, details: Report) -> list[Charted]:
    """Return the ROC of pairs of short, of middle and of long features, in the spaces that have any."""
    found = []
    for side, title in _SPACES.items():
        lines = []
        for look, bucket in enumerate(BUCKETS):
            ticks = get(report, "norm_buckets", side, bucket, "tar_at_far")
            curve = _curve(get(details, "norm_buckets", side, bucket, "curve"), ticks)
            lines += [Series(f"{bucket}-{bucket}", look, curve)] if curve else []
        found += [_charted(f"norms-{side}", title, lines)] if lines and title else []
    return found


def norm_rows(report: Report) -> list[tuple[str, ...]]:
    """Return the rows of the table of these pairs."""
    return [
        (
            f"{_SIDES[side]}, {bucket}-{bucket}",
            number(entry.get("roc_auc"), 4),
            percent(entry.get("eer")),
            *(percent(get(entry, "tar_at_far", tick)) for tick in FALSE_ACCEPT_RATES[:3]),
        )
        for side in _SPACES
        for bucket in BUCKETS
        if (entry := get(report, "norm_buckets", side, bucket))
    ]


def _charted(identity: str, title: str, lines: Sequence[Series]) -> Charted:
    least = min(far for line in lines for far, _ in line.points if far > 0)
    ticks = [far for far in FALSE_ACCEPT_RATES if far >= least * (1 - 1e-9)]
    rows = []
    for line in lines:
        far, tar = zip(*line.points, strict=True)
        rows.append((line.name, *(percent(float(np.interp(tick, far, tar))) for tick in ticks)))
    head = ("line", *(f"TAR at {one_in(tick)}" for tick in ticks))
    return title, roc_chart(identity, title, lines), title, head, rows


def _curve(found: Any, ticks: dict[str, float | None] | None) -> Curve:
    """Return (FAR, TAR) ascending: the measured curve [[far, tar], ...], else the ticks and the corner; else [].

    The curve starts at the least tick that has enough pairs to be said anything about.
    """
    known = sorted((float(far), float(tar)) for far, tar in (ticks or {}).items() if tar is not None)
    if not known:
        return []
    if not found:
        return [*known, (1.0, 1.0)]
    far, tar = np.array(sorted((float(x), float(y)) for x, y in found)).T
    least = known[0][0]
    rest = far > least
    return [(least, float(np.interp(least, far, tar))), *zip(far[rest].tolist(), tar[rest].tolist(), strict=True)]


def false_alarms(far: Report | None) -> list[tuple[str, str]]:
    """Return the table of scores and the share of different-label pairs that reach them."""
    if far is None:
        return []
    rows = []
    for tick in (0.5, *FALSE_ACCEPT_RATES):
        reached = [score for score, share in far["table"] if 0 <= share <= tick]
        if reached and tick * far["pairs"] >= 1:
            rows.append((number(min(reached)), one_in(tick)))
    return rows


def rare(far: Report) -> str:
    """Return what a high score means, in a sentence: the one that a pair in a thousand reaches, else one in a hundred.

    With fewer pairs than that no score can be called rare.
    """
    score, rate = min(false_alarms(far), key=lambda row: abs(_parts(row[1]) - _RARE))
    if _parts(rate) < _LEAST_RARE:
        return "Too few to tell which score is rare between different labels."
    return f"A score of {score} or more is rare between different labels: {rate} of such pairs reach it."


def _parts(rate: str) -> int:
    return int(rate.rpartition(" ")[2].replace(",", ""))


def first_hits_by_score(report: Report) -> list[tuple[str, ...]]:
    """Return the table of first hits by their score, of wrong ones among them, and of strangers that score as much.

    There is none where a tenth of the queries is too few to tell anything.
    """
    if report["queries"] < 10 * _LEAST_QUERIES:
        return []
    return [
        (
            f"{entry['low']:.3f} to {entry['high']:.3f}",
            f"{entry['queries']:,}",
            f"{entry['wrong']:,} ({percent(entry['share'])})",
            ends(entry["interval"], ".3f"),
            "-" if entry["stranger_rate"] is None else one_in(entry["stranger_rate"]),
        )
        for entry in report.get("first_hits_by_score") or []
    ]


def norms_sentence(report: Report) -> str:
    """Return whether the baseline's short features make the worst pairs, as the L2 constraint supposes."""
    areas = {bucket: get(report, "norm_buckets", "baseline", bucket, "roc_auc") for bucket in BUCKETS}
    sizes = [get(report, "norm_buckets", "buckets", bucket, kind) for bucket in BUCKETS for kind in _KINDS]
    if any(area is None for area in areas.values()) or min(size or 0 for size in sizes) < _LEAST_PAIRS:
        return f"Some have too few pairs to tell which is the worst: fewer than {_LEAST_PAIRS} of a kind."
    told = ", ".join(f"{bucket} {area:.4f}" for bucket, area in areas.items())
    least = min(round(area, 4) for area in areas.values())
    worst = [bucket for bucket, area in areas.items() if round(area, 4) == least]
    names = " and ".join(f"{bucket}-{bucket}" for bucket in worst)
    if len(worst) == len(BUCKETS):
        return f"The baseline's pairs are all alike (AUC: {told})."
    if worst == ["short"]:
        return f"The baseline's short-short pairs are the worst, as the L2 constraint supposes (AUC: {told})."
    if "short" in worst:
        return f"The baseline's {names} pairs are the worst, and alike (AUC: {told})."
    return f"The baseline's short-short pairs are not the worst: {names} pairs are (AUC: {told})."
