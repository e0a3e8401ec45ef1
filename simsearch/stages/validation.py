"""What is watched while training: recall@1 of val rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simsearch.arrays import Integers
from simsearch.errors import VectorsError
from simsearch.vectors.exact import exact_search
from simsearch.vectors.normalize import normalize

VAL_IMAGES = 1000  # a progress figure: a seeded part of the rows is enough


def recall_at_1(
    features: Callable[[Integers], Any], labels: Integers, val: Integers, fit: Integers, *, gallery: int, raw: bool
) -> Callable[[], float]:
    """A function that gives recall@1 of val rows among fit rows, both a seeded part, of at most 1,000 and `gallery`.

    `raw` compares raw features by L2 (plain softmax), else embeddings by inner product.
    """
    random = np.random.default_rng(0)
    queries, base_rows = random.permutation(val)[:VAL_IMAGES], random.permutation(fit)[:gallery]

    def measure() -> float:
        searched, base = features(queries), features(base_rows)
        try:
            if not raw:
                searched, base = normalize(searched), normalize(base)
            nearest = np.concatenate(
                [rows[:, 0] for _, _, rows in exact_search(searched, base, 1, "l2" if raw else "ip")]
            )
        except VectorsError:  # collapsed or exploded features; the loss says so in its own time
            return 0.0
        return float((labels[base_rows[nearest]] == labels[queries]).mean())

    return measure
