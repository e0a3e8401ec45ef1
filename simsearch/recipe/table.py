"""The base of every table of a recipe, and the pydantic settings that all of them share."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of the recipe: unknown keys are refused, so that a misspelt option never passes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Value = TypeVar("Value")


def filled(value: Value | None) -> Value:
    """Return the value of a key that `Recipe.resolve` has filled in."""
    assert value is not None, "the recipe is not resolved"
    return value
