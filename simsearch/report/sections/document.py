"""report.html: one file that a person looks at and a statistician accepts; no script, no request to anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from simsearch.evaluation.details.projection import LEAST
from simsearch.page.frame import frame
from simsearch.page.html import Pictures, count, paragraph, text
from simsearch.report.sections.answer import figures, strips, verdict
from simsearch.report.sections.errors import leaks, maps
from simsearch.report.sections.facts import data, index, made
from simsearch.report.sections.scores import recall_lines, scores
from simsearch.report.sections.table import systems

_UNLABELLED = "The images have no labels, so there is no right or wrong to count."

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
    none). `facts`: "counts" {"images": n, ...}, "when", "milliseconds" (median of a query), "far" (far.json),
    "quarantine" [[image, reason]] (of "bad" files in all), "recipe_toml", "stages" [{"name", "digest", "seconds"}],
    "versions" {name: version}, "machine", "command",
    "choice" (how the index was chosen, as index.json has it).
    """
    pictures = Pictures(picture, name, labels)
    labelled = report.get("unanswerable") is not None
    shown = strips(details.get("neighbours") or [], pictures)
    errors = leaks(report, pictures)
    meaning = scores(report, details, facts.get("far"), pictures)
    sections = [
        ("verdict", "Verdict", verdict(report) + figures(report, facts.get("milliseconds"))),
        ("see", "See it", shown),
        ("errors", "Where it errs", errors or ("" if labelled else paragraph(_UNLABELLED))),
        ("scores", "What a score means", meaning),
        ("map", "Map before and after", _map(report, projection, labels)),
        ("systems", "All systems", recall_lines(report) + systems(report)),
        ("index", "Index", index(report, facts.get("choice"))),
        ("data", "Data", data(report, facts, pictures)),
        ("made", "How it was made", made(report, facts)),
    ]
    sections = [(anchor, title, body) for anchor, title, body in sections if body]
    if pictures.left_out:
        left = f"{count(pictures.left_out, 'picture', 'pictures')} left out to keep this file small."
        sections[-1] = (*sections[-1][:2], sections[-1][2] + paragraph(left))
    return frame(
        title=f"{report['build']}: search quality",
        heading=report["build"],
        description=report.get("summary") or "",
        about=_about(report, facts),
        sections=sections,
        symbols=pictures.symbols(),
        end=f'<script type="application/json" id="report">{json_in_html(report)}</script>',
    )


def _map(report: Report, projection: Report | None, labels: list[str]) -> str:
    if projection is not None:
        return maps(report, projection, labels)
    few = report["queries"] < LEAST
    return paragraph(f"No map: {f'fewer than {LEAST} images' if few else 'the recipe says map = false'}.")


def json_in_html(value: Any) -> str:
    """Return JSON that no HTML parser can leave: <, > and & are written as escapes, and so is all beyond ASCII."""
    found = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return found.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _about(report: Report, facts: Report) -> str:
    images = (facts.get("counts") or {}).get("images")
    parts = [] if images is None else [count(images, "image", "images")]
    if report.get("classes") is not None:
        parts.append(count(report["classes"], "label", "labels"))
    parts += [count(report["queries"], "query", "queries"), f"{count(report['gallery'])} searched"]
    if facts.get("when"):
        parts.append(f"made {text(str(facts['when'])[:10])}")
    return " · ".join(parts)
