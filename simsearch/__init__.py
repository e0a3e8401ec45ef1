"""simsearch: turn a folder of labelled images into a similarity search whose quality is measured.

    >>> import simsearch
    >>> build = simsearch.build("photos.toml")  # or a folder, or the name of a shipped recipe
    >>> with simsearch.open(build) as searcher:
    ...     for hit in searcher.search("photos/class 1/00.png", k=2)[0]:
    ...         print(hit.rank, hit.label)
    1 class 1
    2 class 1

docs/python.md has more. Importing this package is cheap; everything heavy is imported by the function that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simsearch.errors import SimsearchError
from simsearch.versions import __version__

if TYPE_CHECKING:
    from simsearch.console import Progress
    from simsearch.home import Build
    from simsearch.search import Searcher
    from simsearch.search.detector import Detector

__all__ = ["SimsearchError", "__version__", "build", "fit_defects", "open", "open_detector"]


def build(
    recipe: str = "digits",
    *,
    settings: list[str] | None = None,
    home: str | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> Build:
    """Build a recipe (a shipped name, a .toml file) or a folder of images; returns the finished build.

    `settings` are `table.key=value` strings as for `--set`. Nothing is printed, unless `progress` does, as
    `simsearch.console.Shown()` on stderr. Raises SimsearchError for what the user can mend.
    """
    from simsearch.home import Home
    from simsearch.pipeline.run import run_build
    from simsearch.recipe.files import find_recipe

    return run_build(find_recipe(recipe, settings or []), Home.locate(home), name=name, progress=progress).build


def open(build: str | Build | None = None, *, home: str | None = None, rehash: bool = False) -> Searcher:
    """Open a build by its name, or a pack by its path, for searching (default: the newest build).

    With `rehash` every file is read and hashed whole.
    """
    from simsearch.home import Home
    from simsearch.search import Searcher

    found = Home.locate(home).readable(build) if build is None or isinstance(build, str) else build
    return Searcher(found, rehash=rehash)


def fit_defects(
    folder: str | None = None,
    *,
    build: str | None = None,
    normal: str | None = None,
    method: str | None = None,
    false_alarms: float | None = None,
    settings: list[str] | None = None,
    home: str | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> Build:
    """Learn what normal images look like, of a folder or of the recipe of a build; returns a build as `build` does.

    All is as `simsearch defects fit` has it. Raises SimsearchError for what the user can mend.
    """
    from simsearch.home import Home
    from simsearch.pipeline.defects import fit_defects as fit

    wanted = {"normal": normal, "method": method, "false_alarms": false_alarms}
    place = Home.locate(home)
    return fit(place, folder, build, wanted=wanted, name=name, settings=settings or (), progress=progress).build


def open_detector(build: str | Build | None = None, *, home: str | None = None) -> Detector:
    """Open a build that `fit_defects` made by name or in a pack (default: the newest that has scores)."""
    from simsearch.home import Home
    from simsearch.search.detector import Detector, with_defects

    found = with_defects(Home.locate(home), build) if build is None or isinstance(build, str) else build
    return Detector(found)
