"""The command that keeps a build in step with its folder: sync."""

from __future__ import annotations

import json

import click

from simsearch.cli.options import HOME_OPTION, JSON_OPTION, find_home, home_words, say_waste
from simsearch.console import Shown, safe, say


@click.command(epilog="Example:  simsearch sync photos/ --dry-run")
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option("--build", "name", metavar="NAME", help="Which build [that made from FOLDER; the newest].")
@click.option("--dry-run", is_flag=True, help="List what changed, and change nothing.")
@HOME_OPTION
@JSON_OPTION
def sync(folder: str | None, name: str | None, dry_run: bool, home: str | None, as_json: bool) -> None:
    """Bring a build in step with its FOLDER (or .csv table): new, changed, moved and deleted images, without training.

    New images can be found from then on; the report stays that of the images that the build was made with.
    """
    from simsearch.changes.compare import KINDS, in_words
    from simsearch.sync.sync import run_sync

    place = find_home(home)
    done = run_sync(place, folder, name, dry=dry_run, progress=Shown())
    if as_json:
        print(json.dumps(done.to_json()))
    elif dry_run:
        for kind in KINDS:
            for entry in done.to_json()["lists"][kind]:
                print(f"{kind:<8} {safe(entry if isinstance(entry, str) else _move_in_words(entry))}")
    end = f"{done.images:,} images, {done.seconds:.1f} s"
    if not done.changes.count:
        say(f"{done.build.name} is up to date ({end})")
    elif dry_run:
        say(f"{done.build.name}: {in_words(done.counts)}; nothing was changed ({done.seconds:.1f} s)")
    else:
        say(f"{done.build.name}: {in_words(done.counts)}{'; compacted' if done.compacted else ''} ({end})")
        say(f"Next: simsearch query IMAGE --build {done.build.name}" + home_words(home))
    if not dry_run:
        say_waste(place)


def _move_in_words(move: dict[str, str]) -> str:
    """An image of the same name whose label alone is another one, in a table, is a move too."""
    words = move["from"] + (f" -> {move['to']}" if move["to"] != move["from"] else "")
    return words + (f", now of label {move['label']}" if move["label"] != move["old_label"] else "")
