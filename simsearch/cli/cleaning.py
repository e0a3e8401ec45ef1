"""The command that frees space: clean."""

from __future__ import annotations

import json

import click

from simsearch.cli.options import HOME_OPTION, JSON_OPTION
from simsearch.console import safe, say


@click.command(epilog="Example:  simsearch clean --dry-run   and   simsearch clean photos")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--dry-run", is_flag=True, help="Only say what would be freed; nothing is changed.")
@HOME_OPTION
@JSON_OPTION
def clean(name: str | None, dry_run: bool, home: str | None, as_json: bool) -> None:
    """Remove the build NAME, if given, and free what no build, accepted night or pin refers to.

    What was made or used within a day is kept. Builds of NAME's other seeds (NAME.seed-K) go with it.
    """
    from simsearch.home import Home
    from simsearch.integrity.cleaning import clean

    done = clean(Home.locate(home), name, dry=dry_run)
    if as_json:
        print(json.dumps(done.to_json()))
    else:
        for build in done.builds:
            print(f"build {build}")
        for stage, amount in done.freed.items():
            print(_line(safe(stage), amount.count, amount.bytes))
        if done.temporary.count:
            print(_line("temporary", done.temporary.count, done.temporary.bytes))
    if done.kept.count:
        count = "1 artifact" if done.kept.count == 1 else f"{done.kept.count:,} artifacts"
        say(f"Kept {count} ({done.kept.bytes / 1e6:,.1f} MB) that no build refers to, made or used within a day")
    verb = "Would free" if dry_run else "Freed"
    say(f"{verb} {done.bytes / 1e6:,.1f} MB in {safe(str(done.home))}" + ("; nothing was changed" if dry_run else ""))


def _line(what: str, count: int, size: int) -> str:
    return f"{what:<10} {count:>6,}  {size / 1e6:>10,.1f} MB"
