"""A query: an image or vectors -> hits, answered as lines, JSON or a montage. What cli, web and bench use."""

from simsearch.search.hit import Hit
from simsearch.search.searcher import Searcher

__all__ = ["Hit", "Searcher"]
