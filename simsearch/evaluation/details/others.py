"""The nearest others of every image of a corpus, found once for all that looks at them: copies count as one image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Flags, Floats, Integers
from simsearch.evaluation.systems import FeatureSource, blocks, gather
from simsearch.vectors.exact import exact_neighbours
from simsearch.vectors.normalize import normalize

MOST_PAIRS = 4e9  # products; 60,000 rows all ask, of a million 4,000
NARROW = 128  # numbers a row where `narrow` features would take longer than so many
_SAMPLED = 4096  # rows that tell along which axes features spread

Digests = NDArray[np.bytes_]


@dataclass(frozen=True)
class Others:
    """Rows `asked` (A,), of `among` (N,), with the nearest others of each: `rows` (A, k) and scores, best first."""

    asked: Integers
    among: Integers
    rows: Integers
    scores: Floats


def one_of_each(digests: Digests) -> Flags:
    """Return which rows (N,) are the first with their digest."""
    distinct = np.zeros(len(digests), dtype=np.bool_)
    distinct[np.unique(digests, return_index=True)[1]] = True
    return distinct


def nearest_others(source: FeatureSource, distinct: Flags, k: int, *, narrow: bool = False) -> Others:
    """Return the k nearest others of the `distinct` (N,) first rows of `source`, by exact cosine search among them.

    Where all pairs would take too long a seeded sample asks. `narrow`: wide features of many rows are taken along the
    128 axes in which they spread most. Memory: the answer, the rows that ask, and blocks. Raises VectorsError for
    a feature without direction.
    """
    rows = np.flatnonzero(distinct)
    asked = rows
    if float(len(rows)) * len(rows) > MOST_PAIRS:
        asked = np.sort(np.random.default_rng(0).choice(rows, int(MOST_PAIRS / len(rows)), replace=False))
    if len(rows) < 2:
        return Others(asked, rows, np.empty((len(asked), 0), np.int64), np.empty((len(asked), 0), np.float32))
    axes = None
    if narrow and float(len(asked)) * len(rows) * source.shape[1] > MOST_PAIRS * NARROW:
        some = np.sort(np.random.default_rng(0).permutation(rows)[:_SAMPLED])
        spread = normalize(gather(source, some))
        axes = np.ascontiguousarray(np.linalg.eigh(spread.T @ spread)[1][:, -NARROW:])

    def embeddings(features: Floats) -> Floats:
        unit = normalize(features)
        return unit if axes is None else normalize(unit @ axes)

    def base() -> Iterator[Floats]:
        start = 0
        for block in blocks(source, len(distinct)):
            kept = block[distinct[start : start + len(block)]]
            start += len(block)
            if len(kept):
                yield embeddings(kept)

    scores, found = exact_neighbours(embeddings(gather(source, asked)), base(), k, np.searchsorted(rows, asked))
    return Others(asked, rows, rows[found], scores)
