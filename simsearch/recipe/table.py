"""The base of every table of a recipe, the pydantic settings that all of them share, and types of values."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Table(BaseModel):
    """A table of the recipe: unknown keys are refused, so that a misspelt option never passes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def setting(line: str, default: Any = ..., **limits: Any) -> Any:
    """Return a key of a table, of its line for `show` and docs/settings.md, its default and pydantic's limits."""
    return Field(default, description=line, **limits)


def plain(value: Any) -> Any:
    """Return the value of a key as TOML has it: a table within a table as a dictionary."""
    return value.model_dump() if isinstance(value, Table) else value


Value = TypeVar("Value")


def filled(value: Value | None) -> Value:
    """Return the value of a key that `Recipe.resolve` has filled in."""
    assert value is not None, "the recipe is not resolved"
    return value


def brief(value: Any) -> str:
    """Return at most 60 characters of a value's repr."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    for key, value in options.items():
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"expected text, a finite number, true or false for {key}, seen {brief(value)}")
    return options


Options = Annotated[dict[str, Any], AfterValidator(_plain)]
"""Keyword arguments of somebody else's class."""
