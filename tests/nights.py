"""A small job for tests: a table of digits, one recipe, and nights of it in this process."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from simsearch.bench.history.history import History
from simsearch.bench.matrix import read_matrix
from simsearch.bench.night import Job
from simsearch.home import Home

IMAGES = 600
RECIPE = """
[dataset]
source = "table:{table}"
[images]
size = 28
resize = "squash"
[embedder]
backbone = "mnist_cnn"
weights = "none"
dim = 16
[training]
epochs = {epochs}
batch_size = 32
learning_rate = 1e-3
weight_decay = 1e-4
[augmentation]
shift = 0
[index]
factory = "IVF16,Flat"
nprobe = {nprobe}
[evaluation]
baseline = false
map = false
"""
MATRIX = """
[matrix]
recipes = ["small.toml"]
[gate]
speed = 1000.0
"""


def write_table(folder: Path, shuffled: float = 0.0) -> None:
    """digits.csv of 600 digits with their pictures; a share of the labels shuffled among one another."""
    digits = load_digits()
    labels = digits.target[:IMAGES].astype(int)
    random = np.random.default_rng(0)
    moved = random.choice(IMAGES, round(shuffled * IMAGES), replace=False)
    labels[moved] = (labels[moved] + random.integers(1, 10, len(moved))) % 10
    (folder / "x").mkdir(parents=True, exist_ok=True)
    with (folder / "digits.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        for i, (image, label) in enumerate(zip(digits.images, labels, strict=False)):
            path = folder / "x" / f"{i:04d}.png"
            if not path.exists():
                Image.fromarray((image * 15.9).astype(np.uint8)).save(path)
            writer.writerow((f"x/{path.name}", label))


def write_job(folder: Path, *, epochs: int = 6, nprobe: int = 8) -> Path:
    """The recipe and the matrix; returns the matrix file."""
    (folder / "small.toml").write_text(RECIPE.format(table=folder / "digits.csv", epochs=epochs, nprobe=nprobe))
    (folder / "matrix.toml").write_text(MATRIX)
    return folder / "matrix.toml"


def run_night(folder: Path, home: Path):
    """One night in this process: its Story."""
    with History(home / "bench" / "history.sqlite") as history:
        return Job(Home(home), history, read_matrix(str(folder / "matrix.toml"))).run()
