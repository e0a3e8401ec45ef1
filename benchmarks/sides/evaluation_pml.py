"""Peer of evaluation.py: AccuracyCalculator of pytorch-metric-learning on its defaults. FOLDER QUERIES GALLERY."""

import json
import sys
import time

import evaluation_data
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

NAMES = {"precision_at_1": "precision_at_1", "mean_average_precision_at_r": "map_at_r", "r_precision": "r_precision"}


def main() -> None:
    folder, *counts = sys.argv[1:]
    queries, query_labels, gallery, gallery_labels = map(
        torch.from_numpy, evaluation_data.read(folder, *map(int, counts))
    )
    calculator = AccuracyCalculator(include=tuple(NAMES), device=torch.device("cpu"))
    calculator.get_accuracy(queries[:128], query_labels[:128], gallery[:128], gallery_labels[:128])
    began = time.perf_counter()
    found = calculator.get_accuracy(queries, query_labels, gallery, gallery_labels)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "figures": {ours: float(found[name]) for name, ours in NAMES.items()}}))


if __name__ == "__main__":
    main()
