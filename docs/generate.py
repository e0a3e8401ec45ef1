"""Write docs/commands.md and docs/settings.md from the command line and the typed recipe, and requirements-serve.txt
from pyproject.toml: `make docs`.

tests/test_docs.py fails where a page differs from what this writes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click

from simsearch.cli import cli
from simsearch.cli.main import NOT_TO_SERVE
from simsearch.recipe.settings import every_table

DOCS = Path(__file__).parent
SERVE = """\
# Written by docs/generate.py from pyproject.toml: all that simsearch needs to query and serve builds (docs/packs.md),
# and none of what only building needs (torch and others). The package itself: pip install --no-deps.
"""
DISTRIBUTIONS = {"sklearn": "scikit-learn"}
COMMANDS = """\
# Commands

<!-- Written by docs/generate.py from the help texts in simsearch/cli/: change those, then run `make docs`. -->

Answers go to stdout, all else to stderr. Every command takes `--help` (`-h`). Exit codes: 0 done; 1 a check or a gate
said no, or `query --same` says `different`; 2 wrong usage or bad input; 130 interrupted: the same command goes on.
"""
SETTINGS = """\
# Settings

<!-- Written by docs/generate.py from the tables in simsearch/recipe/: change those, then run `make docs`. -->

The keys of a recipe, which is a TOML file: `simsearch build recipe.toml`. To set one key, use `--set table.key=value`;
the value is written as in TOML, and text needs no quotes. `simsearch show RECIPE` prints every key with its value and
its line. A key that is unknown, or that would have no effect, is refused. *Fine-tuning* is `embedder.train = "all"`
from given weights.

The matrix of `simsearch bench` has tables of its own: [nightly.md](nightly.md).
"""


def every_command(group: click.Group = cli, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield (its words, the command) of all that can be run, by name; a group stands for the commands in it."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from every_command(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def context_of(command: click.Command, name: str) -> click.Context:
    """Return a context as the command line makes it: a command keeps the help option that it is first asked for by."""
    return click.Context(command, info_name=name, parent=click.Context(cli, **cli.context_settings))


def usage_and_line(name: str, command: click.Command) -> tuple[str, str]:
    """Return how a command is called, and its one line."""
    context = context_of(command, name)
    return f"simsearch {name} {' '.join(command.collect_usage_pieces(context))}", command.get_short_help_str(limit=200)


def commands() -> str:
    """Return docs/commands.md."""
    known = list(every_command())
    lines = [COMMANDS]
    for name, command in known:
        lines.append(f"- [`simsearch {name}`](#simsearch-{name.replace(' ', '-')}): {usage_and_line(name, command)[1]}")
    for name, command in known:
        usage, line = usage_and_line(name, command)
        rest = [" ".join(text.split()) for text in (command.help or "").partition("\n\n")[2].split("\n\n")]
        lines += ["", f"## simsearch {name}", "", f"`{usage}`", "", line]
        lines += [part for text in rest if text for part in ("", text)]
        context = context_of(command, name)
        options = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
        lines += ["", *(f"- `{spelled}`: {words}" for spelled, words in filter(None, options))]
        lines += ["", "```", *re.findall(r"simsearch.+?(?=   |$)", str(command.epilog)), "```"]
    return "\n".join([*lines, ""])


def settings() -> str:
    """Return docs/settings.md."""
    lines = [SETTINGS.rstrip()]
    for heading, sentence, keys in every_table():
        what = sentence.removeprefix(f"{heading}: ")
        lines += ["", f"## {heading}", "", what[:1].upper() + what[1:], ""]
        lines += ["| key | takes | where left out | what it does |", "|---|---|---|---|"]
        lines += [f"| `{one.key}` | {_cell(one.takes)} | {_cell(one.default)} | {_cell(one.line)} |" for one in keys]
    return "\n".join([*lines, ""])


def serve() -> str:
    """Return requirements-serve.txt."""
    declared = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["project"]["dependencies"]
    others = {DISTRIBUTIONS.get(name, name) for name in NOT_TO_SERVE}
    kept = [one for one in declared if re.split(r"[^\w-]", one)[0] not in others]
    return SERVE + "".join(f"{one}\n" for one in kept)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


PAGES = {"commands.md": commands, "settings.md": settings, "../requirements-serve.txt": serve}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
