"""Recipes from and as text: shipped ones, TOML files, folders of images, `--set` on top; a resolved one as TOML."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simsearch.console import safe, typable
from simsearch.errors import RecipeError, near_path, near_words, nearest
from simsearch.images.formats.formats import suffixes
from simsearch.images.sources.mending import is_file_of_labels
from simsearch.images.sources.urls import checked_url, is_url, name_of
from simsearch.names import PACK, build_name
from simsearch.recipe.recipe import Recipe, make_recipe
from simsearch.recipe.settings import lines_of
from simsearch.recipe.takes import toml
from simsearch.vectors.search import KINDS

PACKAGE = Path(__file__).parent.parent
# In a wheel the recipes travel inside the package; in a checkout they lie at the root.
NIGHTLY = "nightly"  # lies beside the recipes, and is the matrix of the nightly job
SHIPPED_FOLDERS = (PACKAGE / "pipelines", PACKAGE.parent / "pipelines")
# Workbooks too: they are refused where lists are read, with what to do.
LISTS = {".csv", ".tsv", ".tab", ".txt", ".parquet", ".xlsx", ".xls", ".ods"}
INNER = ("patch",)  # tables within a table
WHEN_LEFT_OUT = {
    "mean": "measured on the fit images",
    "std": "measured on the fit images",
    "root": "the folder of the source",
    "columns": "path, label and split",
    "classes_per_batch": "10, or as many as there are",
    "margin2": 'not used by form = "text"',
    **dict.fromkeys(KINDS, "FAISS's default"),
    "factory": "chosen by measuring",
    "normal": "every image",
}


@dataclass(frozen=True)
class NamedRecipe:
    """A checked recipe, the name that its build gets, and the words of the command that asked for it.

    `words`: the whole command, where it is not `simsearch build`.
    """

    name: str
    recipe: Recipe
    argument: str
    settings: tuple[str, ...]
    words: str | None = None

    def command(self) -> str:
        """The command for a shell."""
        if self.words is not None:
            return self.words
        argument = f"./{self.argument}" if self.argument.startswith("-") else self.argument
        return shlex.join(["simsearch", "build", argument, *(w for s in self.settings for w in ("--set", s))])


def shipped_recipes() -> dict[str, Path]:
    """The recipes that ship with the package, by name."""
    return {path.stem: path for path in sorted(shipped_folder().glob("*.toml")) if path.stem != NIGHTLY}


def shipped_folder() -> Path:
    """Return where the shipped recipes and the matrix of the nightly job lie."""
    return next((folder for folder in SHIPPED_FOLDERS if folder.is_dir()), SHIPPED_FOLDERS[-1])


def find_recipe(argument: str, settings: list[str], builds: Iterable[str] = ()) -> NamedRecipe:
    """The recipe that RECIPE, FOLDER, URL or TABLE on the command line stands for, with the `--set` settings applied.

    A shipped name wins over a folder of that name; `./x` is always a path. Relative paths inside a recipe file start
    at the file's folder, those of a shipped recipe and of `--set` at the current one. Raises RecipeError; the one for a
    name that stands for nothing has the nearest that there is, also among `builds`.
    """
    shipped = shipped_recipes()
    path = Path(os.path.expanduser(argument))
    if argument in shipped:
        tables = _read_tables(shipped[argument], Path.cwd())
        name, where = argument, f"recipe {argument}"
    elif is_url(argument):
        argument = checked_url(argument)
        if Path(name_of(argument)).suffix.lower() in LISTS:
            raise RecipeError(
                f"{argument} is a list, and lists are read from this machine alone",
                hint="download it; its paths start at dataset.root",
            )
        tables = {"dataset": {"source": f"folder:{argument}"}}
        name, where = build_name(name_of(argument)), f"folder {argument}"
    elif path.is_dir():
        tables = {"dataset": {"source": f"folder:{os.path.abspath(path)}"}}
        name, where = build_name(path.resolve().name), f"folder {argument}"
    elif path.is_file() and path.suffix.lower() in LISTS:
        tables = {"dataset": {"source": f"table:{os.path.abspath(path)}"}}
        name, where = build_name(path.stem), f"table {argument}"
    elif path.is_file() and path.suffix.lower() in suffixes():
        folder = shlex.quote(os.path.dirname(argument) or ".")
        raise RecipeError(
            f"{argument} is a picture, and build takes a folder of them",
            hint=f"simsearch query {typable(argument, 'IMAGE')}, or simsearch build {safe(folder)}",
        )
    elif path.is_file() and path.suffix == PACK:
        raise RecipeError(
            f"{argument} is a pack, which is only read, and build takes a recipe, a folder or a table",
            hint=f"simsearch query IMAGE --build {typable(argument, 'FILE.pack')}",
        )
    elif path.is_file():
        tables = _read_tables(path, path.resolve().parent)
        name, where = build_name(path.stem), argument
    else:
        names = (*shipped, *builds)
        path_like = near_path(argument, _buildable)
        known = [*names, path_like] if path_like else names
        said, near = near_words(argument, nearest(argument.rstrip("/"), known) or path_like)
        what = "a folder of images (class/x.jpg) or a table (.csv)"
        raise RecipeError(
            f"no recipe, recipe file or folder {argument!r}{said}",
            near=near,
            hint=f"check the path, of {what}; this is {safe(os.getcwd())}"
            if os.sep in argument
            else f"shipped recipes: {', '.join(shipped)}; or give {what}",
        )
    return NamedRecipe(name, make_recipe(with_settings(tables, settings), where), argument, tuple(settings))


def _buildable(path: str) -> bool:
    return os.path.isdir(path) or Path(path).suffix.lower() in {".toml", *LISTS}


def parse_setting(text: str) -> tuple[str, str, Any]:
    """(table, key, value) of a `--set table.key=value`; the value is TOML, or a string when it is not."""
    left, equals, right = text.partition("=")
    table, dot, key = left.strip().partition(".")
    if not (equals and dot and table and key):
        raise RecipeError(f"--set expects table.key=value, seen {text!r}", hint="as --set training.epochs=3")
    try:
        parsed = tomllib.loads(f"value = {right}")
    except (ValueError, RecursionError):  # also a number of thousands of digits, and brackets nested as deep
        return table, key, right.strip()
    return table, key, parsed["value"] if len(parsed) == 1 else right.strip()


def settings_of(table: str, settings: Iterable[str]) -> dict[str, Any]:
    """The keys and values that `--set` gives the one table that a command takes; RecipeError for another table."""
    found: dict[str, Any] = {}
    for text in settings:
        other, key, value = parse_setting(text)
        if other != table:
            raise RecipeError(f"--set takes keys of [{table}] here, seen {text!r}", hint=f"as --set {table}.KEY=VALUE")
        found[key] = value
    return found


def with_settings(tables: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return the tables of a recipe with `--set` settings applied."""
    overrides: dict[str, Any] = {}
    for text in settings:
        table, key, value = parse_setting(text)
        inner, dot, rest = key.partition(".")  # as in defects.patch.bank
        into = overrides.setdefault(table, {})
        if dot:
            into.setdefault(inner, {})[rest] = value
        else:
            into[key] = value
    merged = dict(tables)
    for table, keys in _with_absolute_paths(overrides, Path.cwd()).items():
        old = merged.get(table, {})
        if table == "loss" and "name" in keys and isinstance(old, dict) and keys["name"] != old.get("name"):
            old = {}  # another loss has none of the keys of the recipe's
        merged[table] = _merged(old, keys) if isinstance(old, dict) else old
    return merged


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return a table with keys set anew; those of a table within it that are not named stay."""
    both = {
        key: {**old[key], **value}
        for key, value in new.items()
        if key in INNER and isinstance(value, dict) and isinstance(old.get(key), dict)
    }
    return {**old, **new, **both}


def _read_tables(path: Path, base: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except (ValueError, RecursionError) as error:
        raise RecipeError(
            f"{path}: expected a TOML recipe, seen {error}",
            hint=_without_quotes(path, str(error))
            or "give a .toml recipe or a folder of images; pictures go to simsearch query",
        ) from None
    return _with_absolute_paths(tables, base)


def _without_quotes(path: Path, error: str) -> str | None:
    """Return the line at fault with its value in quotes, where it is text without them."""
    at = re.search(r"line (\d+)", error)
    try:
        line = path.read_text(encoding="utf-8").splitlines()[int(at[1]) - 1] if at else ""
    except (OSError, ValueError, IndexError):
        return None
    found = re.fullmatch(r"\s*([\w.-]+)\s*=\s*([^\W\d][^\"'#=\[\]{}]*?)\s*(#.*)?", line)
    return f"text needs quotes: {found[1]} = {toml(found[2])}" if found else None


def _with_absolute_paths(tables: dict[str, Any], base: Path) -> dict[str, Any]:
    """`tables` with the paths in [dataset] and [embedder] made absolute, relative to `base`."""

    def absolute(path: str) -> str:
        if "\0" in path:
            raise RecipeError(f"a path cannot hold a NUL character: {path!r}")
        return os.path.normpath(base / os.path.expanduser(path))

    result = {name: dict(table) if isinstance(table, dict) else table for name, table in tables.items()}
    dataset, embedder = result.get("dataset"), result.get("embedder")
    if isinstance(dataset, dict):
        kind, colon, path = str(dataset.get("source", "")).partition(":")
        if kind in {"folder", "table"} and colon and path and not is_url(path):
            dataset["source"] = f"{kind}:{absolute(path)}"
        if isinstance(dataset.get("root"), str):
            dataset["root"] = absolute(dataset["root"])
        if isinstance(dataset.get("labels"), str) and is_file_of_labels(dataset["labels"]):
            dataset["labels"] = absolute(dataset["labels"])
    backbone = embedder.get("backbone") if isinstance(embedder, dict) else None
    if isinstance(backbone, str) and backbone.startswith("onnx:"):
        result["embedder"]["backbone"] = "onnx:" + absolute(backbone.removeprefix("onnx:"))
    weights = embedder.get("weights") if isinstance(embedder, dict) else None
    if isinstance(weights, str) and weights not in {"none", "default"}:
        result["embedder"]["weights"] = absolute(weights)
    return result


def recipe_lines(recipe: dict[str, Any], *, explained: bool = False) -> list[str]:
    """Return a resolved recipe as lines of TOML; what is decided later stands in comments, as does what a key does."""
    lines = []
    for table, keys in recipe.items():
        lines.append(f"[{table}]")
        tuned = dict.fromkeys(KINDS, "tuned to target_recall") if keys.get("target_recall") is not None else {}
        why = {**WHEN_LEFT_OUT, **tuned}
        said = lines_of(table, keys) if explained else {}
        for key, value in sorted(keys.items(), key=lambda item: item[1] is None):
            lines += [f"# {said[key]}"] if key in said else []
            lines.append(f"# {key}: {why.get(key, 'none')}" if value is None else f"{key} = {toml(value)}")
    return lines
