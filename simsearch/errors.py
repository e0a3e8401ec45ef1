"""Errors that a user may meet. Everything else that is raised is a bug.

    SimsearchError          base: a message (expected, seen, where) and a hint (what to do)
    ├── RecipeError         a recipe, an option or a name that cannot be used
    │   └── FilterError     a filter of a query that cannot be read, or names what is not there; marks the place
    ├── SourceError         a source of images that cannot be read or cannot be split
    │   └── LabelsError     a file of labels that cannot be used; its images are not at fault
    ├── ImageError          one picture that cannot be decoded; collected, not fatal, in a build
    ├── EmbedderError       weights, losses, training or an ONNX bundle
    │   └── MissingError    a library of one of the extras, which is not installed or cannot be imported
    ├── VectorsError        features or an index
    │   └── InvariantError  an index that does not hold what it promises: its rows, unit vectors, its own features
    ├── ArtifactError       an artifact or a build that is missing, damaged or belongs elsewhere
    ├── EngineError         a server beyond this process that does not answer, refuses, or holds something else
    ├── LockedError         a file that another process holds open for writing: nothing is known to be wrong with it
    └── DiskError           a disk that is full, has no locks or cannot be written

The command line prints one `error:` line and one `hint:` line and exits with 2.
"""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator

SHORT, SHORT_CUTOFF = 2, 0.75
MOST_NAMES = 10_000  # of a folder that are compared with one that is not there
FREE = "free some space and run the same command again; what was finished is kept"
# What keeps a write off a disk: what is said, what to do, and the words of libraries that keep the number to themselves
# (SQLite's, and those of NumPy, which writes past Python).
_DISK = {
    errno.ENOSPC: ("no space left on the disk of", FREE, ("No space left", "disk is full", "requested and ")),
    errno.EDQUOT: ("no space left in the disk quota of", FREE, ("quota exceeded",)),
    errno.EFBIG: ("no file may grow as large as is needed:", "raise the bound (ulimit -f), or use another disk", (
        "File too large",
    )),
    errno.ENOLCK: ("there are no locks, which keep two commands from writing at once, on the file system of", (
        "give a --home on a disk that has locks, or mount this one with them"
    ), ("No locks available",)),
    errno.EROFS: ("nothing can be written to the read-only disk of", "remount it, or give another place", (
        "Read-only file system",
    )),
}  # fmt: skip


_DIGITS = re.compile(r"\d")
# Files are written under a hidden name first: .features.h5.123.tmp, .out.partial-123; what they will be is named.
_UNFINISHED, _BECOMES = re.compile(r"(^|/)\.([^/]+?)\.(?:\d+\.tmp|partial-\d+)(?=/|$)"), r"\1\2"


class SimsearchError(Exception):
    """A failure that the user can mend: `message` says what is wrong and where, `hint` what to do.

    `near` is a word that was given and the one that was likely meant, where there is one.
    """

    default_hint = "run the same command with --help to see what it expects"

    def __init__(self, message: str, *, hint: str | None = None, near: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.near = near
        self.hint = hint or self.default_hint


class RecipeError(SimsearchError):
    """A recipe, an option or a name that cannot be used."""

    default_hint = "simsearch show RECIPE prints every key of a recipe with its value"


class FilterError(RecipeError):
    """A filter of a query that cannot be read, or that names what is not there, at a `place` in its text."""

    def __init__(
        self, why: str, text: str, place: int, *, hint: str | None = None, near: tuple[str, str] | None = None
    ) -> None:
        super().__init__(f"where: {why}", hint=hint, near=near)
        self.text, self.place = text, place


class SourceError(SimsearchError):
    """A source of images that cannot be read or cannot be split."""

    default_hint = "check [dataset] source: digits, torchvision:NAME, folder:PATH or table:FILE"


class LabelsError(SourceError):
    """A file of labels that cannot be used; the images that it names, and their folder, are not at fault."""


class ImageError(SimsearchError):
    """One picture that cannot be decoded; a build sets it aside, a query reports it."""

    default_hint = "give a readable JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000, HEIC or JPEG XL file"


class EmbedderError(SimsearchError):
    """Weights, a loss, training or an ONNX bundle that cannot be used."""

    default_hint = "check the tables [embedder], [loss] and [training] of the recipe"


class MissingError(EmbedderError):
    """A library of one of the extras, which is not installed or cannot be imported."""


class VectorsError(SimsearchError):
    """Features or an index that cannot be used."""

    default_hint = "check [index] factory, and the features that go into the index"


class InvariantError(VectorsError):
    """An index that does not hold what it promises: its rows, unit vectors, the features that it was made from."""


class ArtifactError(SimsearchError):
    """An artifact or a build that is missing, damaged or belongs elsewhere."""

    default_hint = "simsearch show lists the builds of this home"


class EngineError(SimsearchError):
    """A server beyond this process that does not answer, refuses, or holds something else than is needed."""

    default_hint = "simsearch switch NAME --search local answers without a server"


class LockedError(SimsearchError):
    """A file that another process holds open for writing; nothing is known to be wrong with it."""

    default_hint = "close it there, or wait until it has been written, and run the same command again"


class DiskError(SimsearchError):
    """A disk that is full, that has no locks, or that nothing can be written to."""

    default_hint = FREE


def disk_error(
    error: BaseException, place: str | os.PathLike[str] | None = None, size: int | None = None
) -> DiskError | None:
    """Return what `error` says in the one wording for full disks; None where no disk is at fault.

    Libraries wrap what the system said, so its causes are looked at too. `place` is named, or the file that the
    system names; `size` are the bytes that are needed, where they are known.
    """
    for one in _causes(error):
        if isinstance(one, DiskError):
            return one
        for number, (what, hint, words) in _DISK.items():
            foreign = isinstance(one, (OSError, RuntimeError)) or type(one).__module__ == "sqlite3"
            if getattr(one, "errno", None) == number or (foreign and any(word in str(one) for word in words)):
                name = os.fsdecode(place or getattr(one, "filename", None) or ".")
                room = _room(name, size) if hint is FREE else ""
                return DiskError(f"{what} {_UNFINISHED.sub(_BECOMES, name)}{room}", hint=hint)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _room(path: str, size: int | None) -> str:
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path) or "."
    try:
        disk = os.statvfs(path)
    except OSError:
        return "" if size is None else f": {size:,} bytes are needed"
    free = disk.f_bavail * disk.f_frsize
    return f": {f'more than {free:,}' if size is None else f'{size:,}'} bytes are needed, {free:,} are free"


def first_line(error: Exception) -> str:
    """Return the first line of what a foreign library says, at most 300 characters; the error's class without one."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def did_you_mean(seen: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return "; did you mean 'x'?" for the nearest of the known names, "" where none is near."""
    return _meant(nearest(seen, known, cutoff))


def nearest(seen: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the nearest of the known names, None where none is near.

    Half of a short name is soon the same by chance: of one or two letters, one too many is too many.
    """
    cutoff = max(cutoff, SHORT_CUTOFF) if len(seen) <= SHORT else cutoff
    return next(iter(difflib.get_close_matches(seen, list(known), n=1, cutoff=cutoff)), None)


def near_words(seen: str, near: str | None) -> tuple[str, tuple[str, str] | None]:
    """Return the words of `did_you_mean` for a near name that was found already, and the pair for `near`."""
    return _meant(near), (seen, near) if near is not None else None


def _meant(near: str | None) -> str:
    return f"; did you mean {near!r}?" if near is not None else ""


def near_path(seen: str | os.PathLike[str], usable: Callable[[str], bool] = os.path.exists) -> str | None:
    """Return the path in the same folder whose name is most like that of a path that is not there, None without one.

    A folder that is not there itself is looked for in the same way. Only paths that are `usable` are looked at, and
    none that differs in digits alone: the next photo of a series is another one.
    """
    folder, name = os.path.split(os.fspath(seen).rstrip("/"))
    missing = [name]
    while folder and not os.path.isdir(folder):  # not by recursion: a path may have thousands of folders
        upper, name = os.path.split(folder.rstrip("/"))
        if upper == folder:
            return None
        folder = upper
        missing.append(name)
    for place in range(len(missing) - 1, -1, -1):
        fits = os.path.isdir if place else usable
        path = os.path.join(folder, missing[place])
        near = path if place < len(missing) - 1 and fits(path) else _near_name(folder, missing[place], fits)
        if near is None:
            return None
        folder = near
    return folder


def _near_name(folder: str, name: str, usable: Callable[[str], bool]) -> str | None:
    try:
        names = [one for one in os.listdir(folder or ".")[:MOST_NAMES] if _DIGITS.sub("", one) != _DIGITS.sub("", name)]
    except OSError:
        return None
    # A suffix makes all photos alike, so that names are near which are near without it.
    stem = os.path.splitext(name)[0]
    near = [
        one
        for one in difflib.get_close_matches(name, names, n=20)
        if nearest(stem, [os.path.splitext(one)[0]]) is not None
    ]
    return next((path for path in (os.path.join(folder, one) for one in near) if usable(path)), None)
