"""The section of the trend page on what changed tonight: figures, their causes, cells that did not run."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from simsearch.bench.outputs import words
from simsearch.bench.records import Cause, Finding, Loser, Story
from simsearch.page.html import NONE, paragraph, table, text

_MOST_PICTURE_BYTES = 2_400_000  # 3.2 MB as base64
_LOSERS = 10


def changed(story: Story) -> str:
    """Return the rows that changed, the causes with their pictures, and what failed, was dropped, is new or gone."""
    groups = words.grouped(story.verdict.worse)
    worse = [finding for _, causes in groups for _, group in causes for finding in group]
    better = [finding for finding in story.verdict.findings if finding.better]
    body = _findings(worse, better)
    if not body:
        against = "No night is accepted yet." if story.accepted is None else "No figure changed beyond its tolerance."
        body = paragraph(against)
    room = _MOST_PICTURE_BYTES
    drawn: set[bytes] = set()
    for cell, causes in groups:
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


def _findings(worse: Sequence[Finding], better: Sequence[Finding]) -> str:
    rows = []
    for finding in [*worse, *better]:
        word = '<b class="worse">WORSE</b>' if finding.worse else "better"
        rows.append(
            (
                text(finding.cell),
                word,
                text(words.figure(finding)),
                words.value(finding, finding.before),
                words.value(finding, finding.after),
                text(words.signed(finding)),
                NONE if words.chance(finding) == "-" else text(words.chance(finding)),
                words.over(finding) or NONE,
            )
        )
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
    body += _losers("class", f"Classes that lost most{words.of(cause)}", cause.classes)
    body += _losers("query", f"Queries that lost most{words.of(cause)}", cause.queries)
    return f'<div class="cause">{body}</div>'


def _losers(what: str, caption: str, losers: Sequence[Loser]) -> str:
    rows = [
        (text(loser.name), f"{loser.n:,}", f"{loser.before:.3f}", f"{loser.after:.3f}") for loser in losers[:_LOSERS]
    ]
    return table(caption, (what, "queries", "before", "after"), rows) if rows else ""


def _failed(story: Story) -> str:
    state = words.states(story)
    rows = []
    for result in words.results(story):
        if result.status == "failed":
            word = state[result.cell.name]
            shown = f'<b class="worse">{word}</b>' if result.broken else word
            rows.append((text(result.cell.name), shown, text(result.stage or NONE), text(result.error or NONE)))
    if not rows:
        return ""
    return "<h3>Cells that failed</h3>" + table(
        "Cells that failed", ("cell", "verdict", "stage", "error"), rows, words=range(4)
    )


def _lists(story: Story) -> str:
    dropped = [result.cell.name for result in words.results(story) if result.status == "dropped"]
    new = story.verdict.new if story.accepted is not None else ()
    body = ""
    titles = ("Dropped for time", "New, not compared", "Gone since the accepted night")
    for title, names in zip(titles, (dropped, new, story.verdict.gone), strict=True):
        if names:
            items = "".join(f"<li>{text(name)}</li>" for name in names)
            body += f'<h3>{title}</h3><ul class="lists">{items}</ul>'
    return body
