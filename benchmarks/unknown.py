"""What a verdict is worth: half of the labels are built, and pictures of the other half are "none of these".

Of a folder {train,val,test}/LABEL/x.jpg half of the labels are built (another half each round, the seed too), searched
by the gallery alone, as `index.corpus=gallery` has it. The test pictures of that half are known, all pictures of the
other half are not: labels that neither the head nor the threshold has seen. Asked by `simsearch query --json`.

Printed: the share of unknown pictures that is told known, beside the 1 in 20 that the build says; of known ones the
share that is told known, and that is told known by its label; the balanced mean of right verdicts; each with its
interval by a bootstrap over the labels of all rounds.

Command: python benchmarks/unknown.py FOLDER [--rounds N] [--set table.key=value]...
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from common import ENTRY, build, machine, say
from strangers import halve

from simsearch.statistics.clusters import interval_of, shares_of_draws


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="table.key=value")
    asked = parser.parse_args()
    rows: list[np.ndarray] = []  # of a label: known told known, told right, asked; unknown told known, asked
    for seed in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="simsearch-bench-") as folder:
            found = one_round(asked.folder.resolve(), Path(folder), seed, asked.settings)
        say(f"round {seed + 1}: {shares(found)}")
        rows.append(found)
    print(machine())
    every = np.concatenate(rows)
    parts, wholes = every[:, [3, 0, 1]], every[:, [4, 2, 2]]
    draws = shares_of_draws(parts, wholes)
    names = ("unknown told known", "known told known", "known told right")
    for name, share, column in zip(names, shares(every), draws.T, strict=True):
        print(f"{name:<20} {share:.3f} {ends(interval_of(column))}")
    balanced = (draws[:, 2] + 1 - draws[:, 0]) / 2
    share = (shares(every)[2] + 1 - shares(every)[0]) / 2
    print(f"{'balanced':<20} {share:.3f} {ends(interval_of(balanced))}")


def shares(rows: np.ndarray) -> list[float]:
    """Unknown told known, known told known, known told right."""
    sums = rows.sum(axis=0)
    return [round(float(share), 4) for share in (sums[3] / sums[4], sums[0] / sums[2], sums[1] / sums[2])]


def ends(interval: tuple[float, float] | None) -> str:
    """The interval in brackets."""
    return "" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def one_round(source: Path, folder: Path, seed: int, settings: list[str]) -> np.ndarray:
    """A row for each label, known or not."""
    known, others = folder / "known", folder / "others"
    halve(source, known, others, seed)
    seeds = [f"training.seed={seed}", f"dataset.seed={seed}", "evaluation.baseline=false", "index.corpus=gallery"]
    build(folder, folder / "home", known, *seeds, *settings)
    rows: dict[str, np.ndarray] = {}
    for path, column in ((known / "test", 0), (others, 3)):
        command = [str(ENTRY), "query", str(path), "--k", "1", "--json", "--home", str(folder / "home")]
        lines = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout.splitlines()
        for one in map(json.loads, lines):
            label, verdict = Path(one["query"]).parent.name, one["verdict"]
            row = rows.setdefault(label, np.zeros(5))
            row[column] += verdict["known"]
            row[column + (2 if column == 0 else 1)] += 1
            if column == 0:
                row[1] += verdict["known"] and verdict["label"] == label
    return np.stack(list(rows.values()))


if __name__ == "__main__":
    say("a round takes as long as a build, and a query of every picture")
    main()
