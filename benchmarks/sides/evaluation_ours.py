"""Ours in evaluation.py: recall | map | accuracy, FOLDER QUERIES GALLERY; as the evaluate stage measures a system."""

import json
import sys
import tempfile
import time
from pathlib import Path

from simsearch.home import Home


def main() -> None:
    what, folder, *counts = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home:
        Home(Path(home)).prepare_environment()
    import evaluation_data
    import numpy as np

    from simsearch.evaluation.systems import Task
    from simsearch.vectors.exact import exact_search

    queries, query_labels, gallery, gallery_labels = evaluation_data.read(folder, *map(int, counts))
    with_map = what != "recall"

    def measure(asked, asked_labels, ks):
        rows = len(gallery) + np.arange(len(asked))
        task = Task(len(gallery), rows, np.concatenate((gallery_labels, asked_labels)), ks)
        depth = max(max(ks), int(task.relevant.max())) if with_map else max(ks)
        found = ((span, rows) for span, _, rows in exact_search(asked, gallery, depth, "ip", task.own.rows))
        return task.measure(found, None, deep=with_map)

    ks = (1,) if what == "accuracy" else (1, 5, 10)
    measure(queries[:128], query_labels[:128], ks)  # threads and buffers are there when the clock starts
    began = time.perf_counter()
    result = measure(queries, query_labels, ks)
    seconds = time.perf_counter() - began
    if what == "accuracy":
        figures = {"precision_at_1": result.mean("precision", 1)}
    else:
        figures = {"recall": result.mean("recall", 10), "error": result.mean("cross_boundary_error", 10)}
    if with_map:
        figures |= {key: result.mean(key) for key in ("map_at_r", "r_precision")}
    print(json.dumps({"seconds": seconds, "figures": figures}))


if __name__ == "__main__":
    main()
