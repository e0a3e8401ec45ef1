"""What both sides of head.py train on: the cached features and the table of a build."""

import csv

import h5py
import numpy as np


def read(features, table):
    """Features (N, width) float32, labels (N,) int64, and the positions of fit and val rows."""
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["label"] for row in rows})
    labels = np.array([names.index(row["label"]) for row in rows], dtype=np.int64)
    fit, val = (np.flatnonzero([row[flag] in ("1", "true", "True") for row in rows]) for flag in ("fit", "val"))
    with h5py.File(features) as file:
        values = file["features"][:]
    return values, labels, fit, val
