"""The commands that keep a home in order: sync a build with its folder, switch to another one, clean frees space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simsearch.cli.options import (
    BAD_INPUT,
    HOME_OPTION,
    JSON_OPTION,
    OK,
    SAID_NO,
    command,
    find_home,
    home_words,
    say_waste,
)
from simsearch.cli.printing import emit, emit_json
from simsearch.console import Shown, safe, say, some, typable
from simsearch.errors import SimsearchError, disk_error

if TYPE_CHECKING:
    from simsearch.changes.made import Made
    from simsearch.home import Build
    from simsearch.sync.sync import Synced


@command(epilog="Example:  simsearch sync photos/ --dry-run")
@click.argument("folder", required=False, metavar="[FOLDER]")
@click.option("--build", "name", metavar="NAME", help="Which build [that made from FOLDER; the newest].")
@click.option("--labels", metavar="FILE", help="A list (image,label) whose labels win from now on, as suspects.csv.")
@click.option("--all", "every", is_flag=True, help="All builds that were made from FOLDER, one after the other.")
@click.option("--dry-run", is_flag=True, help="List what changed, and change nothing [exit 1: sync would stop].")
@click.option("--rehash", is_flag=True, help="Read every image, also those whose size and times are as they were.")
@click.option("--allow-deletes", is_flag=True, help="Go on when more than a fifth of the images are gone.")
@HOME_OPTION
@JSON_OPTION
def sync(
    folder: str | None,
    name: str | None,
    labels: str | None,
    every: bool,
    dry_run: bool,
    rehash: bool,
    allow_deletes: bool,
    home: str | None,
    as_json: bool,
) -> int:
    """Bring a build in step with its FOLDER (or .csv table): new, changed, moved and deleted images, without training.

    New images can be found from then on; the report stays that of the images that the build was made with.
    """
    from simsearch.changes.look import choose_build
    from simsearch.changes.made import made_from
    from simsearch.sync.sync import run_sync

    if every and (folder is None or name is not None):
        raise click.UsageError("--all syncs every build of a FOLDER: simsearch sync FOLDER --all, without --build")
    place = find_home(home)

    def run(folder: str | None, name: str) -> int:
        how = {"dry": dry_run, "rehash": rehash, "allow_deletes": allow_deletes}
        done = run_sync(place, folder, name, labels=labels, progress=Shown(), **how)
        _show_synced(done, home, as_json)
        return SAID_NO if done.stops else OK

    def say_failed(name: str, error: SimsearchError) -> None:
        if as_json:
            emit_json({"build": name, "error": error.message})
        say(f"error: {name}: {safe(error.message)}")
        say(f"hint: {safe(error.hint)}")

    code = OK
    if every:
        assert folder is not None
        made = made_from(place, folder)
        for build in made.some():
            try:
                code = max(code, run(None, build.name))
            except SimsearchError as error:  # the others have folders and disks that are as sound as before
                if disk_error(error) is not None:
                    raise
                code = BAD_INPUT
                say_failed(build.name, error)
        for damaged, why in made.damaged.items():
            code = BAD_INPUT
            say_failed(damaged, why)
    elif name is not None:
        code = run(folder, name)
    else:
        # All of it is known before the work, after which folders may lie elsewhere.
        build = choose_build(place, folder, None)
        where = folder or build.record.source.partition(":")[2]
        made = made_from(place, where)
        _say_left(made, build, folder, home)
        code = run(folder, build.name)
        if others := [one.name for one in made.builds if one.name != build.name]:
            says = "was made from it" if len(others) == 1 else "were made from it"
            say(f"{some(others)} {says} too: simsearch sync {typable(where, 'FOLDER')} --all" + home_words(home))
    if not dry_run:
        say_waste(place)
    return code


def _say_left(made: Made, build: Build, folder: str | None, home: str | None) -> None:
    """Say before the work which build of a folder is synced, where another one may be meant, and what is damaged."""
    for error in made.damaged.values():
        say(f"warning: {safe(error.message)}, so that it is left as it is, also if it was made from this folder")
    if folder is not None and (own := made.named_like_it()):
        left = some([one.name for one in made.builds if one.name != build.name])
        say(
            f"Syncing {build.name}, the newest build of {safe(folder)}; left as they were: {left}. For {own.name}: "
            f"simsearch sync {typable(folder, 'FOLDER')} --build {own.name}" + home_words(home)
        )


def _show_synced(done: Synced, home: str | None, as_json: bool) -> None:
    """Print what a sync did, or would do, and say it in one line."""
    from simsearch.changes.compare import KINDS, in_words
    from simsearch.changes.labels import labels_in_words, relabelled

    if as_json:
        emit_json(done.to_json())
    elif done.dry:
        for kind in KINDS:
            for entry in done.to_json()["lists"][kind]:
                emit(f"{kind:<8} {safe(entry if isinstance(entry, str) else _move_in_words(entry))}")
    end = f"{done.images:,} images, {done.seconds:.1f} s"
    others = labels_in_words(relabelled(done.changes), "the moved" if done.counts["deleted"] else "them")
    what = in_words(done.counts) + (f", {others}" if others else "")
    if not done.changes.count:
        say(f"{done.build.name} is up to date ({end})")
    elif done.dry:
        say(f"{done.build.name}: {what}; nothing was changed ({done.seconds:.1f} s)")
    else:
        say(f"{done.build.name}: {what}{'; compacted' if done.compacted else ''} ({end})")
        for label in done.new_labels:
            say(label.words())
        say(f"Next: simsearch query IMAGE --build {done.build.name}" + home_words(home))


def _move_in_words(move: dict[str, str]) -> str:
    """An image of the same name whose label alone is another one, in a table, is a move too."""
    words = move["from"] + (f" -> {move['to']}" if move["to"] != move["from"] else "")
    return words + (f", now of label {move['label']}" if move["label"] != move["old_label"] else "")


@command(epilog="Example:  simsearch switch photos next   and   simsearch switch photos --back")
@click.argument("name", metavar="NAME")
@click.argument("other", required=False, metavar="[OTHER]")
@click.option("--back", is_flag=True, help="Let NAME answer by what it was before it was switched.")
@click.option(
    "--search",
    "by",
    type=click.Choice(["milvus", "local"]),
    help="Who answers for NAME: its collection, or its index here.",
)
@HOME_OPTION
def switch(name: str, other: str | None, back: bool, by: str | None, home: str | None) -> int:
    """Let the build NAME answer by what the build OTHER is, from one moment to the next; both are verified first.

    They must search the same images. What NAME was is kept for --back, and OTHER stays as it is. Exit 1: a check said
    no, and nothing was changed.
    """
    if (other is not None) + back + (by is not None) != 1:
        raise click.UsageError("switch takes another build, or --back, or --search: simsearch switch NAME OTHER")
    if by is not None:
        return _switch_search(name, by, home)
    from simsearch.integrity.switching import switch, switch_back

    place = find_home(home)
    done = switch_back(place, name, Shown()) if other is None else switch(place, name, other, Shown())
    build = done.build.name
    for refused, checks in done.refused.items():
        for check in checks:
            say(f"{safe(refused)}: {safe(check.name)}: {safe(check.words)}")
            if check.hint:
                say(f"hint: {safe(check.hint)}")
    if done.refused:
        said = "What it was is" if back else f"{' and '.join(done.refused)} {'are' if len(done.refused) > 1 else 'is'}"
        say(f"{said} not sound: {build} was left as it is")
        return SAID_NO
    if other is None:
        say(f"{build} answers by what it was before" + ("" if done.changed else " already"))
    else:
        say(f"{build} answers by what {other} is" + ("" if done.changed else " already"))
        say(f"Back: simsearch switch {build} --back" + home_words(home))
    for note in done.notes:
        say(safe(note))
    return OK


def _switch_search(name: str, by: str, home: str | None) -> int:
    from simsearch.integrity.searching import LOCAL, switch_search

    build, changed = switch_search(find_home(home), name, by, Shown())
    who = "its own index, here" if by == LOCAL else str(build.milvus)
    say(f"{build.name} is answered for by {safe(who)}" + ("" if changed else " already"))
    return OK


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
    for place in done.collections:
        say(f"{'Would remove' if dry_run else 'Removed'} {safe(str(place))}")
    for place in done.left:
        say(f"warning: {safe(str(place))} was left, as Milvus does not answer")
    if done.kept.count:
        count = "1 artifact" if done.kept.count == 1 else f"{done.kept.count:,} artifacts"
        say(f"Kept {count} ({done.kept.bytes / 1e6:,.1f} MB) that no build refers to, made or used within a day")
    verb = "Would free" if dry_run else "Freed"
    say(f"{verb} {done.bytes / 1e6:,.1f} MB in {safe(str(done.home))}" + ("; nothing was changed" if dry_run else ""))


def _line(what: str, count: int, size: int) -> str:
    return f"{what:<10} {count:>6,}  {size / 1e6:>10,.1f} MB"
