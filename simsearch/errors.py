"""Errors that a user may meet. Everything else that is raised is a bug.

    SimsearchError          base: a message (expected, seen, where) and a hint (what to do)
    ├── RecipeError         a recipe, an option or a name that cannot be used
    ├── SourceError         a source of images that cannot be read or cannot be split
    ├── ImageError          one picture that cannot be decoded; collected, not fatal, in a build
    ├── EmbedderError       weights, losses, training or an ONNX bundle
    ├── VectorsError        features or an index
    │   └── InvariantError  an index that does not hold what it promises: its rows, unit vectors, its own features
    └── ArtifactError       an artifact or a build that is missing, damaged or belongs elsewhere

The command line prints one `error:` line and one `hint:` line and exits with 2.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

# What the system says of a full disk: no space, no quota, or a bound on the size of files.
FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class SimsearchError(Exception):
    """A failure that the user can mend: `message` says what is wrong and where, `hint` what to do."""

    default_hint = "run the same command with --help to see what it expects"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint


class RecipeError(SimsearchError):
    """A recipe, an option or a name that cannot be used."""

    default_hint = "simsearch show RECIPE prints every key of a recipe with its value"


class SourceError(SimsearchError):
    """A source of images that cannot be read or cannot be split."""

    default_hint = "check [dataset] source: digits, torchvision:NAME, folder:PATH or table:FILE"


class ImageError(SimsearchError):
    """One picture that cannot be decoded; a build sets it aside, a query reports it."""

    default_hint = "give a readable JPEG, PNG, WebP, TIFF, BMP or GIF file"


class EmbedderError(SimsearchError):
    """Weights, a loss, training or an ONNX bundle that cannot be used."""

    default_hint = "check the tables [embedder], [loss] and [training] of the recipe"


class VectorsError(SimsearchError):
    """Features or an index that cannot be used."""

    default_hint = "check [index] factory, and the features that go into the index"


class InvariantError(VectorsError):
    """An index that does not hold what it promises: its rows, unit vectors, the features that it was made from."""


class ArtifactError(SimsearchError):
    """An artifact or a build that is missing, damaged or belongs elsewhere."""

    default_hint = "simsearch show lists the builds of this home"


def first_line(error: Exception) -> str:
    """Return the first line of what a foreign library says, at most 300 characters; the error's class without one."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def did_you_mean(seen: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return "; did you mean 'x'?" for the nearest of the known names, "" where none is near."""
    near = difflib.get_close_matches(seen, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""
