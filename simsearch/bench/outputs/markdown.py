"""nightly.md: the night for a pull request or a chat, in GitHub's markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from simsearch.bench.outputs import contents, words
from simsearch.bench.records import Story
from simsearch.console import safe, shorten

PLAIN = re.compile(r"[\w ,.=/:+()'-]+")  # inert in a code span, even where a renderer knows no code spans
MARKS = re.compile(r"[\\`*_{}\[\]()#+!|~$^:@-]")
LOSERS = 10
# A comment on GitHub holds 65,536 characters.
MOST_ROWS, MOST_LOST, MOST_WORDS = 80, 8, 300
HEADS = {"pass": "Nightly: pass", "regression": "Nightly: regression", "failed": "Nightly: could not run everything"}


def nightly_markdown(story: Story) -> str:
    """Return the night as markdown: verdict, tables of what changed, and everything else under <details>.

    It fits into a comment on GitHub: of large matrices the first rows are shown, and how many are left out.
    """
    head = HEADS.get(contents.outcome(story), "Nightly: abandoned")
    parts = [f"## {head}", _text(words.sentence(story))]
    for part in (_changed, _failed, _lists, _lost, _cells, _notes, _made):
        parts += part(story)
    return "\n\n".join(parts) + "\n"


def _changed(story: Story) -> Iterator[str]:
    rows = [
        (
            "**worse**" if finding.worse else "better",
            _name(finding.cell),
            _text(words.figure(finding)),
            words.value(finding, finding.before),
            words.value(finding, finding.after),
            words.signed(finding),
            _text(words.chance(finding)),
            _text(words.stage(finding.cause)) if finding.worse else "",
        )
        for finding in contents.changed(story)
    ]
    if rows:
        yield _table(("", "cell", "figure", "before", "after", "difference [95 %]", "p", "cause"), rows[:MOST_ROWS])
        yield from _left(len(rows) - MOST_ROWS, "changed figures")


def _failed(story: Story) -> Iterator[str]:
    rows = [
        (word, _name(r.cell.name), _name(r.stage or "-"), _text(shorten(r.error or "-", MOST_WORDS)))
        for r, word in contents.failed(story)
    ]
    if rows:
        yield _table(("", "cell", "stage", "error"), rows[:MOST_LOST])
        yield from _left(len(rows) - MOST_LOST, "failed cells")


def _lists(story: Story) -> Iterator[str]:
    for title, _, names in contents.lists(story):
        more = f" and {len(names) - MOST_LOST:,} more" if len(names) > MOST_LOST else ""
        yield f"{title}: {', '.join(_name(name) for name in names[:MOST_LOST])}{more}"


def _lost(story: Story) -> Iterator[str]:
    for cell, causes in contents.grouped(story)[:MOST_LOST]:
        of, rows = "", []
        for cause, _ in causes:
            for what, title, losers in contents.lost(cause):
                of = title.partition(" that lost most")[2]
                rows += [(what, _name(found.name), words.loser(found, cause)) for found in losers[:LOSERS]]
        if rows:
            yield from _details(f"What lost most{of}: {cell}", _table(("", "name", "mean before and after"), rows))


def _cells(story: Story) -> Iterator[str]:
    rows = [(_name(result.cell.name), *figures, word) for result, word, figures in contents.cells(story)]
    if rows:
        heads = ("cell", *(_text(head) for head, _, _ in contents.columns(story)), "")
        shown = [_table(heads, rows[:MOST_ROWS]), *_left(len(rows) - MOST_ROWS, "cells")]
        yield from _details(f"All {words.cells(len(rows))}", "\n\n".join(shown))


def _notes(story: Story) -> Iterator[str]:
    notes = contents.notes(story)
    if notes:
        lines = [f"- {_text(shorten(note, MOST_WORDS))}" for note in notes[:MOST_ROWS]]
        yield from _details(f"Notes ({len(notes)})", "\n".join(lines))


def _made(story: Story) -> Iterator[str]:
    rows = [
        (_name(name), _text(value) if " " in value else _name(value)) for name, value in contents.made(story).items()
    ]
    yield from _details("How it was made", _table(("what", "which"), rows))


def _left(number: int, what: str) -> Iterator[str]:
    if number > 0:
        yield f"{number:,} more {what}: see the trend page."


def _details(summary: str, body: str) -> Iterator[str]:
    # Blank lines around the body: without them GitHub would read it as HTML.
    yield f"<details><summary>{_text(summary)}</summary>"
    yield body
    yield "</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _name(name: str) -> str:
    """Return a name as code, in which mentions, links and emphasis are inert; odd characters as entities."""
    shown = safe(name)
    if PLAIN.fullmatch(shown) and shown == shown.strip():
        return f"`{shown}`"
    return f"<code>{''.join(c if c.isalnum() or c == ' ' else f'&#{ord(c)};' for c in shown)}</code>"


def _text(words_: str) -> str:
    """Return words in which names may stand: markdown and HTML are escaped, and GitHub's links and mentions are cut."""
    found = escape(safe(words_), quote=False)
    found = MARKS.sub(lambda mark: mark[0] if _harmless(mark) else f"&#{ord(mark[0])};", found)
    # GitHub makes links of the shown text too, of "@name", "#1" and "www.": a comment parts it.
    return re.sub(r"&#64;|&#35;|(?i:www)(?=\.)|&#58;(?=//)", lambda mark: f"{mark[0]}<!-- -->", found)


def _harmless(mark: re.Match[str]) -> bool:
    """Return whether a mark may stay as it is, for who reads the source: "recall@1", "02:00", "a-b", "(x)"."""
    before, after = mark.string[: mark.start()], mark.string[mark.end() :]
    if mark[0] in "()":  # no link without the square brackets
        return True
    if mark[0] == "@":
        return before[-1:].isalnum() and re.match(r"\d+(?!\w|[.-]\w)", after) is not None
    if mark[0] == ":":
        return after[:1] in ("", " ") or (before[-1:].isdigit() and after[:1].isdigit())
    if mark[0] in "+-":  # a list or a rule only at the start of a line
        return bool(before.strip()) and not after.startswith(mark[0]) and not before.endswith(mark[0])
    return mark[0] == "_" and before[-1:].isalnum() and after[:1].isalnum()
