"""The rows of a file of vectors that a build can be asked with, every one checked before the first is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from simsearch.arrays import Floats
from simsearch.errors import VectorsError

FILE_BATCH = 1024  # rows that are asked together


def file_rows(path: str, dim: int, build: str) -> Iterator[tuple[int, Floats]]:
    """Yield the row that a block of vectors (N, dim) float32 starts at, and the block, of a file's queries or vectors.

    Raises VectorsError for a file that cannot be used, and for vectors of another width than those of the `build`.
    """
    from simsearch.vectors.formats import open_vectors

    with closing(open_vectors(path)) as file:
        vectors = file.queries or file.vectors
        if vectors.shape[1] != dim:
            raise VectorsError(
                f"{path}: {vectors.shape[1]}-d vectors, build {build} has {dim}-d",
                hint="search with vectors of the embedder that the build was made with",
            )
        for _ in vectors.blocks():
            pass
        yield from vectors.blocks(FILE_BATCH)
