"""The sides of filter.py: FOLDER FACTORY SEARCH ROUNDS; all are FAISS in one process, and differ in the way alone.

One JSON document: for each pattern, share and number of queries at a time, the CPU seconds a query of each side on one
thread, and recall. Ours is `FaissIndex.search(passing=...)`. *bitmap*: the same index with FAISS's bitmap selector
alone, at the least setting that finds as much as ours did, or at one that is far slower than exact. *exact*:
IndexFlatIP over a copy of the rows that pass.
"""

import json
import os
import statistics
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does

import faiss
import filter_data
import numpy as np
from index_data import TOLERANCE, K

from simsearch.vectors.index import Passing, build
from simsearch.vectors.index.native import search_parameters
from simsearch.vectors.index.passing import exact_is_quicker
from simsearch.vectors.search import Search

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
EFS = tuple(2**i for i in range(4, 17))
TOO_SLOW = 2  # times as slow as the exact search: the bitmap needs no larger setting to be the slower of the two
ALONE = 100  # queries that are asked one at a time


def recalls(scores, exact):
    """The share of the exact first k, ties allowed; what is missing counts."""
    return float((scores[:, : exact.shape[1]] >= exact[:, -1:] - TOLERANCE).sum() / exact.size)


def main():
    base, asked = filter_data.opened(sys.argv[1])
    factory, search, rounds = sys.argv[2], Search(**json.loads(sys.argv[3])), int(sys.argv[4])
    index = build(lambda: [base], base.shape[1], factory)
    native = index._native
    cells = []
    faiss.omp_set_num_threads(1)
    steps = EFS if search.efSearch else STEPS if search.nprobe else (0,)
    for pattern, share in filter_data.CELLS:
        flags = filter_data.flags(base, pattern, share)
        passing, rows = Passing(flags), np.flatnonzero(flags)
        selector = faiss.IDSelectorBitmap(np.packbits(flags, bitorder="little"))
        copy = faiss.IndexFlatIP(base.shape[1])
        copy.add(base[rows])
        k = min(K, len(rows))
        exact = copy.search(asked, k)[0]

        def ours(batch, passing=passing):
            return index.search(batch, K, search, passing=passing).scores

        def bitmap(step, selector=selector, k=k):
            given = {"efSearch": step} if search.efSearch else {"nprobe": step} if search.nprobe else {}
            parameters = search_parameters(native, factory, given, selector)
            return lambda batch: native.search(batch, k, params=parameters)[0]

        def alone(batch, copy=copy, k=k):
            return copy.search(batch, k)[0]

        for size in (1, len(asked)):
            queries = asked[:ALONE] if size == 1 else asked

            def run(side, size=size, queries=queries):
                return np.concatenate([side(queries[i : i + size]) for i in range(0, len(queries), size)])

            def seconds(side, queries=queries, run=run):
                began = time.process_time()
                run(side)
                return (time.process_time() - began) / len(queries)

            reached, truth = recalls(run(ours), exact[: len(queries)]), exact[: len(queries)]
            worth = TOO_SLOW * seconds(alone)
            for step in steps:
                began = time.process_time()
                found = recalls(run(bitmap(step)), truth)
                if found >= reached - 0.001 or (time.process_time() - began) / len(queries) > worth:
                    break
            sides = {"ours": ours, "bitmap": bitmap(step), "exact": alone}
            taken = {name: [] for name in sides}
            for _ in range(rounds):
                for name, side in sides.items():
                    taken[name].append(seconds(side))
            cell = {"pattern": pattern, "share": share, "at_a_time": size, "recall": reached, "bitmap_recall": found}
            cell |= {name: statistics.median(values) for name, values in taken.items()}
            quick = exact_is_quicker(native, search, k, len(rows)) or index.is_flat
            cells.append(cell | {"step": step, "way": "exact" if quick or passing.near_each_other(native) else "index"})
            print(cells[-1], file=sys.stderr, flush=True)
    print(json.dumps({"cells": cells, "name": f"faiss {faiss.__version__}"}))


if __name__ == "__main__":
    main()
