"""What the sides of evaluation.py share: the vectors, and what their figures must agree on. FOLDER QUERIES GALLERY."""

import sys
from pathlib import Path

import numpy as np

DIM, CLASSES = 64, 10
NOISE = 0.13  # of a coordinate, around centres of length 1: about as many errors as a trained network makes


def make(count, seed):
    """Unit vectors around ten centres, one in thirty-three of them around a wrong one; (N, D) and labels (N,)."""
    centres = np.random.default_rng(0).standard_normal((CLASSES, DIM))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % CLASSES)
    seen = np.where(random.random(count) < 0.03, random.integers(0, CLASSES, count), labels)
    vectors = centres[seen] + NOISE * random.standard_normal((count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def read(folder, queries, gallery):
    """Return (queries (Q, D), their labels, gallery (G, D), its labels): the first rows of each; all classes alike."""
    found = []
    for name, count in (("queries", queries), ("gallery", gallery)):
        for what in ("vectors", "labels"):
            found.append(np.load(Path(folder) / f"{name}-{what}.npy", mmap_mode="r")[:count].copy())
    return found


def figures_of(rows, query_labels, gallery_labels, depth):
    """Means over the queries of what ours says, by other means: one query at a time. `depth` R (0: at 10 only)."""
    recall = error = average = at_r = 0.0
    for found, label in zip(rows, query_labels, strict=True):
        right = gallery_labels[found] == label
        recall += right[:10].any()
        error += 1 - right[:10].mean()
        if depth:
            ranks = np.flatnonzero(right[:depth])
            average += (np.arange(1, len(ranks) + 1) / (ranks + 1)).sum() / depth
            at_r += len(ranks) / depth
    count = len(rows)
    figures = {"recall": recall / count, "error": error / count}
    return figures | ({"map_at_r": average / count, "r_precision": at_r / count} if depth else {})


def main():
    folder, *counts = sys.argv[1:]
    for seed, (name, count) in enumerate(zip(("queries", "gallery"), map(int, counts), strict=True), start=1):
        vectors, labels = make(count, seed)
        np.save(Path(folder) / f"{name}-vectors.npy", vectors)
        np.save(Path(folder) / f"{name}-labels.npy", labels)


if __name__ == "__main__":
    main()
