"""The command that answers: query."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from simsearch.cli.options import BAD_INPUT, HOME_OPTION, JSON_OPTION, OK, Number, Whole, command, find_home
from simsearch.console import Shown, safe, say
from simsearch.errors import RecipeError


@command(epilog="Example:  simsearch query x.jpg --k 5 --montage hits.png")
@click.argument("images", nargs=-1, metavar="IMAGE...")
@click.option("--vectors", metavar="FILE", help="Search with the rows of FILE (.npy and what import takes), no IMAGE.")
@click.option("--k", "-k", default=10, show_default=True, type=Whole(1, 1000), help="How many neighbours.")
@click.option("--build", "name", metavar="NAME|PACK", help="Which build or pack answers [the newest build].")
@click.option("--min-score", type=Number(-1, 1), metavar="S", help="Only hits that score at least S.")
@click.option(
    "--max-far",
    type=Number(0, 1, min_open=True),
    metavar="F",
    help="Only hits with at most this rate of false alarms; for --same the limit [0.001].",
)
@click.option(
    "--same", "other", metavar="OTHER", help="Say whether IMAGE and OTHER are of the same label [exit 1: no]."
)
@click.option("--where", metavar="FILTER", help="Only images that pass, as \"label = apple and image under 'shelf/'\".")
@click.option("--label", "labels", multiple=True, metavar="L", help="Only images of this label, or of one of several.")
@click.option("--not-self", is_flag=True, help="Leave out IMAGE itself: the same bytes or the same file.")
@click.option("--collapse", is_flag=True, help="Show one of each group of near-identical hits.")
@click.option("--montage", metavar="OUT.png", help="Also draw each query beside its neighbours.")
@click.option("--paths", is_flag=True, help="Print only the paths of the hits' files, one a line.")
@click.option("-0", "nul", is_flag=True, help="As --paths, each path ended with NUL, for xargs -0.")
@HOME_OPTION
@JSON_OPTION
def query(
    images: tuple[str, ...],
    vectors: str | None,
    k: int,
    name: str | None,
    min_score: float | None,
    max_far: float | None,
    other: str | None,
    where: str | None,
    labels: tuple[str, ...],
    not_self: bool,
    collapse: bool,
    montage: str | None,
    paths: bool,
    nul: bool,
    home: str | None,
    as_json: bool,
) -> int:
    """Find the nearest images of the corpus for each IMAGE: a file, a folder, or - for paths on stdin."""
    with _unswept():
        from simsearch.cli.answering import Form, say_how_many_pass, show_hits, show_same, show_vectors
        from simsearch.images.sources.folders import query_files
        from simsearch.search import Question, Searcher

    if bool(images) == (vectors is not None):
        raise click.UsageError("give IMAGE... or --vectors FILE" + (", not both" if images else ""))
    if vectors is not None and (other is not None or montage or not_self):
        raise click.UsageError("--vectors takes neither --same, --montage nor --not-self: rows are no pictures")
    if other is not None and (len(images) != 1 or min_score is not None or collapse or montage):
        raise click.UsageError("--same takes exactly one IMAGE, and neither --min-score, --collapse nor --montage")
    if other is not None and (where is not None or labels or not_self):
        raise click.UsageError("--same searches nothing, and takes neither --where, --label nor --not-self")
    if (paths or nul) and (as_json or other is not None):
        raise click.UsageError(f"{'-0' if nul else '--paths'} prints paths, and goes with neither --json nor --same")
    form = Form.JSON if as_json else Form.NUL if nul else Form.PATHS if paths else Form.TABLE
    question = Question(k, min_score, max_far, collapse, _filter(where, labels), not_self)
    with _unswept():
        place = find_home(home)
        opened = Searcher(place.readable(name, Shown()))
    with opened as searcher:
        build = searcher.build
        synced = f", synced {build.record.synced['when'][:10]}" if build.record.synced else ""
        say(f"{build.name}: {searcher.images:,} images, built {build.when[:10]}{synced}, {safe(build.place)}")
        if build.provisional:
            say(safe("; ".join(build.standing())))
        say_how_many_pass(searcher, question)
        code = OK
        if vectors is not None:
            if (paths or nul) and build.record.root is None:
                raise RecipeError(
                    f"build {build.name} has no files of images, and --paths prints their paths",
                    hint="leave --paths out: the table has the names, and --json the rows",
                )
            show_vectors(searcher, vectors, question, form=form)
        elif other is not None:
            code = show_same(searcher, images[0], other, max_far=max_far, as_json=as_json)
        else:
            lines = (
                (line.removesuffix("\n").removesuffix("\r") for line in sys.stdin or ()) if "-" in images else iter(())
            )
            if not show_hits(searcher, query_files(images, lines), question, montage=montage, form=form):
                code = BAD_INPUT
    return code


def _filter(where: str | None, labels: tuple[str, ...]) -> str | None:
    """Return the filter that both options stand for; a query without them loads no language of filters."""
    if where is None and not labels:
        return None
    from simsearch.search.where import with_labels

    return with_labels(where, labels)


@contextmanager
def _unswept() -> Iterator[None]:
    """Load what stays to the end without looking for garbage in it, now or later: a twelfth of a cold query."""
    swept = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if swept:
            gc.enable()
