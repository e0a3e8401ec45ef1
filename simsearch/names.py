"""Names of builds: which are legal, and what becomes one."""

from __future__ import annotations

import re

from simsearch.errors import RecipeError

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def build_name(text: str) -> str:
    """A legal build name made of `text`: lower case, other characters replaced by '-'."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._").removesuffix(".json")[:64].rstrip("-._") or "build"


def is_name(name: str) -> bool:
    """Whether it is a legal build name."""
    return bool(NAME_PATTERN.fullmatch(name)) and not name.endswith(".json")


def checked_name(name: str) -> str:
    """`name` when it is a legal build name; RecipeError when not."""
    if not is_name(name):
        near = build_name(name)
        raise RecipeError(
            f"not a build name: {name!r}; did you mean {near!r}?",
            hint="1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit, not ending in .json",
            near=(name, near),
        )
    return name
