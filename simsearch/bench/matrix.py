"""The matrix of the nightly job: TOML in, cells out, the most valuable first."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from simsearch.artifacts import digest_of
from simsearch.bench.judging.metrics import METRICS
from simsearch.bench.records import Cell
from simsearch.errors import RecipeError, did_you_mean, near_path, near_words, nearest
from simsearch.recipe.files import NIGHTLY, NamedRecipe, find_recipe, shipped_folder, shipped_recipes
from simsearch.recipe.recipe import one_line
from simsearch.recipe.table import Table
from simsearch.vectors.search import KINDS, WHOLE

MOST_CELLS = 10_000
COUNTED = {key: kind for key, kind in KINDS.items() if key in WHOLE}


class Cells(Table):
    """[matrix]: what is crossed. The first of each list is worth most: when time is short, the last are dropped."""

    recipes: list[str] = Field(min_length=1)
    seeds: list[int] | None = None  # None: each recipe's own
    factories: list[str] | None = None  # None: each recipe's own index
    search: list[dict[str, int]] = Field(default=[])  # each is tried on the factories that have such a setting
    settings: list[str] = Field(default=[])  # as --set, for every recipe

    @field_validator("seeds", "factories", "recipes")
    @classmethod
    def _different(cls, values: list[Any] | None) -> list[Any] | None:
        if values is not None and (not values or len(set(values)) != len(values)):
            raise ValueError(f"expected at least one value, each once, seen {values}")
        return values

    @field_validator("search")
    @classmethod
    def _known(cls, search: list[dict[str, int]]) -> list[dict[str, int]]:
        for table in search:
            if search.count(table) > 1:
                raise ValueError(f"expected each search setting once, seen {table} {search.count(table)} times")
            if not table or not table.keys() <= COUNTED.keys() or min(table.values()) < 1:
                guess = _guess(table, COUNTED)
                raise ValueError(f"expected tables of {' and '.join(COUNTED)}, each at least 1, seen {table}{guess}")
        return search


def _guess(seen: Iterable[str], known: Collection[str]) -> str:
    """Return "; did you mean 'x'?" for the first that is not known, where one is near."""
    return next((did_you_mean(key, known) for key in seen if key not in known), "")


class Gate(Table):
    """[gate]: how sure and how large a loss must be to fail a night."""

    p: float = Field(default=0.01, gt=0, lt=1)  # after Holm's correction over all paired tests of a night
    # By metric: a loss whose interval does not lie beyond it does not matter.
    least: dict[str, float] = Field(default={})
    # Slower by this share, relative to the reference workload and on one machine; false: speed is not judged.
    speed: float | Literal[False] = 0.5

    @field_validator("speed")
    @classmethod
    def _positive(cls, speed: float | Literal[False]) -> float | Literal[False]:
        if speed is not False and not speed > 0:
            raise ValueError(f"expected a share above 0, or false, seen {speed}")
        return speed

    @field_validator("least")
    @classmethod
    def _paired_metrics(cls, least: dict[str, float]) -> dict[str, float]:
        known = [name for name, metric in METRICS.items() if metric.judged == "paired"]
        if not least.keys() <= set(known) or any(not 0 <= value <= 1 for value in least.values()):
            raise ValueError(f"expected shares from 0 to 1 for {', '.join(known)}, seen {least}{_guess(least, known)}")
        return least


class Limits(Table):
    """[limits]: the most seconds that a night may take."""

    seconds: float = Field(default=4 * 3600.0, gt=0)


class MatrixFile(Table):
    """A whole matrix file."""

    matrix: Cells
    gate: Gate = Gate()
    limits: Limits = Limits()


@dataclass(frozen=True)
class Matrix:
    """A checked matrix: its cells in order of their value, gate and limits, and the digest of all that."""

    cells: tuple[Cell, ...]
    gate: Gate
    limits: Limits
    digest: str

    def least(self, metric: str) -> float:
        """Return the least loss of a metric that matters."""
        return self.gate.least.get(metric, METRICS[metric].least)


def read_matrix(argument: str) -> Matrix:
    """Return the matrix in a TOML file, or the shipped one. Raises RecipeError that names file, table and key.

    Every recipe is read and checked as well. Relative paths of recipes start at the file's folder.
    """
    path = shipped_folder() / f"{NIGHTLY}.toml" if argument == NIGHTLY else Path(os.path.expanduser(argument))
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except IsADirectoryError:
        raise RecipeError(
            f"{argument} is a folder, and bench takes a matrix",
            hint=f'a .toml file with [matrix] and recipes = ["{argument}"] measures it every night',
        ) from None
    except FileNotFoundError:
        like = [name for name in (NIGHTLY, "accept", near_path(argument)) if name is not None]
        said, near = near_words(argument, nearest(argument, like))
        raise RecipeError(
            f"no matrix file {argument!r}{said}",
            hint=f"give a .toml file with a [matrix] table, or leave it out: {NIGHTLY}",
            near=near,
        ) from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: expected a TOML matrix, seen {error}", hint="as pipelines/nightly.toml") from None
    if "matrix" not in tables:
        raise RecipeError(
            f"{path}: expected a [matrix] table, seen {', '.join(f'[{name}]' for name in tables) or 'nothing'}"
            + _guess(tables, ["matrix"]),
            hint="a matrix lists recipes, as pipelines/nightly.toml does; a single recipe goes to simsearch build",
        )
    try:
        found = MatrixFile.model_validate(tables)
    except ValidationError as error:
        wrong = one_line(error, str(path), MatrixFile)
        hint = wrong.hint if "legal here" in wrong.hint else "docs/nightly.md shows a matrix with every key"
        raise RecipeError(wrong.message, hint=hint) from None
    cells, recipes = _cells(found.matrix, path)
    return Matrix(cells, found.gate, found.limits, digest_of({"recipes": recipes, **found.model_dump()}))


def _cells(table: Cells, path: Path) -> tuple[tuple[Cell, ...], list[Any]]:
    """Return the cells and their recipes, the most valuable first: all with the first seed, then with the next."""
    cells: list[Cell] = []
    whole: list[Any] = []
    names: dict[str, str] = {}
    folder, shipped = path.parent.resolve(), shipped_recipes()
    paths = (recipe if recipe in shipped else folder / os.path.expanduser(recipe) for recipe in table.recipes)
    recipes = [(os.path.normpath(place), recipe) for place, recipe in zip(paths, table.recipes, strict=True)]
    for number in range(len(table.seeds or [0])):
        for argument, written in recipes:
            settings = [*table.settings]
            if table.seeds is not None:
                settings.append(f"training.seed={table.seeds[number]}")
            named = _recipe(argument, settings, path)
            if names.setdefault(named.name, written) != written:
                raise RecipeError(
                    f"{path}: {names[named.name]} and {written} are both named {named.name}",
                    hint="cells are told apart by the recipe's name: rename one of the files",
                )
            index = named.recipe.index
            seed = named.recipe.training.seed
            # What stands for the factory of an index that is chosen by measuring, or that the recipe leaves out.
            chosen = "Flat" if index.target_recall is None else f"target_recall={index.target_recall}"
            for at, factory in enumerate(table.factories or [index.factory or chosen]):
                of_it = [t for t in table.search if all(COUNTED[key] in factory for key in t)]
                own = {} if table.factories else {k: v for k in COUNTED if (v := getattr(index, k)) is not None}
                for place, search in enumerate(of_it or [own]):
                    pairs = tuple(sorted(search.items()))
                    changed = [f"index.{key}={value}" for key, value in pairs]
                    if table.factories:
                        changed.insert(0, f"index.factory={factory}")
                    # A mistake is reported before anything runs.
                    every = (*settings, *changed)
                    whole.append(_recipe(argument, list(every), path).recipe.model_dump())
                    cells.append(Cell(named.name, seed, factory, pairs, argument, every, (at, place)))
                    if len(cells) > MOST_CELLS:
                        raise RecipeError(f"{path}: more than {MOST_CELLS:,} cells", hint="list fewer of something")
    return tuple(cells), whole


def _recipe(argument: str, settings: list[str], path: Path) -> NamedRecipe:
    """Return a recipe of the matrix; a mistake in it, or in what the matrix sets, names the matrix too."""
    try:
        return find_recipe(argument, settings)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error.message}", hint=error.hint) from None
