"""The trend page: one HTML file, without scripts or requests, that says how tonight went and how it came to that."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from simsearch.bench.outputs import contents, over_nights, series, words
from simsearch.bench.records import Cause, Finding, Story
from simsearch.page.dates import date
from simsearch.page.templates import draw, page

MOST_PICTURE_BYTES = 2_400_000  # 3.2 MB as base64
_SECTIONS = {
    "verdict": "Verdict",
    "changed": "What changed",
    "trends": "Trends",
    "nights": "Nights",
    "cells": "All cells tonight",
    "made": "How it was made",
}


def trend_page(story: Story) -> str:
    """Return the page as HTML, to be written as UTF-8: verdict, counts, what changed and why, charts, nights.

    At most 60 nights are drawn, at most 24 cells a metric, and at most 2.4 MB of pictures shown; what is left out is
    said.
    """
    rooms = {"contents": contents, "over_nights": over_nights, "series": series, "words": words}
    values = {"story": story, "nights": series.drawn(story), "pictured": pictured, **rooms}
    sections = [(name, title, draw(f"bench/outputs/trend/{name}.html", **values)) for name, title in _SECTIONS.items()]
    night = story.night
    return page(
        title=f"Nightly: {contents.outcome(story)}, {date(night.started)}",
        heading="Nightly",
        description=words.sentence(story),
        about=draw("bench/outputs/trend/about.html", night=night),
        sections=[section for section in sections if section[2]],
        style="bench/outputs/trend/trend.css",
    )


def pictured(story: Story) -> Iterator[tuple[str, Cause, Sequence[Finding], str, str]]:
    """Yield cell, cause, its findings, its picture as base64, and why it is left out, of every cause that is known."""
    room = MOST_PICTURE_BYTES
    drawn: set[bytes] = set()
    for cell, cause, group in ((cell, *one) for cell, causes in contents.grouped(story) for one in causes):
        if cause is None:
            continue
        picture, left = cause.picture or b"", ""
        if picture in drawn:
            left = "Its picture is shown above."
        elif len(picture) > room:
            left = "Its picture is left out: too large."
        elif picture:
            drawn.add(picture)
            room -= len(picture)
        yield cell, cause, group, "" if left else base64.b64encode(picture).decode(), left
