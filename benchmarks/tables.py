"""The table of images and their thumbnails at 1e7 rows: peak memory, which must stay within 2,000 MB.

Metadata are made up (a name of 40 characters, 1,000 labels, a SHA-256), a thumbnail is 300 bytes. Each step is a
process of its own (sides/tables_ours.py): the table is written, 10,000 rows of it are looked up, one column is read
whole, as a filter does; thumbnails are written, and 10,000 of them looked up. The last row is the split of a data set
into fit, val, gallery and queries, which holds an object an image: it is made at a tenth of the rows and held to a
tenth of the limit. 5 GB are written under the temporary folder.

Command: python benchmarks/tables.py [--json] [--most ROWS]      (20 minutes on 2 cores)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import Row, main, say, side

ROWS, SMALLER = 10_000_000, 10  # the split is made of one in ten
MOST_MEGABYTES = 2_000
STEPS = ("write", "look", "column", "thumbnails", "look_at_thumbnails", "split")


def measure(most: int, folder: Path, rounds: int) -> Iterator[Row]:
    """A row for each step."""
    for step in STEPS:
        rows, limit = most, MOST_MEGABYTES * most / ROWS
        if step == "split":
            rows, limit = rows // SMALLER, limit / SMALLER
        ran = side("tables_ours", folder, step, rows, folder)
        say(f"{step}, {rows:,} rows: {ran.said['seconds']:,.1f} s, {ran.said['megabytes']:,.0f} MB")
        yield Row(f"tables/{step}/{rows:.0e}", ran.said["megabytes"], limit, "what is allowed", "MB", target=1.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--most", type=int, default=ROWS)
    chosen, sys.argv[1:] = parser.parse_known_args()
    main(__doc__, partial(measure, chosen.most))
