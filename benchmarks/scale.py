"""Building at size: seconds and peak memory of an IVF index over 1e4, 1e5, 1e6 and 1e7 x 64-d, and how they grow.

Clustered vectors (sides/index_data.py) in a features.h5 as the embed stage writes it; the index is trained on a sample
and filled in blocks straight from the file, then saved (sides/scale_ours.py, a process of its own for each size).
In the rows of time the peer is ten times the size before, so that a ratio above 1 means growth slower than linear. In
the rows of memory it is the index file itself: what is above it should stay a constant. The exponents are printed
last. 1e7 must stay within 20,000 MB. The vectors are written under the temporary folder: 2.6 GB, and the index as much.

Command: python benchmarks/scale.py [--json] [--rounds N] [--most ROWS]      (15 minutes on 2 cores with --rounds 1)
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import MEGABYTE, Row, main, median, say, side

SIZES = 10_000, 100_000, 1_000_000, 10_000_000
MOST_MEGABYTES = 20_000


def measure(most: int, folder: Path, rounds: int) -> Iterator[Row]:
    """Two rows for each size, then the exponents in words."""
    seconds, megabytes = [], []
    for rows in (rows for rows in SIZES if rows <= most):
        features, out = folder / "features.h5", folder / "index.faiss"
        say(f"{rows:,} rows: vectors")
        side("scale_ours", folder, "write", rows, features)
        runs = []
        for number in range(1, rounds + 1):
            say(f"  round {number} of {rounds}")
            runs.append(side("scale_ours", folder, "build", features, out))
        seconds.append(median(runs, lambda ran: float(ran.said["seconds"])))
        megabytes.append(median(runs, lambda ran: ran.megabytes))
        size = runs[0].said["bytes"] / MEGABYTE
        lists = f"IVF{runs[0].said['lists']},Flat"
        before = 10 * seconds[-2] if len(seconds) > 1 else seconds[-1]
        yield Row(f"scale/seconds/{rows:.0e}", seconds[-1], before, f"ten times the size before; {lists}", "s")
        limit = MOST_MEGABYTES if rows == SIZES[-1] else None
        yield Row(f"scale/memory/{rows:.0e}", megabytes[-1], size, "the index file", "MB", limit=limit)
        say(f"{rows:,} rows: {seconds[-1]:,.1f} s, {megabytes[-1]:,.0f} MB, {megabytes[-1] - size:,.0f} above the file")
    for what, values in (("seconds", seconds), ("memory", megabytes)):
        steps = [math.log10(after / before) for before, after in itertools.pairwise(values)]
        if steps:
            each = ", ".join(f"{step:.2f}" for step in steps)
            say(f"{what} grow with rows to the power of {each} from step to step")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--most", type=int, default=SIZES[-1])
    chosen, sys.argv[1:] = parser.parse_known_args()
    main(__doc__, partial(measure, chosen.most))
