"""What the terminal shows of a night: plain text of at most 80 columns, no meaning by colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells

from simsearch.bench.judging.metrics import DEFECTS, METRICS
from simsearch.bench.outputs import contents, words
from simsearch.bench.records import Story
from simsearch.console import safe, shorten

WIDTH = 80
LOSERS = 3


def terminal_table(story: Story) -> str:
    """Return the night as lines of at most 80 columns: verdict, a line a cell, what is worse and why, what failed."""
    failed = (f"{word} {result.cell.name} in {words.failure(result)}" for result, word in contents.failed(story))
    better = (
        f"better {finding.cell} {words.metric(finding)} {words.moved(finding)}"
        for finding in story.verdict.findings
        if finding.better
    )
    gone = story.verdict.gone
    notes = [f"gone since the accepted night: {'; '.join(gone)}"] if gone else []
    notes += [f"note: {note}" for note in contents.notes(story)]
    lines = [*wrap(words.sentence(story)), "", *_cells(story)]
    for part in (
        _worse(story),
        *((line for text in texts for line in wrap(text, 0, 2)) for texts in (failed, better, notes)),
    ):
        found = list(part)
        if found:
            lines += ["", *found]
    return "\n".join(lines) + "\n"


def _cells(story: Story) -> Iterator[str]:
    columns = contents.columns(story)
    heads = [
        (head.split()[-1] if metric in DEFECTS else head) if k is None else f"{head[:3]}@{k}"
        for head, metric, k in columns
    ]
    widths = [9 if head == "qps" else len(head) + 1 for head in heads]
    width = WIDTH - sum(widths) - 10  # a word of at most 8 characters follows the figures
    yield f"{'cell':<{width}}{_figures(heads, widths)}"
    for result, word, figures in contents.cells(story):
        name = safe(result.cell.name)
        if cell_len(name) > width:  # on a line of its own: cut in its middle it would read as another cell's
            yield from wrap(name)
            name = ""
        yield f"{name}{' ' * (width - cell_len(name))}{_figures(figures, widths)}  {word}"


def _figures(figures: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{figure:>{width}}" for figure, width in zip(figures, widths, strict=True))


def _worse(story: Story) -> Iterator[str]:
    for cell, causes in contents.grouped(story):
        yield from wrap(f"WORSE {cell}", 0, 2)
        for cause, findings in causes:
            for finding in findings:
                over = "" if finding.n is None else f", {finding.n:,} {METRICS[finding.metric].over[1]}"
                yield from wrap(f"{words.metric(finding)} {words.moved(finding)}{over}", 2, 4)
            yield from wrap(words.cause(cause), 2, 4)
            for _, title, losers in contents.lost(cause):
                shown = "; ".join(
                    f"{shorten(safe(found.name), 40)} {words.loser(found, cause)}" for found in losers[:LOSERS]
                )
                yield from wrap(f"{title[0].lower()}{title[1:]}: {shown}", 2, 4)


def wrap(text: str, first: int = 0, rest: int = 0) -> list[str]:
    """Return `text`, made safe, as lines of at most 80 columns: the first one `first` columns in, the others `rest`."""
    margin = " " * rest
    lines, empty = [" " * first], True
    for word in safe(text).split(" "):
        joined = f"{lines[-1]}{'' if empty else ' '}{word}"
        if cell_len(joined) > WIDTH:
            if not empty:
                lines.append(margin)
            while cell_len(lines[-1] + word) > WIDTH:
                fits = chop_cells(word, WIDTH - len(lines[-1]))[0]
                lines[-1] += fits
                lines.append(margin)
                word = word[len(fits) :]
            joined = lines[-1] + word
        lines[-1], empty = joined, False
    return lines
