"""The nightly job's command: bench."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import BAD_INPUT, HOME_OPTION, JSON_OPTION, OK, command, find_home, home_words, say_waste
from simsearch.cli.printing import drop_answers, emit, emit_json, flush_answers
from simsearch.console import Shown, safe, safe_lines, say
from simsearch.errors import ArtifactError, SimsearchError

if TYPE_CHECKING:
    from simsearch.bench.records import Story

ACCEPT = "accept"


@command(
    epilog='Example:  simsearch bench   and, when a change was meant,   simsearch bench accept --reason "new loss"'
)
@click.argument("words", nargs=-1, metavar="[MATRIX | accept]")
@click.option("--history", metavar="FILE", help="The history of nights [bench/history.sqlite in the home].")
@click.option("--reason", metavar="TEXT", help="With accept: why the last night is what later ones are held against.")
@click.option("--export", metavar="OUT", help="Only write the history to OUT.csv or OUT.jsonl.")
@HOME_OPTION
@JSON_OPTION
def bench(
    words: tuple[str, ...],
    history: str | None,
    reason: str | None,
    export: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Measure a matrix of recipes and indexes anew, and exit with 1 when search got worse since the accepted night.

    MATRIX is a .toml file; without one, the shipped digits matrix. Exit codes: 0 pass, 1 regression, 2 could not run.
    `accept` takes the last night as the one that later nights are held against.
    """
    from simsearch.bench.history.history import History

    where = find_home(home)
    path = Path(history).expanduser().absolute() if history else where.path / "bench" / "history.sqlite"
    accepting = words[:1] == (ACCEPT,)
    if len(words) > (2 if accepting else 1):
        raise click.UsageError(f"bench takes one MATRIX, seen {len(words)}: {' '.join(map(repr, words))}")
    if export is not None:
        from simsearch.bench.written import export as write

        if words:
            raise click.UsageError("--export writes what is in the history, and runs nothing: leave MATRIX out")
        with History(path, create=False) as opened:
            rows = write(opened, Path(export))
        say(f"Exported {rows:,} figures to {safe(export)}")
        return
    if accepting:
        from simsearch.bench.night import accept

        why = reason or " ".join(words[1:])
        if not why.strip():
            raise click.UsageError('accept takes a reason: simsearch bench accept --reason "new loss"')
        with History(path, create=False) as opened:
            night = accept(opened, why)
        if as_json:
            emit_json({"accepted": night.number, "started": night.started, "reason": why})
        else:
            say(f"Accepted night {night.number} of {night.started[:16]}: later nights are held against it")
        return
    if reason is not None:
        raise click.UsageError("--reason belongs to accept")
    from simsearch.bench.matrix import read_matrix
    from simsearch.bench.night import Job

    matrix = read_matrix(words[0] if words else "nightly")
    with History(path) as opened:
        job = Job(where, opened, matrix, Shown())
        reports = job.reports
        try:
            story = job.run()
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            # A bug; but the exit code of a traceback is 1, which here means that search got worse.
            raise ArtifactError(
                f"the night came to no end: {type(error).__name__}: {error}",
                hint="what was recorded is kept; the same command goes on, another --history begins anew",
            ) from error
    told = _tell(story, reports, as_json)
    say_waste(where)
    if story.verdict.code == 1:
        which = f" --history {safe(shlex.quote(history))}" if history else ""
        say('Meant? Then:  simsearch bench accept --reason "..."' + home_words(home) + which)
    raise SystemExit(story.verdict.code or told)


def _tell(story: Story, folder: Path, as_json: bool) -> int:
    """Write and print what people read of a night; returns 0, or 2 where that failed.

    Nothing of it may change a verdict: a full disk or a reader that went away would turn a regression into another
    exit code.
    """
    from simsearch.bench.outputs import terminal_table
    from simsearch.bench.written import night_json, publish

    files, code = {}, OK
    try:
        files = publish(story, folder)
        say(f"Trend: {safe(files['trend'])}")
    except (OSError, SimsearchError) as error:
        say(f"error: the pages of this night could not be written: {safe(str(error))}")
        say("hint: the history has all figures; free some space, and the next night writes the pages")
        code = BAD_INPUT
    try:
        if as_json:
            emit_json(night_json(story, files))
        else:
            emit(safe_lines(terminal_table(story)))
        flush_answers()
    except BrokenPipeError:
        drop_answers()
    except (OSError, SimsearchError) as error:
        say(f"error: the night could not be printed: {safe(str(error))}")
        code = BAD_INPUT
    return code
