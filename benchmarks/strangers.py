"""What "1 in N strangers" is worth: what val images tell, beside test images and labels that were never trained on.

Of a folder LABEL/x.jpg, or {train,val,test}/LABEL/x.jpg, half of the labels are built (another half each round, the
seed too); the pictures of the other half are what a stranger is. For each rate that the table of strangers tells: the
score at which it tells it, and the share that really reaches that score, of test images with their own label taken out
of the gallery, and of images of the other half (as `simsearch query` scores them). A share above what is told says
that strangers come nearer than the table has it. Shares are means over the rounds.

Command: python benchmarks/strangers.py FOLDER [--rounds N] [--set table.key=value]...
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from common import ENTRY, artifact, build, machine, say

from simsearch.images.records import read_records
from simsearch.vectors.features import FeatureFile

TOLD = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
SPLITS = ("train", "val", "test")
Shares = list[list[float]]


def main() -> None:
    """Print a row for each rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="table.key=value")
    asked = parser.parse_args()
    told: list[list[float]] = []
    test: list[list[float]] = []
    never: list[list[float]] = []
    counts = []
    for seed in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="simsearch-bench-") as folder:
            thresholds, of_test, of_never, count = one_round(asked.folder.resolve(), Path(folder), seed, asked.settings)
        told.append([share for _, share in thresholds])
        test.append([reaching(of_test, score) for score, _ in thresholds])
        never.append([reaching(of_never, score) for score, _ in thresholds])
        counts.append(count)
    print(machine())
    print(f"{asked.rounds} rounds; val, test, never trained on: {counts}")
    print(f"{'told':>8} {'test':>8} {'never':>8}   (never, each round)")
    rows = (np.asarray(rates) for rates in (told, test, never))
    for of_val, of_test, of_never in zip(*(rates.T for rates in rows), strict=True):
        if np.isnan(of_val).all():
            continue  # no round has so many val images
        each = " ".join(f"{share:.3f}" for share in of_never)
        print(f"{np.nanmean(of_val):8.3f} {np.nanmean(of_test):8.3f} {np.nanmean(of_never):8.3f}   {each}")


def one_round(source: Path, folder: Path, seed: int, settings: list[str]) -> tuple[Shares, np.ndarray, np.ndarray, str]:
    """(score, told share) at each rate, best scores of test images and of the other half, and how many there were."""
    known, others = folder / "known", folder / "others"
    halve(source, known, others, seed)
    seeds = [f"training.seed={seed}", f"dataset.seed={seed}", "evaluation.baseline=false"]
    record = build(folder, folder / "home", known, *seeds, *settings)
    table = json.loads((artifact(folder / "home", record, "evaluate") / "strangers.json").read_bytes())
    never = [np.nan, np.nan]  # so few val images, or ties, tell no rate so low
    found = [min((one for one in table["table"] if one[1] <= rate), default=never) for rate in TOLD]
    of_test = best_without_own(folder / "home", record)
    command = [str(ENTRY), "query", str(others), "--k", "1", "--json", "--home", str(folder / "home")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout.splitlines()
    of_never = np.asarray([json.loads(line)["hits"][0]["score"] for line in lines])
    return found, of_test, of_never, f"{table['images']} {len(of_test)} {len(of_never)}"


def reaching(scores: np.ndarray, score: float) -> float:
    """The share of `scores` that are at least `score`; NaN for NaN."""
    return float("nan") if np.isnan(score) else float((scores >= score).mean())


def halve(source: Path, known: Path, others: Path, seed: int) -> None:
    """Copy a random half of the labels to `known`, with the split folders, and all pictures of the rest to `others`."""
    places = [source / split for split in SPLITS if (source / split).is_dir()] or [source]
    labels = sorted({path.name for place in places for path in place.iterdir() if path.is_dir()})
    chosen = set(random.Random(seed).sample(labels, len(labels) // 2))
    for path in (path for place in places for path in place.iterdir() if path.is_dir()):
        top = (known if path.name in chosen else others) / path.parent.relative_to(source)
        shutil.copytree(path, top / path.name)


def best_without_own(home: Path, record: dict) -> np.ndarray:
    """The best score of each query that is not in the gallery, its own label taken out of it."""
    records = list(read_records(artifact(home, record, "dataset")))
    with FeatureFile(artifact(home, record, "embed") / "features.h5") as file:
        features = file.read(0, len(records))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = np.asarray([one.label for one in records])
    asked = np.asarray([one.query and not one.gallery for one in records])
    gallery = np.asarray([one.gallery for one in records])
    scores = features[asked] @ features[gallery].T
    scores[labels[asked][:, None] == labels[gallery]] = -1
    best: np.ndarray = scores.max(axis=1)
    return best


if __name__ == "__main__":
    say("a round takes as long as a build")
    main()
