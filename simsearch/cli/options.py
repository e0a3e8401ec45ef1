"""Options and words that several commands share."""

from __future__ import annotations

import math
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from simsearch.console import safe, say

if TYPE_CHECKING:
    from simsearch.home import Home

OK, SAID_NO, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
HOME_OPTION = click.option("--home", metavar="DIR", help="Where everything is kept [$SIMSEARCH_HOME or ./data].")
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON, one document a line.")
SET_OPTION = click.option(
    "--set", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="Change a key of the recipe."
)


class Number(click.FloatRange):
    """A number in a range; NaN compares with nothing, so click's own range lets it pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or a usage error."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not in the range {self._describe_range()}.", param, ctx)
        return number


def find_home(option: str | None) -> Home:
    """The home that `--home` names, its environment prepared."""
    from simsearch.home import Home

    home = Home.locate(option)
    home.prepare_environment()
    return home


def home_words(option: str | None) -> str:
    """` --home DIR` for a command to be repeated, or nothing."""
    return f" --home {safe(shlex.quote(option))}" if option else ""


def say_waste(home: Home) -> None:
    """Say where more than half of a home could be freed."""
    from simsearch.integrity.cleaning import waste_in_words

    if words := waste_in_words(home):
        say(f"{words}: simsearch clean --home {safe(shlex.quote(str(home.path)))}")


def drop_stdout() -> None:
    """Send what is still to be written nowhere: its reader went away, and Python's own flush must stay quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
