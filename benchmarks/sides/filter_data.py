"""What the sides of filter.py share: clustered vectors (index_data.py), queries, and which rows pass."""

from pathlib import Path

import numpy as np
from index_data import blocks, queries

ROWS, QUERIES = 200_000, 300
CELLS = [(pattern, share) for pattern in ("random", "clustered") for share in (0.5, 0.1, 0.01, 0.001)]


def write(folder):
    """Write base.npy and queries.npy."""
    np.save(Path(folder) / "base.npy", np.concatenate(list(blocks("clustered", ROWS))))
    np.save(Path(folder) / "queries.npy", queries("clustered", 0, QUERIES))


def opened(folder):
    """Return rows and queries."""
    return np.load(Path(folder) / "base.npy"), np.load(Path(folder) / "queries.npy")


def flags(base, pattern, share):
    """Return which rows pass: a share of them at random, or (clustered) those nearest to one of them."""
    count = int(share * len(base))
    chosen = np.random.default_rng(7).permutation(len(base))[:count]
    if pattern == "clustered":
        chosen = np.argpartition(-(base @ base[1]), count)[:count]
    found = np.zeros(len(base), dtype=np.bool_)
    found[chosen] = True
    return found


if __name__ == "__main__":
    import sys

    write(sys.argv[1])
    print("{}")
