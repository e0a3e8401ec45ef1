"""How answers are shown: a table, JSON lines or a montage on stdout, and what to know of them on stderr.

This is the cold path: it imports what a query needs anyway, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from enum import StrEnum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from simsearch.cli.mistakes import again
from simsearch.cli.options import BAD_INPUT, OK, SAID_NO
from simsearch.cli.printing import emit, emit_json, emit_path
from simsearch.cli.verdicts import stale_words, verdict_line
from simsearch.console import one_in, safe, say, shorten
from simsearch.errors import ImageError, SourceError
from simsearch.images.sources.urls import is_url
from simsearch.search.documents import answer_document, judgement_document
from simsearch.search.pictures import MISSING
from simsearch.search.question import MAX_FAR, Answer, Question

if TYPE_CHECKING:
    from simsearch.search import Hit, Searcher, Verdict

MONTAGE_ROWS = 50
LABEL_WIDTH = 24
GONE, CHANGED = "gone", "changed"  # of a file, since the build saw it
FAR_HEAD, STRANGERS_HEAD = "false alarms", "strangers"
NONE = "no hit scores high enough"
KEYS = ("rank", "score", "row", "image", "label")  # of a hit of a vector


class Form(StrEnum):
    """How hits are printed: a table, JSON, or the paths of their files, one a line or each ended with NUL."""

    TABLE = auto()
    JSON = auto()
    PATHS = auto()
    NUL = auto()


def show_hits(
    searcher: Searcher, paths: Iterable[str], question: Question, *, montage: str | None = None, form: Form = Form.TABLE
) -> bool:
    """Print the answer to each path as it is read, in a form; return whether all of them could be read.

    Raises RecipeError for a `max_far` that the build cannot judge, SourceError when there is no path, SimsearchError
    for a montage that cannot be written, before anything is answered.
    """
    if montage:
        from simsearch.images.montage import format_of

        format_of(Path(montage))
    say_if_too_few(searcher, question.max_far)
    drawn: list[tuple[str, Answer]] = []
    answer: Answer | None = None
    asked = failed = widened = 0
    gone: set[str] = set()
    for path in paths:
        asked += 1
        try:
            answer = searcher.ask(path, question)
        except ImageError as error:
            failed += 1
            _show_unreadable({"query": path}, error, form == Form.JSON)
            continue
        widened += answer.widened
        if form == Form.JSON:
            shown = [hit.to_json() for hit in answer.hits]
            emit_json(answer_document(searcher, path, answer, shown, question.where))
        else:
            _print_hits(searcher, path, answer.hits, form, question, answer.verdict)
            gone.update(hit.image for hit in answer.hits if hit.gone)
        if montage and len(drawn) < MONTAGE_ROWS:
            drawn.append((path, answer))
    if not asked:
        raise SourceError("no image was named on stdin", hint="find photos -name '*.jpg' | simsearch query -")
    hits = answer.hits if answer else ()
    if asked == 1 and form == Form.TABLE and question.max_far is None:
        words = sure_hits(hits, searcher.rates.least)
        if words:
            say(words)
    if form == Form.TABLE and answer and (stale := stale_words(answer.verdict)):
        say(stale)
    _say_widened(widened)
    _say_gone(searcher, gone, any_hit=form != Form.JSON and bool(hits), form=form)
    if montage and drawn:
        _draw_montage(searcher, drawn, Path(montage), asked - failed)
    elif not montage and form == Form.TABLE and not failed and hits:
        say("Look at them: --montage hits.png")
    return not failed


def show_vectors(searcher: Searcher, path: str, question: Question, *, form: Form = Form.TABLE) -> None:
    """Print the answer to each row of a file of vectors; raises what `Searcher.ask_file` raises."""
    say_if_too_few(searcher, question.max_far)
    keys = (*KEYS, "alike") if question.collapse else KEYS
    widened = 0
    gone: set[str] = set()
    hits: tuple[Hit, ...] = ()
    for row, answer in searcher.ask_file(path, question):
        widened += answer.widened
        if form == Form.JSON:
            shown = [{key: getattr(hit, key) for key in keys} for hit in answer.hits]
            emit_json(answer_document(searcher, row, answer, shown, question.where, digits=3))
            continue
        hits = tuple(searcher.located(hit) for hit in answer.hits)
        gone.update(hit.image for hit in hits if hit.gone)
        _print_hits(searcher, f"row {row}", hits, form, question, answer.verdict)
    _say_widened(widened)
    _say_gone(searcher, gone, any_hit=bool(hits), form=form)


def show_same(searcher: Searcher, query: str, other: str, *, max_far: float | None, as_json: bool) -> int:
    """Print whether two image files are of the same label; return the exit code, which is 1 where they are not.

    Raises RecipeError when the build knows no rates at all.
    """
    limit = MAX_FAR if max_far is None else max_far
    say_if_too_few(searcher, limit)
    try:
        found = searcher.same(query, other, limit)
    except ImageError as error:
        _show_unreadable({"query": query, "other": other}, error, as_json)
        return BAD_INPUT
    if as_json:
        emit_json(judgement_document(searcher, query, other, found))
    else:
        rate = one_in(found.false_accept_rate, found.false_accept_rate_at_most)
        word = {True: "same", False: "different", None: "cannot tell"}[found.same]
        emit(f"{word}  score {found.score:.3f}  {FAR_HEAD} {rate}")
    return SAID_NO if found.same is False else OK


def _print_hits(
    searcher: Searcher, query: str, hits: Sequence[Hit], form: Form, question: Question, verdict: Verdict | None
) -> None:
    """Print a table of hits with the verdict, or the paths of those whose files are here."""
    if form == Form.TABLE:
        lines = hit_table(searcher, query, hits, "" if hits else _why_none(searcher, question))
        emit("\n".join([*lines, *verdict_line(verdict)]))
        return
    for path in (hit.path for hit in hits if hit.path is not None):
        if form == Form.PATHS and "\n" in path:
            say(f"left out: {safe(path)} holds a line end, and paths are one a line; -0 prints such ones too")
        else:
            emit_path(path, "\0" if form == Form.NUL else "\n")


def _say_gone(searcher: Searcher, gone: set[str], *, any_hit: bool, form: Form) -> None:
    """Say of how many hits the file is gone, or that none of the files is on this machine."""
    if gone:
        where = "shown above" if form == Form.TABLE else "left out"
        say(f"{_files(len(gone))} {where} {'is' if len(gone) == 1 else 'are'} gone: {_in_step(searcher)}")
    elif any_hit and (root := searcher.build.record.root) is not None and not searcher.build.pictures_here:
        where = f"they lie at {safe(root)}" if is_url(root) else f"there is no {safe(root)}"
        say(f"None of these images is on this machine: {where}")


def say_if_too_few(searcher: Searcher, max_far: float | None) -> None:
    """Say so when no hit can have a rate as low as `max_far`; RecipeError when the build knows no rates at all."""
    if max_far is not None and (least := searcher.rates.known()) > max_far:
        say(
            f"{searcher.build.name} knows {round(1 / least):,} different-label pairs, too few for "
            f"--max-far {max_far:g}: no rate is below {one_in(least)}"
        )


def say_how_many_pass(searcher: Searcher, question: Question) -> None:
    """Say how many images pass the filter of a question, if it has one; FilterError for one that cannot be used."""
    if question.where is not None:
        count = searcher.passing(question.where)
        passes = f"{count:,} of {searcher.images:,} images pass" if count else "no image passes"
        say(f"{passes}: {safe(question.where)}")


def _files(count: int) -> str:
    return f"{count:,} {'file' if count == 1 else 'files'}"


def _in_step(searcher: Searcher) -> str:
    """Return the command that brings what a build knows in step with its files."""
    build = searcher.build
    if build.of_files:
        return f"simsearch sync --build {build.name} brings the build in step"
    return "the same simsearch build again makes them anew"


def _say_widened(count: int) -> None:
    if count:
        say(f"{count:,} {'query' if count == 1 else 'queries'} needed a wider search than the index is set to")


def _show_unreadable(asked: dict[str, str], error: ImageError, as_json: bool) -> None:
    if as_json:
        emit_json({**asked, "error": error.message})
    say(f"error: {safe(error.message)}")
    hint = f"{MISSING}; a folder, or - for paths on stdin, also works" if error.hint == MISSING else error.hint
    say(f"hint: {safe((error.near and again(*error.near)) or hint)}")


def hit_table(searcher: Searcher, path: str, hits: Sequence[Hit], none: str = NONE) -> list[str]:
    """Return the lines of a query's answer, at most 80 columns for all but the name of the query.

    Beside a hit stands how many strangers score as much; where an older build does not know that, how many pairs.
    Where the build has no labels, or no table of either, those columns are left out. `none` stands where no hit is.
    """
    labels = [shorten(safe(hit.label), LABEL_WIDTH) for hit in hits]
    strangers = searcher.rates.know_strangers
    head, rates = (STRANGERS_HEAD if strangers else FAR_HEAD), [_rarity(hit, strangers) for hit in hits]
    label_width = max(map(len, ["label", *labels]))
    rate_width = max(map(len, [head, *rates]))
    rated = strangers or searcher.rates.least is not None

    def columns(label: str, rate: str) -> str:
        shown = f"{label:<{label_width}}  " if searcher.labelled else ""
        return shown + (f"{rate:<{rate_width}}  " if rated else "")

    lines = [safe(path), f"    score  {columns('label', head)}image"]
    for hit, label, rate in zip(hits, labels, rates, strict=True):
        mark = ("  (same file)" if hit.same_file else "") + (f"  (+{hit.alike} alike)" if hit.alike else "")
        mark += f"  ({GONE})" if hit.gone else ""
        start = f"{hit.rank:>2}  {hit.score:.3f}  {columns(label, rate)}"
        lines.append(f"{start}{shorten(safe(hit.image), max(80 - len(start) - len(mark), 16))}{mark}")
    return lines if hits else [*lines, f"    {none}"]


def _why_none(searcher: Searcher, question: Question) -> str:
    """Return what left nothing of an answer."""
    if question.where is not None and not searcher.passing(question.where):
        return "no image passes the filter"
    return NONE if question.min_score is not None or question.max_far is not None else "there is no other image"


def _rarity(hit: Hit, strangers: bool) -> str:
    """Return how rare a score as high as the hit's is, in words; "" where that is unknown."""
    share, at_most = (
        (hit.stranger_rate, hit.stranger_rate_at_most)
        if strangers
        else (hit.false_accept_rate, hit.false_accept_rate_at_most)
    )
    return "" if share is None else one_in(share, at_most)


def sure_hits(hits: Sequence[Hit], least: float | None) -> str | None:
    """Return one sentence on which hits can be relied upon; None when all can, or when the build cannot tell.

    `least` is the lowest rate that the build can know of, or None.
    """
    if least is None or least > MAX_FAR:
        return None
    sure = [hit.rank for hit in hits if hit.false_accept_rate is not None and hit.false_accept_rate <= MAX_FAR]
    if len(sure) == len(hits):
        return None
    if not sure:
        return f"No hit scores higher than 999 in 1,000 different-label pairs (--max-far {MAX_FAR} keeps none)"
    which = f"hit {sure[0]} scores"
    if len(sure) > 1:
        which = f"hits {sure[0]} {'and' if len(sure) == 2 else 'to'} {sure[-1]} score"
    keeps = "that one" if len(sure) == 1 else "those"
    return f"Only {which} higher than 999 in 1,000 different-label pairs (--max-far {MAX_FAR} keeps just {keeps})"


def _draw_montage(searcher: Searcher, answered: Sequence[tuple[str, Answer]], out: Path, asked: int) -> None:
    """Draw each query beside its neighbours into the picture `out`, and say so, and what of `asked` is left out."""
    from simsearch.images.formats.decode import read_bytes
    from simsearch.images.montage import MontageRow, Tile, montage

    rows, changed = [], set()
    for path, answer in answered:
        row = MontageRow(searcher.decoded(read_bytes(Path(path))), os.path.basename(path))
        for hit in answer.hits:
            picture, other = searcher.looked_at(hit)
            if other:
                changed.add(hit.image)
            mark = GONE if hit.gone else CHANGED if other else ""
            row.hits.append(Tile(picture, [hit.label or hit.image, f"{hit.score:.3f}"], mark))
        rows.append(row)
    shown = montage(rows, out)
    queries = "1 query" if asked == 1 else f"{asked:,} queries"
    left = "" if shown.queries == asked else f"the first {shown.queries:,} of "
    say(f"Montage of {left}{queries}: {safe(str(out))}")
    if shown.hits < max(len(row.hits) for row in rows):
        say(f"It has room for {shown.hits:,} hits of each query: give a smaller --k to see more queries")
    if changed:
        say(f"{_files(len(changed))} in it changed since, drawn as the build saw them: {_in_step(searcher)}")
