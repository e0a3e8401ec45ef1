"""Both sides of the verification in evaluation.py: ours | sklearn, FOLDER QUERIES; ROC AUC over all pairs."""

import json
import sys
import time

import evaluation_data
import numpy as np

from simsearch.evaluation.verification import verify

BLOCK = 512


def all_pairs(vectors, labels):
    """Cosines of all pairs i < j, and whether the labels agree: (P,) float32 and bool."""
    count = len(vectors)
    values = np.empty(count * (count - 1) // 2, dtype=np.float32)
    same = np.empty(len(values), dtype=bool)
    filled = 0
    for start in range(0, count, BLOCK):
        cosines = vectors[start : start + BLOCK] @ vectors.T
        for i, row in enumerate(cosines, start=start):
            stop = filled + count - i - 1
            values[filled:stop], same[filled:stop] = row[i + 1 :], labels[i + 1 :] == labels[i]
            filled = stop
    return values, same


def main() -> None:
    who, folder, count = sys.argv[1:]
    vectors, labels, _, _ = evaluation_data.read(folder, int(count), 0)
    if who == "ours":
        verify(vectors[:128], labels[:128], "l2")
        began = time.perf_counter()
        area = verify(vectors, labels, "l2").roc_auc
    else:
        from sklearn.metrics import roc_auc_score

        roc_auc_score([0, 1, 0], [0.1, 0.2, 0.3])
        began = time.perf_counter()
        values, same = all_pairs(vectors, labels)
        area = roc_auc_score(same, values)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "figures": {"roc_auc": float(area)}}))


if __name__ == "__main__":
    main()
