"""The recipe: its tables, its defaults, where it comes from, and what is said about mistakes."""

from simsearch.recipe.recipe import Recipe, make_recipe

__all__ = ["Recipe", "make_recipe"]
