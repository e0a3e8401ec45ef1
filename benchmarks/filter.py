"""Search among the rows that pass a filter: recall, and CPU seconds a query, against FAISS alone and exact search.

200,000 clustered vectors of 64 dimensions (sides/index_data.py, seed 0), 300 fresh queries. 50, 10, 1 and 0.1 % of
the rows pass, at random or (clustered) those nearest to one row; Flat, IVF512,Flat and HNSW32. Peers, in one process
and in turn with ours (sides/filter_sides.py): FAISS's own bitmap selector on the same index, at the least setting that
finds as much as ours, and IndexFlatIP over a copy of the rows that pass, made beforehand. A row compares with the
quicker of these two: ours is to be as fast within 10 %, 300 queries at a time. One at a time, the Python around
FAISS counts; there is no aim. CPU seconds of one thread, as other work may run. hnswlib with a filter is for the
record, where a Python has it: --peers PYTHON, else $SIMSEARCH_PEERS, else this one.

Command: python benchmarks/filter.py [--json] [--rounds N] [--peers PYTHON]      (10 minutes on 2 cores)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import HERE, Row, main, run, say, side

KINDS = {"Flat": {}, "IVF512,Flat": {"nprobe": 4}, "HNSW32": {"efSearch": 256}}
TARGET = 0.9


def measure(peers: str, folder: Path, rounds: int) -> Iterator[Row]:
    """The rows of each kind of index."""
    side("filter_data", folder, folder)
    for factory, search in KINDS.items():
        said = side("filter_sides", folder, folder, factory, json.dumps(search), rounds).said
        for cell in said["cells"]:
            peer = min(("bitmap", "exact"), key=cell.__getitem__)
            batch = cell["at_a_time"] > 1
            name = f"filter/{factory}/{cell['pattern']}/{cell['share']:g}/{cell['at_a_time']}"
            label = f"{said['name']} {peer}, recall {1 if peer == 'exact' else cell['bitmap_recall']:.4f}; "
            label += f"bitmap {1e6 * cell['bitmap']:.0f} us, exact {1e6 * cell['exact']:.0f} us; "
            label += f"ours {cell['way']}, {cell['recall']:.4f}"
            ours, theirs = 1 / cell["ours"], 1 / cell[peer]
            yield Row(name, ours, theirs, label, "queries/s", TARGET if batch else None)
    if subprocess.run([peers, "-c", "import hnswlib"], capture_output=True).returncode:
        say(f"{peers} has no hnswlib: left out")
        return
    found = run([peers, HERE / "sides" / "filter_hnswlib.py", folder], folder).said
    for cell in found["cells"]:
        label = f"{found['name']}, recall {cell['recall']:.4f}, for the record"
        qps = 1 / cell["seconds"]
        yield Row(f"filter/hnswlib/{cell['pattern']}/{cell['share']:g}", qps, qps, label, "queries/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--peers", default=os.environ.get("SIMSEARCH_PEERS") or sys.executable)
    chosen, sys.argv[1:] = parser.parse_known_args()
    main(__doc__, partial(measure, chosen.peers))
