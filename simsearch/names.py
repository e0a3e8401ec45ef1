"""Names of builds: which are legal, what becomes one, and what names a pack instead."""

from __future__ import annotations

import os
import re
from pathlib import Path

from simsearch.errors import RecipeError

PACK = ".pack"  # what the name of a pack ends with
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


def pack_of(name: str) -> Path | None:
    """The file that is meant where `name` is that of a pack, and not of a build: a path, or what ends in .pack."""
    path = os.path.expanduser(name)
    if os.path.isdir(path) or not (path.endswith(PACK) or (os.sep in path and os.path.lexists(path))):
        return None
    return Path(os.path.abspath(path))
