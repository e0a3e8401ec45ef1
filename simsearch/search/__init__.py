"""A query: an image or vectors -> hits, answered as lines, JSON or a montage. What cli, web and bench use."""

from .searcher import Hit, Searcher

__all__ = ["Hit", "Searcher"]
