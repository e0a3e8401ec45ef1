"""The commands that keep a home in order: sync brings a build in step with its folder, clean frees space."""

from __future__ import annotations

import click

from simsearch.cli.options import HOME_OPTION, JSON_OPTION, command, find_home, home_words, say_waste
from simsearch.cli.printing import emit, emit_json
from simsearch.console import Shown, safe, say


@command(epilog="Example:  simsearch sync photos/ --dry-run")
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option("--build", "name", metavar="NAME", help="Which build [that made from FOLDER; the newest].")
@click.option("--dry-run", is_flag=True, help="List what changed, and change nothing.")
@click.option("--rehash", is_flag=True, help="Read every image, also those whose size and times are as they were.")
@click.option("--allow-deletes", is_flag=True, help="Go on when more than a fifth of the images are gone.")
@HOME_OPTION
@JSON_OPTION
def sync(
    folder: str | None,
    name: str | None,
    dry_run: bool,
    rehash: bool,
    allow_deletes: bool,
    home: str | None,
    as_json: bool,
) -> None:
    """Bring a build in step with its FOLDER (or .csv table): new, changed, moved and deleted images, without training.

    New images can be found from then on; the report stays that of the images that the build was made with.
    """
    from simsearch.changes.compare import KINDS, in_words
    from simsearch.changes.labels import labels_in_words, relabelled
    from simsearch.sync.sync import run_sync

    place = find_home(home)
    done = run_sync(place, folder, name, dry=dry_run, rehash=rehash, allow_deletes=allow_deletes, progress=Shown())
    if as_json:
        emit_json(done.to_json())
    elif dry_run:
        for kind in KINDS:
            for entry in done.to_json()["lists"][kind]:
                emit(f"{kind:<8} {safe(entry if isinstance(entry, str) else _move_in_words(entry))}")
    end = f"{done.images:,} images, {done.seconds:.1f} s"
    others = labels_in_words(relabelled(done.changes), "the moved" if done.counts["deleted"] else "them")
    what = in_words(done.counts) + (f", {others}" if others else "")
    if not done.changes.count:
        say(f"{done.build.name} is up to date ({end})")
    elif dry_run:
        say(f"{done.build.name}: {what}; nothing was changed ({done.seconds:.1f} s)")
    else:
        say(f"{done.build.name}: {what}{'; compacted' if done.compacted else ''} ({end})")
        say(f"Next: simsearch query IMAGE --build {done.build.name}" + home_words(home))
    if not dry_run:
        say_waste(place)


def _move_in_words(move: dict[str, str]) -> str:
    """An image of the same name whose label alone is another one, in a table, is a move too."""
    words = move["from"] + (f" -> {move['to']}" if move["to"] != move["from"] else "")
    return words + (f", now of label {move['label']}" if move["label"] != move["old_label"] else "")


@command(epilog="Example:  simsearch clean --dry-run   and   simsearch clean photos")
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
        emit_json(done.to_json())
    else:
        for build in done.builds:
            emit(f"build {build}")
        for stage, amount in done.freed.items():
            emit(_line(safe(stage), amount.count, amount.bytes))
        if done.temporary.count:
            emit(_line("temporary", done.temporary.count, done.temporary.bytes))
    if done.kept.count:
        count = "1 artifact" if done.kept.count == 1 else f"{done.kept.count:,} artifacts"
        say(f"Kept {count} ({done.kept.bytes / 1e6:,.1f} MB) that no build refers to, made or used within a day")
    verb = "Would free" if dry_run else "Freed"
    say(f"{verb} {done.bytes / 1e6:,.1f} MB in {safe(str(done.home))}" + ("; nothing was changed" if dry_run else ""))


def _line(what: str, count: int, size: int) -> str:
    return f"{what:<10} {count:>6,}  {size / 1e6:>10,.1f} MB"
