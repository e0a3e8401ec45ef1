"""What pydantic found wrong in a recipe, as one clear line."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import ValidationError

from simsearch.errors import RecipeError, SimsearchError
from simsearch.recipe.loss import LOSSES, unknown_loss
from simsearch.recipe.table import Table


def one_line(error: ValidationError, where: str, recipe: type[Table]) -> SimsearchError:
    """The first mistake in a `recipe` as one line: where, what was seen, the nearest legal key or the expected type."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    if location[:1] == ["loss"] and len(location) > 1 and location[1] in LOSSES:
        location.pop(1)  # pydantic names the member of the union, the recipe does not
    table, key = location[0] if location else "", ".".join(location[1:])
    place = f"{where}: [{table}]" + (f" {key}" if key else "")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        legal = _keys_of(first, table, recipe) if key else list(recipe.model_fields)
        seen = key or table
        near = difflib.get_close_matches(seen, legal, n=1, cutoff=0.4)
        kind = f"unknown key {seen!r} in [{table}]" if key else f"unknown table [{seen}]"
        guess = f"; did you mean {near[0]!r}?" if near else ""
        return RecipeError(f"{where}: {kind}{guess}{more}", hint=f"legal here: {', '.join(sorted(legal))}")
    if first["type"] == "missing":
        return RecipeError(f"{place} is missing{more}", hint='the least recipe is [dataset] with source = "digits"')
    if first["type"] == "union_tag_not_found":
        given = first["input"]
        name = given.get("name") if isinstance(given, dict) else given
        return RecipeError(f"{place} name: {unknown_loss(name)}{more}", hint="as --set loss.name=triplet")
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    seen = "" if "seen" in message else f", seen {brief(first.get('input'))}"
    return RecipeError(f"{place}: {message}{seen}{more}")


def _keys_of(first: Any, table: str, recipe: type[Table]) -> list[str]:
    if table == "loss":
        member = next((str(part) for part in first["loc"] if part in LOSSES), "l2_softmax")
        return list(LOSSES[member].model_fields)
    annotation = recipe.model_fields[table].annotation
    return list(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, Table) else []


def brief(value: Any) -> str:
    """At most 60 characters of a value's repr."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
