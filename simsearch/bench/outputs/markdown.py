"""nightly.md: the night for a pull request or a chat, in GitHub's markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from simsearch.bench.outputs import words
from simsearch.bench.records import Finding, Story
from simsearch.console import safe, shorten

_PLAIN = re.compile(r"[\w ,.=/:+()'-]+")  # inert in a code span, even where a renderer knows no code spans
_MARKS = re.compile(r"[\\`*_{}\[\]()#+!|~$^:@-]")
_LOSERS = 10
# A comment on GitHub holds 65,536 characters.
_MOST_ROWS, _MOST_LOST, _MOST_WORDS = 80, 8, 300
_HEADS = {"pass": "Nightly: pass", "regression": "Nightly: regression", "failed": "Nightly: could not run everything"}


def nightly_markdown(story: Story) -> str:
    """Return the night as markdown: verdict, tables of what changed, and everything else under <details>.

    It fits into a comment on GitHub: of large matrices the first rows are shown, and how many are left out.
    """
    head = _HEADS.get(words.outcome(story), "Nightly: abandoned")
    parts = [f"## {head}", _text(words.sentence(story))]
    for part in (
        _changed(story),
        _failed(story),
        _lists(story),
        _lost(story),
        _cells(story),
        _notes(story),
        _made(story),
    ):
        parts += part
    return "\n\n".join(parts) + "\n"


def _changed(story: Story) -> Iterator[str]:
    worse = [finding for _, causes in words.grouped(story.verdict.worse) for _, group in causes for finding in group]
    better = [finding for finding in story.verdict.findings if finding.better]
    if worse or better:
        rows = [_row("**worse**", finding, _text(words.stage(finding.cause))) for finding in worse]
        rows += [_row("better", finding, "") for finding in better]
        yield _table(("", "cell", "figure", "before", "after", "difference [95 %]", "p", "cause"), rows[:_MOST_ROWS])
        yield from _left(len(rows) - _MOST_ROWS, "changed figures")


def _row(word: str, finding: Finding, cause: str) -> tuple[str, ...]:
    return (
        word,
        _name(finding.cell),
        _text(words.figure(finding)),
        words.value(finding, finding.before),
        words.value(finding, finding.after),
        words.signed(finding),
        _text(words.chance(finding)),
        cause,
    )


def _failed(story: Story) -> Iterator[str]:
    state = words.states(story)
    rows = [
        (
            state[result.cell.name],
            _name(result.cell.name),
            _name(result.stage or "-"),
            _text(shorten(result.error or "-", _MOST_WORDS)),
        )
        for result in words.results(story)
        if result.status == "failed"
    ]
    if rows:
        yield _table(("", "cell", "stage", "error"), rows[:_MOST_LOST])
        yield from _left(len(rows) - _MOST_LOST, "failed cells")


def _lists(story: Story) -> Iterator[str]:
    dropped = [result.cell.name for result in words.results(story) if result.status == "dropped"]
    new = story.verdict.new if story.accepted is not None else ()
    for title, names in (("Dropped for time", dropped), ("New", new), ("Gone", story.verdict.gone)):
        if names:
            more = f" and {len(names) - _MOST_LOST:,} more" if len(names) > _MOST_LOST else ""
            yield f"{title}: {', '.join(_name(name) for name in names[:_MOST_LOST])}{more}"


def _lost(story: Story) -> Iterator[str]:
    for cell, causes in words.grouped(story.verdict.worse)[:_MOST_LOST]:
        rows = []
        for cause, _ in causes:
            if cause is not None:
                rows += [("class", _name(found.name), words.loser(found)) for found in cause.classes[:_LOSERS]]
                rows += [("query", _name(found.name), words.loser(found)) for found in cause.queries[:_LOSERS]]
        if rows:
            yield from _details(
                f"What lost most{words.of(cause)}: {cell}", _table(("", "name", "mean before and after"), rows)
            )


def _cells(story: Story) -> Iterator[str]:
    state = words.states(story)
    rows = [
        (
            _name(result.cell.name),
            *(words.column(result, metric, k) for _, metric, k in words.COLUMNS),
            state[result.cell.name],
        )
        for result in words.results(story)
    ]
    if rows:
        heads = ("cell", *(_text(head) for head, _, _ in words.COLUMNS), "")
        shown = [_table(heads, rows[:_MOST_ROWS]), *_left(len(rows) - _MOST_ROWS, "cells")]
        yield from _details(f"All {words.cells(len(rows))}", "\n\n".join(shown))


def _notes(story: Story) -> Iterator[str]:
    notes = words.notes(story)
    if notes:
        yield from _details(
            f"Notes ({len(notes)})", "\n".join(f"- {_text(shorten(note, _MOST_WORDS))}" for note in notes[:_MOST_ROWS])
        )


def _made(story: Story) -> Iterator[str]:
    night, accepted = story.night, story.accepted
    rows = [
        ("night", f"{night.number}, started {_text(night.started)}, finished {_text(night.finished or '-')}"),
        (
            "held against",
            "no accepted night" if accepted is None else _text(f"night {accepted.number}, {accepted.started}"),
        ),
        ("commit", _name(night.commit or "unknown")),
        ("machine", _text(night.machine)),
        *((_name(name), _name(version or "unknown")) for name, version in night.versions.items()),
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
    if _PLAIN.fullmatch(shown) and shown == shown.strip():
        return f"`{shown}`"
    return f"<code>{''.join(c if c.isalnum() or c == ' ' else f'&#{ord(c)};' for c in shown)}</code>"


def _text(words_: str) -> str:
    """Return words in which names may stand: markdown and HTML are escaped, and GitHub's links and mentions are cut."""
    found = escape(safe(words_), quote=False)
    found = _MARKS.sub(lambda mark: mark[0] if _harmless(mark) else f"&#{ord(mark[0])};", found)
    # GitHub makes links of the shown text too, of "@name", "#1" and "www.": a comment parts it.
    return re.sub(r"&#64;|&#35;|(?i:www)(?=\.)|&#58;(?=//)", lambda mark: f"{mark[0]}<!-- -->", found)


def _harmless(mark: re.Match[str]) -> bool:
    """Whether a mark may stay as it is, for who reads the source: "recall@1", "02:00", "a-b", "(x)"."""
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
