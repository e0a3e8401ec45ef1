"""The sections of the report page about labels: which leak into each other, and the map of before and after."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from simsearch.evaluation.details.projection import agreement
from simsearch.evaluation.figures import first_k, headline_k
from simsearch.page.charts import MOST_GROUPS, key, map_chart
from simsearch.page.html import NONE, Pictures, count, get, more, number, paragraph, percent, short, table, text

_LEAKS = 10
_WORST = 10
_ROWS = 200  # of a table under <details>; of labels report.json keeps as many

Report = dict[str, Any]


def leaks(report: Report, pictures: Pictures) -> str:
    """Return the most confused pairs of labels with an example each, then the labels by what went wrong."""
    body = ""
    found = report.get("leaks") or []
    if found:
        lines = []
        for entry in found[:_LEAKS]:
            example = ""
            if entry.get("row") is not None and entry.get("other_row") is not None:
                example = f'<span class="pair">{pictures.show(entry["row"])}{pictures.show(entry["other_row"])}</span>'
            words = f"<b>{short(entry['label'])}</b> answered with <b>{short(entry['other'])}</b>"
            of = f" by {count(entry['queries'], 'query', 'queries')}" if entry.get("queries") is not None else ""
            lines.append(f"<li>{example}<span>{words}<br>{count(entry['count'], 'hit', 'hits')}{of}</span></li>")
        body += f'<h3>Most confused pairs of labels</h3><ol class="leaks">{"".join(lines)}</ol>'
        rest = found[_LEAKS:_ROWS]
        if rest:
            rows = [(text(e["label"]), text(e["other"]), count(e["count"]), count(e.get("queries"))) for e in rest]
            head = ("label of the query", "label of the hit", "hits", "queries")
            body += more("More pairs", table("More confused pairs of labels", head, rows, words=(0, 1)))
    elif report.get("leaks") is not None:
        body += paragraph("No hit carried another label than its query.")
    return body + _labels(report)


def _labels(report: Report) -> str:
    entries = [entry for entry in report.get("per_class") or [] if entry.get("recall")]
    if not entries:
        return ""
    ks = sorted({int(k) for entry in entries for k in entry["recall"]})
    first, last = first_k(ks), headline_k(ks)

    def wrong(entry: dict[str, Any]) -> float:
        error = get(entry, "error", last)
        return -1.0 if error is None else float(error)

    ordered = sorted(entries, key=wrong, reverse=True)
    head = ("label", "queries", f"recall@{first}", f"error@{last}", "MAP@R")
    rows = [
        (
            text(entry["label"]),
            count(entry["queries"]),
            percent(get(entry, "recall", first)),
            percent(get(entry, "error", last)),
            number(entry.get("map_at_r")),
        )
        for entry in ordered
    ]
    body = "<h3>Labels, worst first</h3>" + table(f"Labels by error@{last}, worst first", head, rows[:_WORST])
    if len(rows) > _WORST:
        cut = len(report["per_class"]) >= _ROWS  # as many as are kept
        total = max(len(rows), report.get("classes") or 0) if cut else len(rows)
        left = f" (the first {_ROWS} are kept)" if total > _ROWS else ""
        more_rows = table("The other labels", head, rows[_WORST:_ROWS])
        body += more(f"The other {total - _WORST:,} labels{left}", more_rows)
    return body


def chosen_labels(labels: list[str], confused: list[dict[str, Any]]) -> list[str]:
    """Return at most 8 labels that get a colour: those that are confused most, then the most frequent."""
    frequent = Counter(labels)
    order: dict[str, None] = {}
    if len(frequent) > MOST_GROUPS:
        for entry in confused:
            order |= {name: None for name in (entry["label"], entry["other"]) if frequent[name]}
    order |= dict.fromkeys(sorted(frequent, key=lambda name: (-frequent[name], name)))
    return sorted(list(order)[:MOST_GROUPS])


def maps(report: Report, projection: dict[str, Any], labels: list[str]) -> str:
    """Return the two maps under one legend, and the table of both; one map without a baseline."""
    rows = np.asarray(projection["rows"])
    names = [labels[row] if row < len(labels) else "" for row in rows.tolist()]
    known = sorted({name for name in names if name})
    chosen = chosen_labels([name for name in names if name], report.get("leaks") or [])
    numbers = {name: i for i, name in enumerate(chosen)}
    groups = np.array([numbers.get(name, -1) for name in names])
    each = Counter(names)
    judged = np.array([bool(name) and each[name] > 1 for name in names])  # no point is near one of its label otherwise

    body, nearest = "", {}
    for side, title in (("before", "Before: the baseline's features"), ("after", "After: the recipe's embeddings")):
        if projection.get(side) is None:
            continue
        points = np.asarray(projection[side], dtype=np.float64)
        kind = projection.get(f"{side}_kind") or "t-SNE"
        if judged.any():
            nearest[side] = agreement(np.asarray(points, dtype=np.float32), np.array(names))
        chart = map_chart(f"map-{side}", f"{title} ({kind})", points, groups, chosen)
        body += f"<figure><figcaption>{title} <small>({kind})</small></figcaption>{chart}</figure>"
    if not body:
        return ""
    signs = "".join(f"<li>{key(i)} {text(name)} <small>{each[name]:,}</small></li>" for i, name in enumerate(chosen))
    others = sum(each.values()) - sum(each[name] for name in chosen)
    if others:
        words = "other labels" if len(known) > len(chosen) else "without a label"
        signs += f"<li>{key(None)} {words} <small>{others:,}</small></li>"
    shown = f"The same {count(len(rows), 'image', 'images')}, the same signs."
    if nearest:
        shares = [f"{percent(float(same[judged].mean()), 0)} {side}" for side, same in nearest.items()]
        shown += f" The point nearest to a point has its label for {' and '.join(shares)}."
    shown += " A map bends distances to fit the plane: the figures above are the evidence, this is the picture."
    return (
        paragraph(shown)
        + f'<ul class="legend">{signs}</ul><div class="charts">{body}</div>'
        + (_map_table(names, known, nearest) if known else "")
    )


def _map_table(names: list[str], known: list[str], nearest: dict[str, Any]) -> str:
    every = np.array(names)
    head = ("label", "images", *(f"nearest point has the label, {side}" for side in nearest))
    rows = []
    for name in known[:_ROWS]:
        inside = every == name
        alone = inside.sum() < 2
        shares = (NONE if alone else percent(float(same[inside].mean()), 0) for same in nearest.values())
        rows.append((text(name), count(int(inside.sum())), *shares))
    left = paragraph(f"The first {_ROWS} of {len(known):,} labels.") if len(known) > _ROWS else ""
    return more("The maps as a table", table("The maps, label by label", head, rows) + left)
