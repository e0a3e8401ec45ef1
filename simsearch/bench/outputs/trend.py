"""The trend page: one HTML file, without scripts or requests, that says how tonight went and how it came to that."""

from __future__ import annotations

from importlib.resources import files

from simsearch.bench.outputs import series, words
from simsearch.bench.outputs.changed import changed
from simsearch.bench.outputs.lines import trends
from simsearch.bench.records import Story
from simsearch.page.frame import Section, frame
from simsearch.page.html import NONE, paragraph, table, text

_BADGES = {
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
        title=f"Nightly: {words.outcome(story)}, {words.day(night.started)}",
        heading="Nightly",
        description=words.sentence(story),
        about=f"night {night.number} · {text(night.started)} · {text(night.machine)}",
        sections=[section for section in sections if section[2]],
        style=files("simsearch.bench.outputs").joinpath("trend.css").read_text(encoding="utf-8"),
    )


def _verdict(story: Story) -> str:
    kind, word = _BADGES[words.outcome(story)]
    found, total = words.counts(story), len(words.results(story))
    worse = len(story.verdict.worse)
    cards = [("cells held", f"{found.get(words.HELD, 0)} of {total}")] if story.accepted is not None else []
    cards.append(("figures worse", f"{worse} of {len(story.verdict.findings)}"))
    other = [(state.lower(), number) for state, number in found.items() if state not in (words.HELD, words.WORSE)]
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
        accepted = "" if "accepted" not in mark else f"<b>accepted</b>{_reason(mark['accepted'])}"
        moved = "; ".join(f"{kind}: {told}" for kind, told in mark.items() if kind != "accepted")
        verdict = night.verdict or (words.outcome(story) if night.number == story.night.number else "not finished")
        rows.append(
            (
                f"{night.number}",
                text(night.started[:16]).replace("T", "\u00a0"),
                text(verdict),
                f"{measured} of {len(results)}",
                accepted or NONE,
                text(moved) or NONE,
            )
        )
    head = ("night", "started", "verdict", "cells measured", "accepted", "changed since the night before")
    older = len(series.nights(story)) - len(shown)
    left = (
        f" {words.plural(older, 'older night is', 'older nights are')} in the history and its export." if older else ""
    )
    told = paragraph(f"The newest night first.{left}") if left else ""
    return told + table("Nights, the newest first", head, rows, words=(0, 1, 2, 4, 5))


def _reason(reason: str) -> str:
    return "" if reason == "accepted" else f": {text(reason)}"


def _cells(story: Story) -> str:
    state = words.states(story)
    rows = []
    for result in words.results(story):
        word = state[result.cell.name]
        bad = word in (words.WORSE, words.BROKEN)
        shown = f'<b class="worse">{text(word)}</b>' if bad else text(word)
        figures = (text(words.column(result, metric, k)).replace("-", NONE) for _, metric, k in words.COLUMNS)
        seconds = f"{sum(result.seconds.values()):.1f}" if result.seconds else NONE
        rows.append((text(result.cell.name), shown, *figures, seconds))
    if not rows:
        return paragraph("No cell was run.")
    head = ("cell", "verdict", *(text(head) for head, _, _ in words.COLUMNS), "seconds")
    return table("Cells of tonight", head, rows, words=(0, 1))


def _made(story: Story) -> str:
    night, accepted = story.night, story.accepted
    against = "no accepted night" if accepted is None else f"night {accepted.number}, {accepted.started}"
    about = {
        "night": f"{night.number}, started {night.started}, finished {night.finished or 'not yet'}",
        "held against": against,
        "commit": night.commit or "unknown",
        "code": night.code,
        "matrix": night.matrix,
        "machine": f"{night.machine} ({night.fingerprint})",
        **{name: version or "unknown" for name, version in night.versions.items()},
    }
    rows = [(text(name), text(value)) for name, value in about.items()]
    notes = "".join(f"<li>{text(note)}</li>" for note in words.notes(story))
    shown = f"<h3>Notes</h3><ul>{notes}</ul>" if notes else ""
    return shown + table("Night, machine and versions", ("what", "which"), rows, words=(0, 1))
