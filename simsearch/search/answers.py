"""How a query is answered: hits with what their scores mean, same or different, the montage.

This is the cold path: it imports what a query needs anyway, and nothing else.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simsearch.console import safe, say, shorten
from simsearch.errors import ImageError, RecipeError, SourceError
from simsearch.evaluation.false_accept import ROUNDING
from simsearch.images.decode import read_bytes

if TYPE_CHECKING:
    from simsearch.search.hit import Hit
    from simsearch.search.searcher import Searcher

MAX_FAR = 0.001
MONTAGE_ROWS = 50
LABEL_WIDTH = 24
FAR_HEAD = "false alarms"


def answer_with_hits(
    searcher: Searcher,
    paths: Iterable[str],
    *,
    k: int,
    min_score: float | None = None,
    max_far: float | None = None,
    collapse: bool = False,
    montage: str | None = None,
    as_json: bool = False,
) -> bool:
    """Print the nearest images of each path as it is read; returns whether all of them could be read.

    With `collapse` one of each group of near-identical hits, with how many more it stands for.
    Raises RecipeError for a `max_far` that the build cannot judge, SourceError when there is no path.
    """
    if max_far is not None:
        check_rated(searcher, max_far)
    rated = searcher.least_false_accept_rate is not None
    alike = searcher.alike() if collapse else None
    answered: list[tuple[str, list[Hit]]] = []
    hits: list[Hit] = []
    asked = failed = 0
    for path in paths:
        asked += 1
        started, widened = time.perf_counter(), searcher.widened

        def fetch(count: int, path: str = path) -> list[Hit]:
            return [hit for hit in searcher.search([path], count)[0] if passes(hit, min_score, max_far)]

        try:
            hits = fetch(k) if alike is None else alike.collapse(k, fetch)
        except ImageError as error:
            failed += 1
            _tell_unreadable({"query": path}, error, as_json)
            continue
        milliseconds = round((time.perf_counter() - started) * 1000, 2)
        if as_json:
            found = [hit.to_json() for hit in hits]
            answer = {"query": path, "build": searcher.build.name, "hits": found, "milliseconds": milliseconds}
            print(json.dumps(answer | ({"widened": True} if searcher.widened > widened else {})))
        else:
            print("\n".join(hit_table(path, hits, labelled=searcher.labelled, rated=rated)))
        if montage and len(answered) < MONTAGE_ROWS:
            answered.append((path, hits))
    if not asked:
        raise SourceError("no image was named on stdin", hint="find photos -name '*.jpg' | simsearch query -")
    if asked == 1 and not as_json and max_far is None:
        words = sure_hits(hits, searcher.least_false_accept_rate)
        if words:
            say(words)
    tell_widened(searcher)
    if montage and answered:
        write_montage(searcher, answered, Path(montage))
    elif not montage and not as_json and not failed and hits:
        say("Look at them: --montage hits.png")
    return not failed


def answer_same(searcher: Searcher, query: str, other: str, *, max_far: float | None, as_json: bool) -> bool:
    """Print whether two image files are of the same label; returns whether both could be read.

    They are when at most the share `max_far` of different-label pairs scores at least as much as they do, or when they
    are the same file, byte for byte. "cannot tell": no pair scores as much, but there are too few pairs to know that
    share. Raises RecipeError when the build knows no shares at all.
    """
    limit = MAX_FAR if max_far is None else max_far
    check_rated(searcher, limit)
    try:
        score = searcher.score(query, other)
        identical = read_bytes(Path(query)) == read_bytes(Path(other))
    except ImageError as error:
        _tell_unreadable({"query": query, "other": other}, error, as_json)
        return False
    rate = searcher.false_accept_rate(score)
    assert rate is not None  # as was checked
    same = True if identical or rate <= limit else None if rate <= (searcher.least_false_accept_rate or 0) else False
    if as_json:
        judged = {"score": score, "false_accept_rate": rate, "same": same}
        print(json.dumps({"query": query, "other": other, "build": searcher.build.name, **judged}))
    else:
        word = {True: "same", False: "different", None: "cannot tell"}[same]
        print(f"{word}  score {score:.3f}  {FAR_HEAD} {one_in(rate)}")
    return True


def passes(hit: Hit, min_score: float | None, max_far: float | None) -> bool:
    """Whether a hit scores at least `min_score`, rounding aside, and is no likelier a false alarm than `max_far`."""
    rate = hit.false_accept_rate
    near = min_score is None or hit.score >= min_score - ROUNDING
    return near and (max_far is None or (rate is not None and rate <= max_far))


def tell_widened(searcher: Searcher) -> None:
    """Say how many queries needed more than the index is set to, where any did."""
    if searcher.widened:
        verb = "query" if searcher.widened == 1 else "queries"
        say(f"{searcher.widened:,} {verb} needed a wider search than the index is set to")


def _tell_unreadable(asked: dict[str, str], error: ImageError, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**asked, "error": error.message}))
    say(f"error: {safe(error.message)}")
    say(f"hint: {error.hint}")


def one_in(rate: float) -> str:
    """A rate in words, with two significant digits: 0.00026 is "1 in 3,800", anything near 1 is "1 in 1"."""
    return f"1 in {float(f'{round(1 / rate):.2g}'):,.0f}"


def hit_table(path: str, hits: Sequence[Hit], *, labelled: bool, rated: bool) -> list[str]:
    """The lines of a query's answer, at most 80 columns for all but the name of the query.

    Without labels (`labelled`) and without a table of false accept rates (`rated`) those columns are left out.
    """
    labels = [shorten(safe(hit.label), LABEL_WIDTH) for hit in hits]
    rates = ["" if hit.false_accept_rate is None else one_in(hit.false_accept_rate) for hit in hits]
    label_width = max(map(len, ["label", *labels]))
    rate_width = max(map(len, [FAR_HEAD, *rates]))

    def columns(label: str, rate: str) -> str:
        shown = f"{label:<{label_width}}  " if labelled else ""
        return shown + (f"{rate:<{rate_width}}  " if rated else "")

    lines = [safe(path), f"    score  {columns('label', FAR_HEAD)}image"]
    for hit, label, rate in zip(hits, labels, rates, strict=True):
        mark = ("  (same file)" if hit.same_file else "") + (f"  (+{hit.alike} alike)" if hit.alike else "")
        start = f"{hit.rank:>2}  {hit.score:.3f}  {columns(label, rate)}"
        lines.append(f"{start}{shorten(safe(hit.image), max(80 - len(start) - len(mark), 16))}{mark}")
    return lines if hits else [*lines, "    no hit scores high enough"]


def sure_hits(hits: Sequence[Hit], least: float | None) -> str | None:
    """One sentence on which hits can be relied upon; None when all can, or when the build cannot tell.

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


def check_rated(searcher: Searcher, max_far: float) -> None:
    """Say so when no hit can have a rate as low as `max_far`; RecipeError when the build knows no rates at all."""
    name, least = searcher.build.name, searcher.least_false_accept_rate
    if least is None:
        if not searcher.labelled:
            why, hint = "it has no labels", "--min-score cuts by the score itself"
        elif searcher.build.record["recipe"]["dataset"]["split"] == "disjoint":
            why = "its labels were not trained on, so no val images stand for them"
            hint = "--min-score cuts by the score itself"
        elif searcher.rated_when_built:
            why, hint = "its val images have no pair of different labels", "--min-score cuts by the score itself"
        else:
            why, hint = "it was made by an older simsearch", "run the same simsearch build again"
        raise RecipeError(f"build {name} does not know how rare a false alarm is: {why}", hint=hint)
    if least > max_far:
        say(
            f"{name} knows {round(1 / least):,} different-label pairs, too few for --max-far {max_far:g}: "
            f"no rate is below {one_in(least)}"
        )


def write_montage(searcher: Searcher, answered: Sequence[tuple[str, list[Hit]]], out: Path) -> None:
    """Draw each query beside its neighbours into the picture `out`, and say so."""
    from simsearch.images.decode import read_image
    from simsearch.images.montage import MontageRow, montage

    rows = [
        MontageRow(
            read_image(Path(path)),
            os.path.basename(path),
            [(searcher.picture(hit), [hit.label or hit.image, f"{hit.score:.3f}"]) for hit in hits],
        )
        for path, hits in answered
    ]
    montage(rows, out)
    say(f"Montage of {len(rows)} {'query' if len(rows) == 1 else 'queries'}: {safe(str(out))}")
