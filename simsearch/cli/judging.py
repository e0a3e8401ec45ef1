"""The commands that tell how good a build is: evaluate, compare."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from simsearch.cli.options import HOME_OPTION, JSON_OPTION, find_home, safe_lines


@click.command(epilog="Example:  simsearch evaluate digits --json")
@click.argument("build_name", required=False, metavar="[BUILD]")
@HOME_OPTION
@JSON_OPTION
def evaluate(build_name: str | None, home: str | None, as_json: bool) -> None:
    """Print how good the answers of BUILD [the newest] are, as measured when it was built."""
    from simsearch.report.reading import report_of

    report = report_of(find_home(home).build(build_name))
    if as_json:
        print(json.dumps(report))
        return
    from simsearch.report.over_seeds import render_with_seeds

    print(safe_lines(render_with_seeds(report)))


@click.command(epilog="Example:  simsearch compare digits digits-triplet")
@click.argument("builds", nargs=-1, required=True, metavar="BUILD BUILD...")
@HOME_OPTION
@JSON_OPTION
def compare(builds: tuple[str, ...], home: str | None, as_json: bool) -> None:
    """Say how each further BUILD differs from the first, on the queries that both have."""
    from simsearch.report.compare import render_comparison
    from simsearch.report.comparing import compare_with_base

    if len(builds) < 2:
        raise click.UsageError("compare takes two builds or more: the first is what the others are compared with")
    for number, found in enumerate(compare_with_base(find_home(home), builds)):
        if as_json:
            print(json.dumps(asdict(found), allow_nan=False))
        else:
            print(("\n" if number else "") + safe_lines(render_comparison(found)))
