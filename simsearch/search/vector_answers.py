"""How rows of a file of vectors are answered: one line a row, a batch at a time. A cold path, as answers is."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING

from simsearch.arrays import Floats
from simsearch.errors import VectorsError
from simsearch.search.answers import check_rated, hit_table, passes, tell_widened
from simsearch.search.collapsing import FIRST
from simsearch.vectors.formats import open_vectors
from simsearch.vectors.index import set_threads
from simsearch.versions import usable_cores

if TYPE_CHECKING:
    from simsearch.search.hit import Hit
    from simsearch.search.searcher import Searcher


BATCH = 1024
KEYS = ("rank", "score", "row", "image", "label")


def answer_vectors(
    searcher: Searcher,
    path: str,
    *,
    k: int,
    min_score: float | None = None,
    max_far: float | None = None,
    collapse: bool = False,
    as_json: bool = False,
) -> None:
    """Print the nearest images of each row of a file of vectors (of its queries, where the format has them).

    Every row is checked before the first is answered. Raises VectorsError for a file that cannot be used, another dim
    or a row without direction, RecipeError for a `max_far` that the build cannot judge.
    """
    if max_far is not None:
        check_rated(searcher, max_far)
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
        set_threads(usable_cores())
        alike = searcher.alike() if collapse else None
        keys = (*KEYS, "alike") if collapse else KEYS
        rated = searcher.least_false_accept_rate is not None
        for start, block in vectors.blocks(BATCH):
            started = time.perf_counter()
            found = [
                [hit for hit in hits if passes(hit, min_score, max_far)]
                for hits in searcher.search_vectors(block, k if alike is None else FIRST * k)
            ]
            widened = searcher.widened_last
            if alike is not None:

                def fetch(count: int, row: int, block: Floats = block) -> list[Hit]:
                    (hits,) = searcher.search_vectors(block[row : row + 1], count)
                    return [hit for hit in hits if passes(hit, min_score, max_far)]

                found = [alike.collapse(k, partial(fetch, row=row), hits) for row, hits in enumerate(found)]
            milliseconds = round((time.perf_counter() - started) * 1000 / len(block), 3)  # a row's share of the batch
            for row, kept in enumerate(found, start):
                if as_json:
                    listed = [{key: getattr(hit, key) for key in keys} for hit in kept]
                    answer = {"query": row, "build": searcher.build.name, "hits": listed, "milliseconds": milliseconds}
                    print(json.dumps(answer | ({"widened": True} if row - start in widened else {})))
                else:
                    print("\n".join(hit_table(f"row {row}", kept, labelled=searcher.labelled, rated=rated)))
    finally:
        file.close()
    tell_widened(searcher)
