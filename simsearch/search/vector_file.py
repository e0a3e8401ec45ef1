"""The rows of a file of vectors, asked a batch at a time. A cold path: only `query --vectors` imports it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from simsearch.errors import VectorsError
from simsearch.vectors.formats import open_vectors

if TYPE_CHECKING:
    from simsearch.search.question import Answer, Question
    from simsearch.search.searcher import Searcher

BATCH = 1024


def ask_rows(searcher: Searcher, path: str, question: Question) -> Iterator[tuple[int, Answer]]:
    """Yield each row of a file of vectors (of its queries, where the format has them) with its answer.

    Every row is checked before the first is answered. Raises VectorsError for a file that cannot be used, another dim
    or a row without direction, RecipeError for a `max_far` that the build cannot judge.
    """
    file = open_vectors(path)
    try:
        vectors = file.queries or file.vectors
        if vectors.shape[1] != searcher.dim:
            raise VectorsError(
                f"{path}: {vectors.shape[1]}-d vectors, build {searcher.build.name} has {searcher.dim}-d",
                hint="search with vectors of the embedder that the build was made with",
            )
        for _ in vectors.blocks():
            pass
        for start, block in vectors.blocks(BATCH):
            yield from enumerate(searcher.ask_vectors(block, question), start)
    finally:
        file.close()
