"""How many wrong labels suspects.csv finds: labels are planted at random, the folder is built, its lines are counted.

Of a folder [SPLIT/]LABEL/x.jpg a share of the pictures gets another of the labels, each as likely, by `dataset.labels`;
nothing is moved. Others may be wrong to begin with, and count as right here. Printed for each share, over all rounds:
of the first N lines, N as many as were planted, the share that was planted; of those planted the share that has any
line, among pictures that the embedder learnt from and among others; the lines in all; the share of them where `says`
is the true label.

Command: python benchmarks/suspects.py FOLDER [--rounds N] [--shares .02 .05] [--seed S] [--set table.key=value]...
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from pathlib import Path

import numpy as np
from common import ENTRY, artifact, machine, run, say

from simsearch.home import Home
from simsearch.images.records import read_records


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.02, 0.05])
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="table.key=value")
    asked = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="simsearch-bench-") as folder:
        for share in asked.shares:
            rounds = [
                one_round(asked.folder.resolve(), Path(folder), share, asked.seed + i, asked.settings)
                for i in range(asked.rounds)
            ]
            first, learnt, others, lines, right = np.mean(rounds, axis=0)
            print(
                f"{share:.0%} planted: first as many {first:.3f}, found {learnt:.3f} of those learnt from,"
                f" {others:.3f} of others, {lines:.0f} lines, says the true label {right:.3f}"
            )


def one_round(source: Path, folder: Path, share: float, seed: int, settings: list[str]) -> list[float]:
    """What is printed, of one draw."""
    labels, home, name = folder / f"{share}-{seed}.csv", folder / "home", f"planted-{share}-{seed}"
    true = {str(path.relative_to(source)): path.parent.name for path in sorted(source.glob("**/*.*g"))}
    drawn, names = random.Random(seed), sorted(set(true.values()))
    planted = {
        image: drawn.choice([one for one in names if one != true[image]])
        for image in drawn.sample(sorted(true), round(share * len(true)))
    }
    with labels.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *planted.items()])
    chosen = [f"dataset.labels={labels}", "evaluation.baseline=false", "evaluation.map=false", *settings]
    words = [word for setting in chosen for word in ("--set", setting)]
    run([ENTRY, "build", source, *words, "--home", home, "--name", name], folder)
    build = Home(home).build(name)
    record = {"stages": build.record.stages}
    fit = {one.image for one in read_records(artifact(home, record, "dataset")) if one.fit}
    with build.page_path.with_name("suspects.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    listed = [line["image"] for line in lines]
    found = [line for line in lines if line["image"] in planted]
    parts = [[image for image in planted if (image in fit) is learnt] for learnt in (True, False)]
    first = np.mean([image in planted for image in listed[: len(planted)]])
    shares = [np.mean([image in set(listed) for image in part]) for part in parts]
    right = np.mean([line["says"] == true[line["image"]] for line in found])
    say(f"{name}: {first:.3f} {shares[0]:.3f} {shares[1]:.3f} {len(lines)} {right:.3f}")
    return [float(one) for one in (first, *shares, len(lines), right)]


if __name__ == "__main__":
    say("a round takes as long as a build")
    main()
