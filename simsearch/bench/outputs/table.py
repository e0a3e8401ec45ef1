"""What the terminal shows of a night: plain text of at most 80 columns, no meaning by colour."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from simsearch.bench.outputs import words
from simsearch.bench.records import Cause, Story
from simsearch.console import safe, shorten

WIDTH = 80
_HEADINGS = ("rec@1", "err@10", "ann@10", "qps", "p50 ms")
_WIDTHS = (6, 7, 7, 9, 7)  # of the figures; a word of at most 8 characters follows them
_NAME = WIDTH - sum(_WIDTHS) - 10
_LOSERS = 3


def terminal_table(story: Story) -> str:
    """Return the night as lines of at most 80 columns: verdict, a line a cell, what is worse and why, what failed."""
    lines = [*wrap(words.sentence(story)), "", *_cells(story)]
    for part in (_worse(story), _failed(story), _better(story), _notes(story)):
        found = list(part)
        if found:
            lines += ["", *found]
    return "\n".join(lines) + "\n"


def _cells(story: Story) -> Iterator[str]:
    heads = "".join(f"{head:>{width}}" for head, width in zip(_HEADINGS, _WIDTHS, strict=True))
    yield f"{'cell':<{_NAME}}{heads}"
    state = words.states(story)
    for result in words.results(story):
        figures = "".join(
            f"{words.column(result, metric, k):>{width}}"
            for (_, metric, k), width in zip(words.COLUMNS, _WIDTHS, strict=True)
        )
        name = safe(result.cell.name)
        if _columns(name) > _NAME:  # on a line of its own: cut in its middle it would read as another cell's
            yield from wrap(name)
            name = ""
        yield f"{name}{' ' * (_NAME - _columns(name))}{figures}  {state[result.cell.name]}"


def _worse(story: Story) -> Iterator[str]:
    for cell, causes in words.grouped(story.verdict.worse):
        yield from wrap(f"WORSE {cell}", 0, 2)
        for cause, findings in causes:
            for finding in findings:
                over = "" if finding.n is None else f", {finding.n:,} queries"
                yield from wrap(f"{words.metric(finding)} {words.moved(finding)}{over}", 2, 4)
            yield from wrap(words.cause(cause), 2, 4)
            yield from _losers(cause)


def _losers(cause: Cause | None) -> Iterator[str]:
    if cause is None:
        return
    for title, losers in (
        (f"classes that lost most{words.of(cause)}", cause.classes),
        (f"queries that lost most{words.of(cause)}", cause.queries),
    ):
        if losers:
            shown = "; ".join(f"{shorten(safe(found.name), 40)} {words.loser(found)}" for found in losers[:_LOSERS])
            yield from wrap(f"{title}: {shown}", 2, 4)


def _failed(story: Story) -> Iterator[str]:
    state = words.states(story)
    for result in words.results(story):
        if result.status == "failed":
            yield from wrap(f"{state[result.cell.name]} {result.cell.name} in {words.failure(result)}", 0, 2)


def _better(story: Story) -> Iterator[str]:
    for finding in story.verdict.findings:
        if finding.better:
            yield from wrap(f"better {finding.cell} {words.metric(finding)} {words.moved(finding)}", 0, 2)


def _notes(story: Story) -> Iterator[str]:
    if story.verdict.gone:
        yield from wrap(f"gone since the accepted night: {'; '.join(story.verdict.gone)}", 0, 2)
    for note in words.notes(story):
        yield from wrap(f"note: {note}", 0, 2)


def wrap(text: str, first: int = 0, rest: int = 0) -> list[str]:
    """Return `text`, made safe, as lines of at most 80 columns: the first one `first` columns in, the others `rest`."""
    margin = " " * rest
    lines, line = [], " " * first
    empty = True
    for word in safe(text).split(" "):
        while True:
            joined = f"{line}{word}" if empty else f"{line} {word}"
            if _columns(joined) <= WIDTH:
                line, empty = joined, False
                break
            if not empty:
                lines.append(line)
                line, empty = margin, True
                continue
            fits = _fitting(word, WIDTH - _columns(line))
            lines.append(line + word[:fits])
            line, word = margin, word[fits:]
    return [*lines, line]


def _fitting(word: str, room: int) -> int:
    taken = 0
    for place, character in enumerate(word):
        taken += _columns(character)
        if taken > room:
            return place
    return len(word)


def _columns(text: str) -> int:
    """Return how many columns a terminal gives to `text`: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
