"""The one line of each folded section of the report page: what is found when it is opened."""

from __future__ import annotations

from typing import Any

from simsearch.page.html import count, get
from simsearch.report.sections.table import figure_rows
from simsearch.report.verdict import comparisons

Report = dict[str, Any]


def holds(report: Report, projection: Report | None, facts: Report) -> dict[str, str]:
    """Return what each section that is folded holds, by its anchor."""
    return {
        "systems": _systems(report),
        "index": _index(report["index"]),
        "map": _map(projection, facts),
        "data": _data(report, facts),
        "made": _made(facts),
    }


def _systems(report: Report) -> str:
    figures = sum(len(rows) for _, rows in figure_rows(report))
    entries = comparisons(report)
    parts = [f"{count(len(report['systems']), 'system', 'systems')} in {count(figures, 'figure', 'figures')}"]
    parts += ["each with its interval"] + ([count(len(entries), "comparison", "comparisons")] if entries else [])
    return ", ".join(parts)


def _index(index: Report) -> str:
    how = "every search is exact" if index["factory"] == "Flat" else "how much of exact search it finds, and how fast"
    return ", ".join([index["factory"], count(index.get("ntotal"), "row", "rows"), how])


def _map(projection: Report | None, facts: Report) -> str:
    if projection is None:
        return ""
    images = count(len(projection["rows"]), "image", "images")
    sides = "before and after training" if projection.get("before") is not None else "as dots"
    return f"{images} in the plane, {sides if facts.get('trained', True) else 'as dots'}"


def _data(report: Report, facts: Report) -> str:
    images, bad = get(facts, "counts", "images"), len(facts.get("quarantine") or [])
    bad = max(bad, facts.get("bad") or 0)
    parts = [] if images is None else [count(images, "image", "images")]
    parts += ["the split"] + (["copies and near-duplicates"] if report.get("duplicates") else [])
    parts += [count(bad, "unreadable file", "unreadable files")] if bad else []
    return ", ".join(parts)


def _made(facts: Report) -> str:
    taken = [stage["seconds"] for stage in facts.get("stages") or [] if stage.get("seconds") is not None]
    held = {"the command": "command", "the recipe": "recipe_toml"}
    parts = [words for words, key in held.items() if facts.get(key)]
    parts += ["versions", "report.json"] if facts.get("versions") else ["report.json"]
    return ", ".join(parts) + (f"; {sum(taken):,.0f}\u00a0s in all" if taken else "")
