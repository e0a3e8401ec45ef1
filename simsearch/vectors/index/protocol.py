"""What an index is to the rest of the house: vectors in, neighbours out. FAISS is one maker of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from simsearch.arrays import Floats, Integers
from simsearch.vectors.index.deleting import Deleted
from simsearch.vectors.index.passing import Passing
from simsearch.vectors.search import DEFAULT, Search

Name = Callable[[int], str]


class Neighbours(NamedTuple):
    """The answers to Q queries: scores (Q, k) float32 and rows (Q, k) int64, nearest first.

    `widened` holds the queries for which the index as it is set finds too few: they were searched wider, or exactly.
    """

    scores: Floats
    rows: Integers
    widened: Integers


class Index(Protocol):
    """An index under inner product whose ids are rows; may be searched by several threads at once.

    `is_flat`: every answer is exact. `stores_vectors`: embeddings are stored as they are, not coded.
    `scores_are_exact`: a returned score is the inner product itself.
    """

    factory: str  # its kind in words

    @property
    def ntotal(self) -> int: ...

    @property
    def dim(self) -> int: ...

    @property
    def is_flat(self) -> bool: ...

    @property
    def stores_vectors(self) -> bool: ...

    @property
    def scores_are_exact(self) -> bool: ...

    def search(
        self,
        embeddings: Floats,
        k: int,
        search: Search = DEFAULT,
        *,
        rows_below: int | None = None,
        deleted: Deleted | None = None,
        passing: Passing | None = None,
    ) -> Neighbours:
        """Return the neighbours of unit embeddings (Q, D), ordered (score, then row).

        k is capped at the rows that are searched: all, or those below `rows_below`, without the `deleted` ones, or only
        those `passing` (neither of the others is then looked at), which may be none; no row is ever -1. Raises
        VectorsError for another dim, k < 1, or a setting that the index does not have.
        """

    def add(self, features: Floats, *, name: Name | None = None) -> None:
        """Append raw features (n, D), normalized here, as rows ntotal and on; `name(row)` is the image of a row."""

    def save(self, path: Path) -> None:
        """Write the index to `path`. Raises VectorsError when it cannot be written."""

    def stored(self, start: int, stop: int) -> Floats:
        """Return what the index stores of rows [start, stop), (stop - start, D) float32, decoded where it is coded."""

    def close(self) -> None:
        """Let go of files and connections; nothing is asked of it afterwards."""
