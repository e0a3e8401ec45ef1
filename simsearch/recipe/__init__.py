"""The recipe: its tables, its defaults, where it comes from, and what is said about mistakes."""

from simsearch.recipe.recipe import Recipe, make_recipe
from simsearch.recipe.table import filled

__all__ = ["Recipe", "filled", "make_recipe"]
