"""Options and words that several commands share."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from simsearch.cli.printing import answering, drop_answers, writing
from simsearch.console import say, typable

if TYPE_CHECKING:
    from simsearch.home import Home

OK, SAID_NO, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
HOME_OPTION = click.option("--home", metavar="DIR", help="Where everything is kept [$SIMSEARCH_HOME or ./data].")
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")
SET_OPTION = click.option(
    "--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Change a key of the recipe."
)


class Command(click.Command):
    """A command that answers: what libraries print while it runs is no part of the answer."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what it is called with; --help is printed here."""
        with writing():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with answering():
            return super().invoke(ctx)


command = partial(click.command, cls=Command)


class Commands(click.Group):
    """A group of commands; a reader of stdout that goes away, as `| head` does, ends them quietly."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what it is called with; with nothing, show the help, which is no mistake."""
        with writing():
            if not args:
                click.echo(ctx.get_help())
                ctx.exit(OK)
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click itself would turn the closed pipe into exit code 1, which is a gate's no."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            drop_answers()
            return OK


class Whole(click.IntRange):
    """A whole number in a range, which the message for anything else tells."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a usage error."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"expected a whole number from {self.min} to {self.max}, seen {value!r}.", param, ctx)


class Number(click.FloatRange):
    """A number in a range, which the message for anything else tells; NaN, which click lets pass, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or a usage error."""
        try:
            number = float(super().convert(value, param, ctx))
        except click.BadParameter:
            number = math.nan
        if math.isnan(number):
            wanted = f"above {self.min}, up to" if self.min_open else f"from {self.min} to"
            self.fail(f"expected a number {wanted} {self.max}, seen {value!r}.", param, ctx)
        return number


def find_home(option: str | None) -> Home:
    """The home that `--home` names, its environment prepared."""
    from simsearch.home import Home

    home = Home.locate(option)
    home.prepare_environment()
    return home


def home_words(option: str | None) -> str:
    """` --home DIR` for a command to be repeated, or nothing."""
    return f" --home {typable(option, 'DIR')}" if option else ""


def say_waste(home: Home) -> None:
    """Say where more than half of a home could be freed."""
    from simsearch.integrity.cleaning import waste_in_words

    if words := waste_in_words(home):
        say(f"{words}: simsearch clean --home {typable(str(home.path), 'DIR')}")
