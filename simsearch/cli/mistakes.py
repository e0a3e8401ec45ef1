"""What helps after a mistake on the command line: the same command with it mended, or how the command is used."""

from __future__ import annotations

import difflib
import os
import re
import shlex

import click

from simsearch.console import safe
from simsearch.errors import FilterError

PROGRAM = "simsearch"


def mended(arguments: list[str], seen: str, near: str) -> str | None:
    """Return the command with `near` in the place of what was `seen` in it.

    None where it was not in it, where the command removes a build of that name, where `near` is compared with itself,
    and where nobody could type it.
    """
    changed = [_replaced(argument, seen, near) for argument in arguments]
    command = arguments[:1]
    if changed == arguments or (command == ["clean"] and not near.startswith("-")):
        return None
    kept = [old.rpartition("=")[2] for old, new in zip(arguments, changed, strict=True) if old == new]
    if command in (["query"], ["compare"], ["switch"]) and os.path.normpath(near) in map(os.path.normpath, kept):
        return None
    whole = shlex.join([PROGRAM, *changed])
    if command == ["bench"] and near == "accept" and not any(one.startswith("--reason") for one in arguments):
        whole += ' --reason "..."'
    return whole if safe(whole) == whole else None


def again(seen: str, near: str) -> str | None:
    """Return what `mended` makes of the command that runs; None outside of one."""
    context = click.get_current_context(silent=True)
    words = context.find_object(list) if context is not None else None
    return mended(words, seen, near) if words else None


def usage_hint(error: click.ClickException, arguments: list[str], root: click.Group) -> str:
    """Return the command to type next: the one that was meant, or how the command at fault is used."""
    command, path, unknown = _walked(arguments, root)
    near: str | None = None
    seen = ""
    if isinstance(error, click.NoSuchOption) and (apart := _apart(error.option_name, command)):
        at = arguments.index(error.option_name) if error.option_name in arguments else len(arguments)
        return shlex.join([PROGRAM, *arguments[:at], *apart, *arguments[at + 1 :]])
    if isinstance(error, click.NoSuchOption):
        seen, near = error.option_name, next(iter(error.possibilities or ()), None)
    elif unknown is not None and isinstance(command, click.Group):
        seen, near = unknown, _nearest(unknown, command.commands)
    elif isinstance(error, click.BadParameter) and error.param is not None:
        choices = getattr(error.param.type, "choices", ())
        given = [right for right in (one.rpartition("=")[2] for one in arguments) if right not in choices]
        seen, near = next(((one, close) for one in given if (close := _nearest(one, choices))), ("", None))
    if near is not None and (whole := mended(arguments, seen, near)):
        return whole
    example = (command.epilog or "").removeprefix("Example:").split("   ")[0].strip()
    return f"as {example}; {path} --help shows the rest" if example else f"{path} --help shows what it takes"


def marked(error: FilterError) -> tuple[str, str]:
    """Return what of a filter stands around the place of its error, and a line with a caret below that place."""
    start = max(0, error.place - 50)
    before, after = (safe(part) for part in (error.text[start : error.place], error.text[error.place : start + 100]))
    return before + after, " " * len(before) + "^"


def _apart(word: str, command: click.Command) -> tuple[str, str] | None:
    """Return the option and the number of a word that has both in one, as --k5; None for another word."""
    found = re.fullmatch(r"(--[a-z-]+?)(-?[0-9.]+)", word)
    options = {name for one in command.params for name in one.opts if isinstance(one, click.Option) and not one.is_flag}
    return (found[1], found[2]) if found and found[1] in options else None


def _replaced(argument: str, seen: str, near: str) -> str:
    """Also of `--option=value` and of `table.key=value`, where the table alone may be meant."""
    left, equals, right = argument.partition("=")
    if argument == seen or (os.path.isabs(seen) and os.path.abspath(argument) == seen):
        return near
    if equals and left == seen:
        return f"{near}={right}"
    if equals and right == seen:
        return f"{left}={near}"
    return near + argument[len(seen) :] if equals and left.startswith(f"{seen}.") else argument


def _walked(arguments: list[str], root: click.Group) -> tuple[click.Command, str, str | None]:
    """Return the command that was reached, how it is called, and the word after it that is none of its commands."""
    command: click.Command = root
    path = PROGRAM
    for word in arguments:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        if word not in command.commands:
            return command, path, word
        command, path = command.commands[word], f"{path} {word}"
    return command, path, None


def _nearest(seen: str, known: object) -> str | None:
    names = [str(name) for name in known] if hasattr(known, "__iter__") else []
    return next(iter(difflib.get_close_matches(seen, names, n=1)), None)
