"""Groups of duplicates in the corpus, for the data section of the report page."""

from __future__ import annotations

from typing import Any

from simsearch.page.html import Pictures, count, get, more, number, paragraph

_GROUPS, _ROWS = 12, 6  # shown of a kind, and pictures of a group

Report = dict[str, Any]


def groups(report: Report, pictures: Pictures) -> str:
    """Return exact copies, pictures that look alike, and images above a score; nothing for reports without them."""
    found = report.get("duplicates")
    if not found:
        return ""
    body = "<h3>Duplicates in the corpus</h3>"
    copies, looks, score = (found.get(kind) for kind in ("copies", "looks", "score"))
    body += paragraph(_told(copies, "of the very same bytes")) + _shown(copies, pictures)
    if looks is not None:
        body += paragraph(_told(looks, "that look the same, copies apart")) + _shown(looks, pictures)
    above = f"that score above {get(score, 'above')} with the first of their group, copies apart"
    words = _told(score, above) + " A trained space gives such scores to images of one label too."
    return body + paragraph(words) + more("Which", _shown(score, pictures) or paragraph("None."))


def _told(kind: Report, what: str) -> str:
    if not kind["groups"]:
        return f"No images {what}."
    return f"{count(kind['groups'], 'group', 'groups')}, {count(kind['images'])} images in all, {what}."


def _shown(kind: Report, pictures: Pictures) -> str:
    tiles = ""
    for group in kind["listed"][:_GROUPS]:
        shown = "".join(pictures.show(row) for row in group["rows"][:_ROWS])
        words = f"{count(group['images'])} images, score {number(group['score'], 4)}"
        tiles += f'<li><span class="pair">{shown}</span><span>{words}</span></li>'
    rest = kind["groups"] - _GROUPS
    note = paragraph(f"{rest:,} more groups; report.json lists up to 50.") if rest > 0 else ""
    return f'<ul class="leaks">{tiles}</ul>{note}' if tiles else ""
