"""report.html: one file that a person looks at and a statistician accepts; no script, no request to anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from simsearch.evaluation import figures
from simsearch.evaluation.details.projection import LEAST
from simsearch.page.dates import moment
from simsearch.page.html import Pictures, count, get
from simsearch.page.templates import draw, page
from simsearch.report import gallery, head, known, verdict
from simsearch.report.sections import defective, errors, further, good, photos, scores, table, tuning, unknown
from simsearch.report.sections.summaries import holds
from simsearch.report.summary import asked_words
from simsearch.report.words import BASELINE, MEANINGS, system_words

_SECTIONS = {
    "defects": "Defects",
    "good": "How good is my search?",
    "scores": "What a score means",
    "unknown": "Known, or none of these?",
    "errors": "Where it errs",
    "compared": "Is it better than the baseline?",
    "systems": "All systems",
    "index": "Index",
    "map": "Map",
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
    link: Callable[[int], str | None] = lambda row: None,
    look: Callable[[int], tuple[bytes, bytes] | None] = lambda row: None,
) -> str:
    """Return the page as HTML, to be written as UTF-8; what is missing in the arguments is left out of it.

    `report` is report.json. `details`: "neighbours" [{"kind": "typical" | "boundary" | "worst", "row", "label", "hits":
    [{"row", "score", "label"}]}], "norm_buckets" with curves and "examples", "roc" {system: [[far, tar], ...]} (without
    it the ROC is drawn through its ticks). `projection` is what `project` returns, with rows of the dataset.
    `picture(row)` is a thumbnail (WebP, at most 96 px), `link(row)` the address of the whole picture or None,
    `look(row)` a larger picture of a row and one of the heat of its places or None (WebP both), `name(row)` the image's
    name, `labels[row]` its label ("": none). `facts`: "counts" {"images": n, ...}, "when", "far" (far.json),
    "quarantine" [[image, reason]] (of "bad" files in all), "recipe_toml", "stages" [{"name", "digest", "seconds"}],
    "versions" {name: version}, "machine",
    "command", "defects" and "defect_words" (defects.json, and lines on it, of a build that has it),
    "choice" (how the index was chosen, as index.json has it), "trained" (whether anything was), "vectors"
    (whether it is a build of vectors), "of_files" (of files that may change), "head" (only a head was trained).
    """
    pictures = Pictures(picture, name, labels, link, look)
    values = {
        "report": report,
        "details": details,
        "projection": projection,
        "pictures": pictures,
        "labels": labels,
        "facts": facts,
        "saved": base64.b64encode(json.dumps(report, allow_nan=False).encode()).decode(),
    }
    folded = holds(report, projection, facts)
    if report.get("unanswerable") is None:  # without labels the map is the most that there is to look at
        folded.pop("map")
    sections = []
    for anchor, title in _SECTIONS.items():
        if body := section(anchor, **values):
            shut = anchor in folded
            body = draw("report/sections/folded.html", holds=folded[anchor], body=body) if shut else body
            sections.append((anchor, title, body))
    return page(
        title=f"{report['build']}: search quality",
        heading=report["build"],
        description=report.get("summary") or "",
        about=_about(report, facts),
        sections=sections,
        pictures=pictures,
        json=report,
    )


def section(anchor: str, **values: Any) -> Markup:
    """Return a section of the page; its template says which of the arguments of `render_page` it needs."""
    words_of = (verdict, gallery, head, known, figures)
    asked = (*words_of, defective, errors, further, good, photos, scores, table, tuning, unknown)
    rooms = {room.__name__.rpartition(".")[2]: room for room in asked}
    words = {"LEAST": LEAST, "BASELINE": BASELINE, "MEANINGS": MEANINGS, "system_words": system_words}
    return draw(f"report/sections/{anchor}.html", **words, **rooms, **values)


def _about(report: Report, facts: Report) -> str:
    images, labels = get(facts, "counts", "images"), report.get("classes")
    parts = [count(n, one, f"{one}s") for n, one in ((images, "image"), (labels, "label")) if n is not None]
    parts += [asked_words(report), f"{count(report['gallery'])} searched"]
    parts += [f"made {moment(facts['when'])}"] if facts.get("when") else []
    return " · ".join(parts)
