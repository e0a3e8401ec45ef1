"""The trend page: one HTML file, without scripts or requests, that says how tonight went and how it came to that."""

from __future__ import annotations

from importlib.resources import files

from simsearch.bench.outputs import contents, series, words
from simsearch.bench.outputs.changed import changed, worse
from simsearch.bench.outputs.over_nights import trends
from simsearch.bench.records import Story
from simsearch.page.frame import Section, frame
from simsearch.page.html import NONE, paragraph, table, text

BADGES = {
    "pass": ("held", "pass"),
    "regression": ("opposite", "regression"),
    "failed": ("", "could not run everything"),
    "abandoned": ("", "abandoned"),
}


def trend_page(story: Story) -> str:
    """Return the page as HTML, to be written as UTF-8: verdict, counts, what changed and why, charts, nights.

    At most 60 nights are drawn, at most 24 cells a metric, and at most 2.4 MB of pictures shown; what is left out is
    said.
    """
    sections: list[Section] = [("verdict", "Verdict", _verdict(story)), ("changed", "What changed", changed(story))]
    shown = series.drawn(story)
    sections += [
        ("trends", "Trends", trends(story, shown)),
        ("nights", "Nights", _nights(story, shown)),
        ("cells", "All cells tonight", _cells(story)),
        ("made", "How it was made", _made(story)),
    ]
    night = story.night
    return frame(
        title=f"Nightly: {contents.outcome(story)}, {words.day(night.started)}",
        heading="Nightly",
        description=words.sentence(story),
        about=f"night {night.number} · {text(night.started)} · {text(night.machine)}",
        sections=[section for section in sections if section[2]],
        style=files("simsearch.bench.outputs").joinpath("trend.css").read_text(encoding="utf-8"),
    )


def _verdict(story: Story) -> str:
    kind, word = BADGES[contents.outcome(story)]
    found, total = contents.counts(story), len(contents.results(story))
    cards = [("cells held", f"{found.get(contents.HELD, 0)} of {total}")] if story.accepted is not None else []
    cards.append(("figures worse", f"{len(story.verdict.worse)} of {len(story.verdict.findings)}"))
    other = [(state.lower(), number) for state, number in found.items() if state not in (contents.HELD, contents.WORSE)]
    cards += [(f"cells {state}", str(number)) for state, number in other]
    figures = "".join(f'<div><dt>{text(name)}</dt><dd class="large">{text(value)}</dd></div>' for name, value in cards)
    return (
        f'<p class="lead">{text(words.sentence(story))}</p>'
        f'<p class="claim"><span class="badge {kind}">{word}</span></p><dl class="figures">{figures}</dl>'
    )


def _nights(story: Story, shown: list[series.Drawn]) -> str:
    marks = series.marks(story, shown)
    rows = []
    for (night, results), mark in zip(reversed(shown), reversed(marks), strict=True):
        measured = sum(result.status == "measured" for result in results)
        reason = mark.pop("accepted", None)
        why = "" if reason == "accepted" else f": {text(reason)}"
        moved = "; ".join(f"{kind}: {told}" for kind, told in mark.items())
        verdict = night.verdict or (contents.outcome(story) if night.number == story.night.number else "not finished")
        rows.append(
            (
                f"{night.number}",
                text(night.started[:16]).replace("T", "\u00a0"),
                text(verdict),
                f"{measured} of {len(results)}",
                NONE if reason is None else f"<b>accepted</b>{why}",
                text(moved) or NONE,
            )
        )
    head = ("night", "started", "verdict", "cells measured", "accepted", "changed since the night before")
    older = series.older(story, len(shown))
    told = paragraph(f"The newest night first. {series.left_out(older)}") if older else ""
    return told + table("Nights, the newest first", head, rows, words=(0, 1, 2, 4, 5))


def _cells(story: Story) -> str:
    rows = []
    for result, word, figures in contents.cells(story):
        shown = worse(word) if word in (contents.WORSE, contents.BROKEN) else text(word)
        seconds = f"{sum(result.seconds.values()):.1f}" if result.seconds else NONE
        rows.append((text(result.cell.name), shown, *(text(value).replace("-", NONE) for value in figures), seconds))
    head = ("cell", "verdict", *(text(head) for head, _, _ in contents.COLUMNS), "seconds")
    return table("Cells of tonight", head, rows, words=(0, 1)) if rows else paragraph("No cell was run.")


def _made(story: Story) -> str:
    rows = [(text(name), text(value)) for name, value in contents.made(story).items()]
    notes = "".join(f"<li>{text(note)}</li>" for note in contents.notes(story))
    shown = f"<h3>Notes</h3><ul>{notes}</ul>" if notes else ""
    return shown + table("Night, machine and versions", ("what", "which"), rows, words=(0, 1))
