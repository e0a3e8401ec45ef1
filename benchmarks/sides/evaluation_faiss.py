"""Peer of evaluation.py: a bare exact search by FAISS, on all cores. FOLDER QUERIES GALLERY K; K = 0: the largest R.

The clock runs over the search alone; figures are worked out from what it found afterwards, to be compared.
"""

import json
import resource
import sys
import time

import evaluation_data
import faiss
import numpy as np


def main() -> None:
    folder, *numbers = sys.argv[1:]
    *counts, k = map(int, numbers)
    queries, query_labels, gallery, gallery_labels = evaluation_data.read(folder, *counts)
    depth = 0 if k else int(np.bincount(gallery_labels).max())
    index = faiss.IndexFlatIP(evaluation_data.DIM)
    index.add(gallery)
    index.search(queries[:128], 10)
    began = time.perf_counter()
    _, rows = index.search(queries, k or depth)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    figures = evaluation_data.figures_of(rows, query_labels, gallery_labels, depth)
    print(json.dumps({"seconds": seconds, "megabytes": peak, "figures": figures}))


if __name__ == "__main__":
    main()
