"""The command line: parse, call, print. Nothing else imports click."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .console import safe, say
from .errors import FULL_DISK, SimsearchError

if TYPE_CHECKING:
    from .home import Home

OK, SAID_NO, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
NO_MEMORY = "not enough memory", "take a smaller images.size or batch, or close other programs"
HOME_OPTION = click.option("--home", metavar="DIR", help="Where everything is kept [$SIMSEARCH_HOME or ./data].")
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")


class Commands(click.Group):
    """The commands; a reader of stdout that goes away, as `| head` does, ends them quietly."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would turn the closed pipe into exit code 1, which is a gate's no."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _drop_stdout()
            return OK


class Number(click.FloatRange):
    """A number in a range; NaN compares with nothing, so click's own range lets it pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or a usage error."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not in the range {self._describe_range()}.", param, ctx)
        return number


@click.group(cls=Commands, epilog="Example:  simsearch build photos/  &&  simsearch query x.jpg")
@click.version_option(__version__, message="simsearch %(version)s")
def cli() -> None:
    """Turn a folder of labelled images into a similarity search whose quality is measured."""


@cli.command(epilog="Example:  simsearch build photos/ --set training.epochs=20")
@click.argument("recipe", default="digits")
@click.option("--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Change a key of the recipe.")
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the build, which a build of that name gives way to [the recipe's or the folder's].",
)
@click.option(
    "--seeds",
    type=click.IntRange(2, 100),
    metavar="N",
    help="Train N times, each with the next seed, and report differences with intervals over seeds.",
)
@HOME_OPTION
@JSON_OPTION
def build(
    recipe: str, settings: tuple[str, ...], name: str | None, seeds: int | None, home: str | None, as_json: bool
) -> None:
    """Train, embed, index and evaluate RECIPE (a shipped name or a .toml file), a FOLDER (class/x.jpg) or a .csv table.

    Without RECIPE: digits. What is already built is not built again. Prints the path of the report.
    """
    from .pipeline import run_build
    from .recipe.files import find_recipe

    outcome = run_build(find_recipe(recipe, list(settings)), _home(home), name=name, seeds=seeds or 1)
    print(json.dumps(outcome.report) if as_json else outcome.build.page_path)
    if outcome.ran:
        if outcome.advice:
            say(safe_lines(outcome.advice) + _home_words(home))
        say(f"Next: simsearch query IMAGE --build {outcome.build.name}" + _home_words(home))


@cli.command(epilog="Example:  simsearch query x.jpg --k 5 --montage hits.png")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--k", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many neighbours.")
@click.option("--build", "name", metavar="NAME", help="Which build answers [the newest].")
@click.option("--min-score", type=Number(-1, 1), metavar="S", help="Only hits that score at least S.")
@click.option(
    "--max-far",
    type=Number(0, 1, min_open=True),
    metavar="F",
    help="Only hits with at most this rate of false alarms; for --same the limit [0.001].",
)
@click.option("--same", "other", metavar="OTHER", help="Say whether IMAGE and OTHER are of the same label.")
@click.option("--montage", metavar="OUT.png", help="Also draw each query beside its neighbours.")
@HOME_OPTION
@JSON_OPTION
def query(
    images: tuple[str, ...],
    k: int,
    name: str | None,
    min_score: float | None,
    max_far: float | None,
    other: str | None,
    montage: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Find the nearest images of the corpus for each IMAGE: a file, a folder, or - for paths on stdin."""
    from .answers import answer_same, answer_with_hits
    from .images.folders import query_files
    from .search import Searcher

    if other is not None and (len(images) != 1 or min_score is not None or montage):
        raise click.UsageError("--same takes exactly one IMAGE, and neither --min-score nor --montage")
    searcher = Searcher(_home(home).build(name))
    build = searcher.build
    say(f"{build.name}: {searcher.images:,} images, built {build.when[:10]}, home {safe(str(build.home))}")
    if other is not None:
        all_read = answer_same(searcher, images[0], other, max_far=max_far, as_json=as_json)
    else:
        lines = (line.rstrip("\n") for line in sys.stdin or ()) if "-" in images else iter(())
        paths = query_files(images, lines)
        all_read = answer_with_hits(
            searcher, paths, k=k, min_score=min_score, max_far=max_far, montage=montage, as_json=as_json
        )
    if not all_read:
        raise SystemExit(BAD_INPUT)


@cli.command(epilog="Example:  simsearch show mnist")
@click.argument("what", required=False, metavar="[RECIPE|BUILD]")
@click.option("--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Change a key of the recipe.")
@HOME_OPTION
@JSON_OPTION
def show(what: str | None, settings: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Show a recipe with every default, its digests, what is built, versions and devices; without one, all builds."""
    from .show import describe, describe_home, render

    found = describe(what, list(settings), _home(home)) if what else describe_home(_home(home))
    print(json.dumps(found) if as_json else safe_lines(render(found)))


@cli.command(epilog="Example:  simsearch compare digits digits-triplet")
@click.argument("builds", nargs=-1, required=True, metavar="BUILD BUILD...")
@HOME_OPTION
@JSON_OPTION
def compare(builds: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Say how each further BUILD differs from the first, on the queries that both have."""
    from .comparing import compare_with_base
    from .evaluation.compare import render_comparison

    if len(builds) < 2:
        raise click.UsageError("compare takes two builds or more: the first is what the others are compared with")
    for number, found in enumerate(compare_with_base(_home(home), builds)):
        if as_json:
            print(json.dumps(asdict(found), allow_nan=False))
        else:
            print(("\n" if number else "") + safe_lines(render_comparison(found)))


@cli.command(epilog="Example:  simsearch evaluate digits --json")
@click.argument("build_name", required=False, metavar="[BUILD]")
@HOME_OPTION
@JSON_OPTION
def evaluate(build_name: str | None, home: str | None, as_json: bool) -> None:
    """Print how good the answers of BUILD [the newest] are, as measured when it was built."""
    report = _home(home).build(build_name).report()
    if as_json:
        print(json.dumps(report))
        return
    from .evaluation.over_seeds import render_with_seeds

    print(safe_lines(render_with_seeds(report)))


def _home(option: str | None) -> Home:
    from .home import Home

    home = Home.locate(option)
    home.prepare_environment()
    return home


def _home_words(option: str | None) -> str:
    return f" --home {safe(shlex.quote(option))}" if option else ""


def safe_lines(text: str) -> str:
    """`text` made safe to show, its line ends kept."""
    return "\n".join(map(safe, text.split("\n")))


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and exits with 0, 1, 2 or 130; what the user can mend never gives a traceback."""
    _prepare_streams()
    try:
        code = cli.main(args=arguments, prog_name="simsearch", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else OK)
    except BrokenPipeError:
        _drop_stdout()
        sys.exit(OK)
    except SimsearchError as error:
        _fail(error.message, error.hint)
    except click.exceptions.Abort:
        _interrupted()
    except click.ClickException as error:
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "simsearch"
        _fail(error.format_message(), f"{command} --help shows what it takes, with an example")
    except KeyboardInterrupt:
        _interrupted()
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        hint = (
            "free some space; what was finished is kept"
            if error.errno in FULL_DISK
            else "check that it exists and may be written"
        )
        _fail(f"{error.strerror or error}{where}", hint)
    except MemoryError:
        _fail(*NO_MEMORY)
    except RuntimeError as error:
        if "can't allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        _fail(*NO_MEMORY)
    except ImportError as error:
        if not isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise
        _interrupted()  # Ctrl-C while a library was being loaded


def _drop_stdout() -> None:
    """Send what is still to be written nowhere: its reader went away, and Python's own flush must stay quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare_streams() -> None:
    """Names that are no text are escaped, and a stream that the caller closed swallows what is written to it."""
    for name, mode in (("stdout", "w"), ("stderr", "w"), ("stdin", "r")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
        elif hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="surrogateescape" if mode == "r" else "backslashreplace")


def _fail(message: str, hint: str) -> None:
    say(f"error: {safe(message)}")
    say(f"hint: {safe(hint)}")
    sys.exit(BAD_INPUT)


def _interrupted() -> None:
    say("interrupted: the same command goes on where this one stopped")
    sys.exit(INTERRUPTED)
