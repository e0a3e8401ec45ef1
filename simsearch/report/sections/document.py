"""report.html: one file that a person looks at and a statistician accepts; no script, no request to anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from simsearch.evaluation import figures
from simsearch.evaluation.details.projection import LEAST
from simsearch.page.html import Pictures, count, get
from simsearch.page.templates import draw, page
from simsearch.report import known, verdict
from simsearch.report.sections import errors, scores, table, tuning

_SECTIONS = {
    "verdict": "Verdict",
    "see": "See it",
    "errors": "Where it errs",
    "scores": "What a score means",
    "map": "Map before and after",
    "systems": "All systems",
    "index": "Index",
    "data": "Data",
    "made": "How it was made",
}

Report = dict[str, Any]


def render_page(
    *,
    report: Report,
    details: Report,
    projection: Report | None,
    picture: Callable[[int], bytes | None],
    name: Callable[[int], str],
    labels: list[str],
    facts: Report,
) -> str:
    """Return the page as HTML, to be written as UTF-8; what is missing in the arguments is left out of it.

    `report` is report.json. `details`: "neighbours" [{"kind": "typical" | "boundary" | "worst", "row", "label", "hits":
    [{"row", "score", "label"}]}], "norm_buckets" with curves and "examples", "roc" {system: [[far, tar], ...]} (without
    it the ROC is drawn through its ticks). `projection` is what `project` returns, with rows of the dataset.
    `picture(row)` is a thumbnail (WebP, at most 96 px), `name(row)` the image's name, `labels[row]` its label ("":
    none). `facts`: "counts" {"images": n, ...}, "when", "far" (far.json), "quarantine" [[image, reason]] (of
    "bad" files in all), "recipe_toml", "stages" [{"name", "digest", "seconds"}], "versions" {name: version}, "machine",
    "command", "choice" (how the index was chosen, as index.json has it).
    """
    pictures = Pictures(picture, name, labels)
    values = {
        "report": report,
        "details": details,
        "projection": projection,
        "pictures": pictures,
        "labels": labels,
        "facts": facts,
        "saved": base64.b64encode(json.dumps(report, allow_nan=False).encode()).decode(),
    }
    sections = [(anchor, title, section(anchor, **values)) for anchor, title in _SECTIONS.items()]
    return page(
        title=f"{report['build']}: search quality",
        heading=report["build"],
        description=report.get("summary") or "",
        about=_about(report, facts),
        sections=[found for found in sections if found[2]],
        pictures=pictures,
        json=report,
    )


def section(anchor: str, **values: Any) -> Markup:
    """Return a section of the page; its template says which of the arguments of `render_page` it needs."""
    rooms = {
        room.__name__.rpartition(".")[2]: room for room in (verdict, known, figures, errors, scores, table, tuning)
    }
    return draw(f"report/sections/{anchor}.html", LEAST=LEAST, **rooms, **values)


def _about(report: Report, facts: Report) -> str:
    images, labels = get(facts, "counts", "images"), report.get("classes")
    parts = [count(n, one, f"{one}s") for n, one in ((images, "image"), (labels, "label")) if n is not None]
    parts += [count(report["queries"], "query", "queries"), f"{count(report['gallery'])} searched"]
    parts += [f"made {facts['when'][:10]}"] if facts.get("when") else []
    return " · ".join(parts)
