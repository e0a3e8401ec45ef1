"""The section of the report page about single scores: ROC, false alarms, and pairs of short and of long features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simsearch.console import one_in
from simsearch.evaluation.details.norm_buckets import BUCKETS
from simsearch.evaluation.verification import FALSE_ACCEPT_RATES
from simsearch.page.charts import Series, recall_chart, roc_chart
from simsearch.page.html import Pictures, count, get, more, number, paragraph, percent, table, text

# The four that a chart shows: the headline, the baseline as it is searched, and both with normalization alone.
_SHOWN = ("baseline/raw-l2", "baseline/raw-ip", "baseline/cosine", "recipe/index")
_KINDS = ("same", "different")
_SPACES = (
    ("baseline", "Baseline, raw features"),
    ("baseline_cosine", ""),  # in the table only
    ("recipe", "Recipe, embeddings, the same pairs"),
)
_EXAMPLES = 12
_LEAST_PAIRS = 100  # of one label and of two in a bucket, before its AUC is compared

Report = dict[str, Any]
Curve = list[tuple[float, float]]


def recall_lines(report: Report) -> str:
    """Return recall over k as a chart with its table; nothing without labels or for a single k."""
    ks = report["k"]
    lines, rows = [], []
    for look, name in enumerate(_SHOWN):
        recall = get(report["systems"], name, "recall")
        if recall is None or any(recall.get(str(k)) is None for k in ks):
            continue
        ends = [get(report["systems"], name, "intervals", "recall", k) for k in ks]
        lines.append(Series(name, look, [(k, recall[str(k)]) for k in ks], ends))
        rows.append((text(name), *(percent(recall[str(k)]) for k in ks)))
    if not lines or len(ks) < 2:
        return ""
    told = more("The chart as a table", table("Recall by k", ("system", *(f"recall@{k}" for k in ks)), rows))
    words = "Share of queries with an image of their label among the first k hits"
    return f"<figure><figcaption>{words}</figcaption>{recall_chart('recall', words, ks, lines)}{told}</figure>"


def scores(report: Report, details: Report, far: Any, pictures: Pictures) -> str:
    """Return what a score means: ROC, score and false alarms, features by norm; nothing without labelled pairs."""
    return _roc(report, details) + _false_alarms(far) + _norms(report, details, pictures)


def _roc(report: Report, details: Report) -> str:
    lines = []
    measured = any(get(details, "roc", name) for name in _SHOWN)
    for look, name in enumerate(_SHOWN):
        found = get(details, "roc", name)
        curve = _curve(found, get(report["systems"], name, "tar_at_far"))
        if curve and (found or not measured):  # straight lines between four ticks look wrong beside real curves
            lines.append(Series(name, look, curve))
    if not lines:
        return ""
    found = report.get("verification") or {}
    words = "Two images of one label, or of two? "
    if found:
        sampled = " (a seeded sample)" if found.get("sampled") else ""
        words += (
            f"Counted over {count(found.get('pairs'))} pairs of queries{sampled}: {count(found.get('same'))} of one "
            f"label, {count(found.get('different'))} of two."
        )
    title = "ROC: pairs of one label that are accepted, by pairs of two labels that are accepted with them"
    return paragraph(words) + _figure("roc", title, lines)


def _figure(identity: str, title: str, lines: Sequence[Series]) -> str:
    least = min(far for line in lines for far, _ in line.points if far > 0)
    ticks = [far for far in FALSE_ACCEPT_RATES if far >= least * (1 - 1e-9)]
    rows = []
    for line in lines:
        far, tar = zip(*line.points, strict=True)
        values = (float(np.interp(tick, far, tar)) for tick in ticks)
        rows.append((text(line.name), *(percent(value) for value in values)))
    head = ("line", *(f"TAR at {one_in(tick)}" for tick in ticks))
    told = more("The chart as a table", table(title, head, rows))
    chart = roc_chart(identity, title, lines)
    return f"<figure><figcaption>{text(title)}</figcaption>{chart}{told}</figure>"


def _curve(found: Any, ticks: dict[str, float | None] | None) -> Curve:
    """Return (FAR, TAR) ascending: the measured curve [[far, tar], ...], else the ticks and the corner; else [].

    The curve starts at the least tick that has enough pairs to be said anything about.
    """
    if isinstance(found, dict):
        found = found.get("curve")
    known = sorted((float(far), float(tar)) for far, tar in (ticks or {}).items() if tar is not None)
    if not known:
        return []
    if not found:
        return [*known, (1.0, 1.0)]
    far, tar = np.array(sorted((float(x), float(y)) for x, y in found)).T
    least = known[0][0]
    rest = far > least
    return [(least, float(np.interp(least, far, tar))), *zip(far[rest].tolist(), tar[rest].tolist(), strict=True)]


def _false_alarms(far: Any) -> str:
    """Return the table of scores and the share of different-label pairs that reach them."""
    pairs = get(far, "pairs")
    entries = get(far, "table") if isinstance(far, dict) else far
    entries = sorted(((float(score), float(share)) for score, share in entries or []), reverse=True)
    if not entries:
        return ""
    rows = []
    for tick in (0.5, *FALSE_ACCEPT_RATES):
        reached = [score for score, share in entries if 0 <= share <= tick]
        if reached and (pairs is None or tick * pairs >= 1):
            rows.append((number(min(reached)), one_in(tick)))
    images = get(far, "images")
    over = "" if images is None or pairs is None else f": {count(images)} of them, {count(pairs)} pairs"
    words = "How often two images of different labels score at least this, among images that were neither trained on "
    words += f"nor searched with{over}."
    told = table("Score and false alarms", ("score of at least", "different pairs that reach it"), rows)
    return f"<h3>Score and false alarms</h3>{paragraph(words)}{told}" if rows else ""


def _norms(report: Report, details: Report, pictures: Pictures) -> str:
    body, rows = "", []
    for side, title in _SPACES:
        figures = get(report, "norm_buckets", side) or {}
        lines = []
        for look, bucket in enumerate(BUCKETS):
            entry = figures.get(bucket)
            if not entry:
                continue
            rows.append(
                (
                    text(f"{side.replace('_', '/')}, {bucket}-{bucket}"),
                    number(entry.get("roc_auc"), 4),
                    percent(entry.get("eer")),
                    *(percent(get(entry, "tar_at_far", tick)) for tick in ("0.1", "0.01", "0.001")),
                )
            )
            curve = _curve(get(details, "norm_buckets", side, bucket), entry.get("tar_at_far"))
            if curve:
                lines.append(Series(f"{bucket}-{bucket}", look, curve))
        if lines and title:
            body += _figure(f"norms-{side}", title, lines)
    if not rows:
        return ""
    head = ("pairs", "ROC AUC", "EER", "TAR at 1 in 10", "TAR at 1 in 100", "TAR at 1 in 1,000")
    return (
        "<h3>Short, middle and long features</h3>"
        + paragraph(_sentence(report))
        + f'<div class="charts">{body}</div>'
        + table("Pairs by the length of the baseline's features", head, rows)
        + _examples(report, get(details, "norm_buckets", "examples"), pictures)
    )


def _sentence(report: Report) -> str:
    """Return whether the baseline's short features make the worst pairs, as the L2 constraint supposes."""
    areas = {bucket: get(report, "norm_buckets", "baseline", bucket, "roc_auc") for bucket in BUCKETS}
    words = "Images are split in three by the length of the baseline's feature. "
    sizes = [get(report, "norm_buckets", "buckets", bucket, kind) for bucket in BUCKETS for kind in _KINDS]
    if any(area is None for area in areas.values()) or min(size or 0 for size in sizes) < _LEAST_PAIRS:
        return words + f"Some have too few pairs to tell which is the worst: fewer than {_LEAST_PAIRS} of a kind."
    told = ", ".join(f"{bucket} {area:.4f}" for bucket, area in areas.items())
    least = min(round(area, 4) for area in areas.values())
    worst = [bucket for bucket, area in areas.items() if round(area, 4) == least]
    names = " and ".join(f"{bucket}-{bucket}" for bucket in worst)
    if len(worst) == len(BUCKETS):
        return words + f"The baseline's pairs are all alike (AUC: {told})."
    if worst == ["short"]:
        return words + f"The baseline's short-short pairs are the worst, as the L2 constraint supposes (AUC: {told})."
    if "short" in worst:
        return words + f"The baseline's {names} pairs are the worst, and alike (AUC: {told})."
    return words + f"The baseline's short-short pairs are not the worst: {names} pairs are (AUC: {told})."


def _examples(report: Report, examples: Any, pictures: Pictures) -> str:
    body = ""
    for bucket in reversed(BUCKETS):
        rows = (get(examples, bucket) or [])[:_EXAMPLES]
        if rows:
            tiles = "".join(f"<li>{pictures.show(row)}</li>" for row in rows)
            lengths = get(report, "norm_buckets", "buckets", bucket, "norms")
            told = "" if lengths is None else f", lengths {lengths[0]:.3g} to {lengths[1]:.3g}"
            body += f'<h4>{bucket.capitalize()} features{told}</h4><ul class="row">{tiles}</ul>'
    return body
