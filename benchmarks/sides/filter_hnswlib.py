"""hnswlib with a filter, for the record: FOLDER; M 16, ef_construction 200, ef 256, one thread, CPU seconds a query."""

import json
import sys
import time
from importlib.metadata import version

import filter_data
import hnswlib
import numpy as np

K, ASKED = 10, 200  # its filter is a function of Python, called for each candidate


def main():
    base, asked = filter_data.opened(sys.argv[1])
    asked = asked[:ASKED]
    index = hnswlib.Index(space="ip", dim=base.shape[1])
    index.init_index(max_elements=len(base), M=16, ef_construction=200, random_seed=0)
    index.add_items(base)
    index.set_ef(256)
    cells = []
    for pattern, share in filter_data.CELLS:
        passes = filter_data.flags(base, pattern, share)
        exact = np.sort(asked @ base[passes].T, axis=1)[:, -K]
        began = time.process_time()
        right = 0
        for query, kth in zip(asked, exact, strict=True):
            try:
                rows, _ = index.knn_query(query, K, num_threads=1, filter=lambda row, passes=passes: bool(passes[row]))
            except RuntimeError:  # fewer than K were found
                continue
            right += int((base[rows[0].astype(int)] @ query >= kth - 1e-6).sum())
        seconds = (time.process_time() - began) / len(asked)
        cells.append({"pattern": pattern, "share": share, "seconds": seconds, "recall": right / (K * len(asked))})
    print(json.dumps({"cells": cells, "name": f"hnswlib {version('hnswlib')}"}))


if __name__ == "__main__":
    main()
