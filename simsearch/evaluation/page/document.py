"""report.html: one file that a person looks at and a statistician accepts; no script, no request to anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from simsearch.evaluation.page.answer import figures, strips, verdict
from simsearch.evaluation.page.errors import leaks, maps
from simsearch.evaluation.page.facts import data, index, made
from simsearch.evaluation.page.html import Pictures, count, paragraph, text
from simsearch.evaluation.page.scores import recall_lines, scores
from simsearch.evaluation.page.systems import systems
from simsearch.evaluation.projection import LEAST

# Nothing is loaded and nothing runs: the pictures are data: URIs, the styles stand in the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
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
    return _document(report, facts, sections, pictures.symbols())


def _map(report: Report, projection: Report | None, labels: list[str]) -> str:
    if projection is not None:
        return maps(report, projection, labels)
    few = report["queries"] < LEAST
    return paragraph(f"No map: {f'fewer than {LEAST} images' if few else 'the recipe says map = false'}.")


def _document(report: Report, facts: Report, sections: list[tuple[str, str, str]], symbols: str) -> str:
    title = text(report["build"])
    entries = "".join(f'<li><a href="#{anchor}">{words}</a></li>' for anchor, words, _ in sections)
    body = "".join(
        f'<section id="{anchor}" aria-labelledby="{anchor}-h"><h2 id="{anchor}-h">{words}</h2>{content}</section>'
        for anchor, words, content in sections
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="description" content="{text(report.get("summary") or "")}">'
        f'<meta name="referrer" content="no-referrer">'
        f"<title>{title}: search quality</title><style>{_style()}</style></head><body>"
        f'<a class="skip" href="#verdict">Skip to the verdict</a>{symbols}'
        f"<header><h1>{title}</h1>{paragraph(_about(report, facts))}</header>"
        f'<nav aria-label="Contents"><ol>{entries}</ol></nav><main>{body}</main>'
        f"<footer>{paragraph('Made by simsearch. This file asks nothing of any server.')}</footer>"
        f'<script type="application/json" id="report">{json_in_html(report)}</script></body></html>\n'
    )


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


def _style() -> str:
    return files("simsearch.evaluation.page").joinpath("page.css").read_text(encoding="utf-8")
