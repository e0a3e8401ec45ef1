"""The commands that make builds and tell what and how good they are: build, show, evaluate, compare."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from simsearch.cli.defects import say_told
from simsearch.cli.options import (
    HOME_OPTION,
    JSON_OPTION,
    OK,
    SAID_NO,
    SET_OPTION,
    Whole,
    command,
    find_home,
    home_words,
    say_waste,
)
from simsearch.cli.printing import emit, emit_json, emit_path
from simsearch.console import Shown, safe, safe_lines, say

if TYPE_CHECKING:
    from simsearch.pipeline.run import Outcome


@command(epilog="Example:  simsearch build photos/ --set training.epochs=20")
@click.argument("recipe", default="digits")
@SET_OPTION
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the build, which a build of that name gives way to [the recipe's or the folder's].",
)
@click.option(
    "--seeds",
    type=Whole(2, 100),
    metavar="N",
    help="Train N times, each with the next seed, and report differences with intervals over seeds.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when no index reached [index] target_recall.")
@click.option("--dry-run", is_flag=True, help="Only print images, rows, memory, disk and time; nothing is written.")
@click.option(
    "--retrain",
    is_flag=True,
    help="Train a synced build anew, on all images that are there now, and by the present rules of reading files.",
)
@click.option("--offline", is_flag=True, help="Download nothing: refuse what is not here, and say where to put it.")
@HOME_OPTION
@JSON_OPTION
def build(
    recipe: str,
    settings: tuple[str, ...],
    name: str | None,
    seeds: int | None,
    strict: bool,
    dry_run: bool,
    retrain: bool,
    offline: bool,
    home: str | None,
    as_json: bool,
) -> int:
    """Train, embed, index and evaluate RECIPE (a shipped name or a .toml file), a FOLDER or URL (class/x.jpg) or a .csv
    table.

    Without RECIPE: digits. What is already built is not built again. Prints the path of the report.
    """
    progress = Shown()
    with progress.stage("Build", line=False) as start:
        start.tell("starting")
        from simsearch.recipe.files import find_recipe

        named = find_recipe(recipe, list(settings))
    if dry_run:
        from simsearch.pipeline.estimate import forecast, render_forecast

        expected = forecast(named, find_home(home), name=name)
        if as_json:
            emit_json(expected)
        else:
            emit(render_forecast(expected))
        return OK
    with progress.stage("Build", line=False) as start:
        start.tell("starting")
        from simsearch.pipeline.run import run_build

        place = find_home(home)
        outcome = run_build(
            named, place, name=name, seeds=seeds or 1, retrain=retrain, offline=offline, progress=progress
        )
    say_outcome(outcome)
    if as_json:
        emit_json(outcome.report)
    else:
        emit_path(outcome.build.page_path)
    if outcome.ran or outcome.changed:
        if outcome.advice:
            say(safe_lines(outcome.advice) + home_words(home))
        there = f"--build {outcome.build.name}" + home_words(home)
        say(f"Next: simsearch query IMAGE {there}")
        say(f"  or: simsearch serve {there} --open")
    say_waste(place)
    return SAID_NO if strict and outcome.missed else OK


def say_low_recall(outcome: Outcome) -> None:
    """Say where the index misses much of what is nearest."""
    from simsearch.report.verdict import low_recall

    if low := low_recall(outcome.report):
        say(f"warning: {safe(low)}")


def say_outcome(outcome: Outcome) -> None:
    """Say what a build did."""
    name, seconds = outcome.build.name, outcome.seconds
    if outcome.standing:
        say(outcome.standing)
    elif outcome.ran or outcome.changed:
        from simsearch.report.brief import brief

        labels = f", {outcome.report['classes']:,} labels" if outcome.report["classes"] is not None else ""
        say(f"Built {name}: {outcome.build.record.images:,} images{labels}, in {seconds:.1f} s")
        for line in brief(outcome.report):
            say(safe(line))
        if "defects" in outcome.build.record.stages:
            say_told(outcome.build)
    else:
        say(f"{name} is up to date ({outcome.build.record.images:,} images checked in {seconds:.1f} s)")
    say_low_recall(outcome)
    for note in outcome.notes:
        say(safe_lines(note))
    if outcome.missed:
        say(f"warning: {safe(outcome.missed)}")


@command(epilog="Example:  simsearch show mnist")
@click.argument("what", required=False, metavar="[RECIPE|BUILD]")
@SET_OPTION
@HOME_OPTION
@JSON_OPTION
def show(what: str | None, settings: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Show a recipe with every default, its digests, what is built, versions and devices; without one, all builds."""
    from simsearch.pipeline.describe import describe, describe_home, render

    found = describe(what, list(settings), find_home(home)) if what else describe_home(find_home(home))
    if as_json:
        emit_json(found)
    else:
        emit(safe_lines(render(found)))


@command(epilog="Example:  simsearch evaluate digits --json")
@click.argument("build_name", required=False, metavar="[BUILD]")
@HOME_OPTION
@JSON_OPTION
def evaluate(build_name: str | None, home: str | None, as_json: bool) -> None:
    """Print how good the answers of BUILD [the newest] are, as measured when it was built."""
    from simsearch.report.reading import report_of

    report = report_of(find_home(home).readable(build_name))
    if as_json:
        emit_json(report)
        return
    from simsearch.report.over_seeds import render_with_seeds

    emit(safe_lines(render_with_seeds(report)))


@command(epilog="Example:  simsearch compare digits digits-triplet   and   simsearch compare photos next --gate")
@click.argument("builds", nargs=-1, required=True, metavar="BUILD BUILD...")
@click.option("--gate", is_flag=True, help="May the second take the place of the first? Exit 1: no, it is worse.")
@click.option("--montage", metavar="OUT.png", help="With --gate: draw queries that change sides, before and after.")
@HOME_OPTION
@JSON_OPTION
def compare(builds: tuple[str, ...], gate: bool, montage: str | None, home: str | None, as_json: bool) -> int:
    """Say how each further BUILD differs from the first, on the queries that both have.

    With --gate by the rules of simsearch bench: which figures are worse, surely and by what matters, which labels and
    queries moved, and yes or no. Both builds must search the same images.
    """
    if len(builds) < 2:
        raise click.UsageError("compare takes two builds or more: the first is what the others are compared with")
    if gate:
        return _gate(builds, montage, home, as_json)
    if montage:
        raise click.UsageError("--montage draws what changes sides with --gate")
    from simsearch.report.compare import compare_with_base, render_comparison

    for number, found in enumerate(compare_with_base(find_home(home), builds)):
        if as_json:
            emit_json(asdict(found))
        else:
            emit(("\n" if number else "") + safe_lines(render_comparison(found)))
    return OK


def _gate(builds: tuple[str, ...], montage: str | None, option: str | None, as_json: bool) -> int:
    if len(builds) != 2:
        raise click.UsageError(f"--gate takes two builds, the one that answers and the next; seen {len(builds)}")
    from simsearch.bench.outputs.rehearsed import rehearsal_text
    from simsearch.bench.rehearsal import draw, rehearse

    if montage:
        from simsearch.images.montage import format_of

        format_of(Path(montage))
    home = find_home(option)
    found = rehearse(home, *builds)
    if as_json:
        emit_json(found.to_json())
    else:
        emit(safe_lines(rehearsal_text(found)))
    if montage:
        drawn = draw(found, home, Path(montage))
        say(f"Drawn: {safe(montage)}" if drawn else "No query changes sides: nothing was drawn")
    if found.passes and found.before.name != found.after.name:
        say(f"Next: simsearch switch {found.before.name} {found.after.name}{home_words(option)}")
    return OK if found.passes else SAID_NO
