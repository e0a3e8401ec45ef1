"""The section of the trend page on what changed tonight: figures, their causes, cells that did not run."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from simsearch.bench.outputs import contents, words
from simsearch.bench.records import Cause, Finding, Story
from simsearch.page.html import NONE, paragraph, table, text

MOST_PICTURE_BYTES = 2_400_000  # 3.2 MB as base64
LOSERS = 10


def changed(story: Story) -> str:
    """Return the rows that changed, the causes with their pictures, and what failed, was dropped, is new or gone."""
    body = _findings(contents.changed(story))
    if not body:
        against = "No night is accepted yet." if story.accepted is None else "No figure changed beyond its tolerance."
        body = paragraph(against)
    room = MOST_PICTURE_BYTES
    drawn: set[bytes] = set()
    for cell, causes in contents.grouped(story):
        for cause, group in causes:
            if cause is None:
                continue
            picture = cause.picture
            left = picture is not None and (picture in drawn or len(picture) > room)
            if picture is not None and not left:
                drawn.add(picture)
                room -= len(picture)
            body += _cause(cell, cause, group, None if left else picture)
            if left:
                again = picture in drawn
                body += paragraph("Its picture is shown above." if again else "Its picture is left out: too large.")
    return body + _failed(story) + _lists(story)


def worse(word: str) -> str:
    """Return a word as HTML that is red, and bold where there is no colour."""
    return f'<b class="worse">{text(word)}</b>'


def _findings(findings: Sequence[Finding]) -> str:
    rows = [
        (
            text(finding.cell),
            worse("WORSE") if finding.worse else "better",
            text(words.figure(finding)),
            words.value(finding, finding.before),
            words.value(finding, finding.after),
            text(words.signed(finding)),
            NONE if words.chance(finding) == "-" else text(words.chance(finding)),
            words.over(finding) or NONE,
        )
        for finding in findings
    ]
    head = ("cell", "verdict", "figure", "before", "after", "difference [95 %]", "p", "over")
    return table("Figures that changed", head, rows, words=(0, 1, 2)) if rows else ""


def _cause(cell: str, cause: Cause, group: Sequence[Finding], picture: bytes | None) -> str:
    moved = "; ".join(f"{words.metric(finding)} {words.change(finding)}" for finding in group)
    why = words.cause(cause)
    body = (
        f"<h3>{text(cell)}</h3>" + paragraph(text(f"{moved}.")) + paragraph(f"<b>{text(why[0].upper() + why[1:])}</b>")
    )
    if picture is not None:
        alt = f"{cell}: queries that lost most, each with its nearest neighbours before and after"
        source = base64.b64encode(picture).decode()
        shown = f'<img src="data:image/png;base64,{source}" alt="{text(alt)}">'
        body += f"<figure>{shown}<figcaption>Queries with their neighbours before and after</figcaption></figure>"
    for what, title, losers in contents.lost(cause):
        rows = [(text(one.name), f"{one.n:,}", f"{one.before:.3f}", f"{one.after:.3f}") for one in losers[:LOSERS]]
        body += table(title, (what, "queries", "before", "after"), rows)
    return f'<div class="cause">{body}</div>'


def _failed(story: Story) -> str:
    rows = [
        (
            text(result.cell.name),
            worse(word) if result.broken else word,
            text(result.stage or NONE),
            text(result.error or NONE),
        )
        for result, word in contents.failed(story)
    ]
    title, head = "Cells that failed", ("cell", "verdict", "stage", "error")
    return f"<h3>{title}</h3>{table(title, head, rows, words=range(4))}" if rows else ""


def _lists(story: Story) -> str:
    body = ""
    for title, rest, names in contents.lists(story):
        items = "".join(f"<li>{text(name)}</li>" for name in names)
        body += f'<h3>{title}{rest}</h3><ul class="lists">{items}</ul>'
    return body
