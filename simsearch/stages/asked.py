"""Which queries of a data set are measured: all of them, or a sample where exact answers to all would take too long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST_QUERIES = 10_000  # each is compared with every searched row, and more would not narrow an interval that is read


def measured_queries(rows: Sequence[int], digests: bytes | bytearray, most: int = MOST_QUERIES) -> list[int]:
    """Return the `rows` (ascending) of at most so many queries, ascending.

    `digests`: the SHA-256 of every row, 32 bytes each. The sample is that of the smallest of them (bottom-k sampling,
    Cohen and Kaplan 2007): a picture's own bytes decide, so that what a corpus gains or loses exchanges as few queries
    as it must, and nights stay paired.
    """
    if len(rows) <= most:
        return list(rows)
    asked = np.asarray(rows)
    keys = np.frombuffer(digests, ">u8").reshape(-1, 4)[asked]
    order = np.lexsort((asked, *keys.T[::-1]))
    return sorted(asked[order[:most]].tolist())
