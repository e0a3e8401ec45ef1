"""What each loss is worth on MNIST: recall@1, cross-boundary error@10 and inversion rate, over seeds.

Plain softmax (searched raw by L2, and normalized), l2_softmax, triplet, quadruplet in the paper's form and in the
text's, 3 epochs each, otherwise the recipes `mnist` and `mnist-triplet`. Boundary queries are those of each seed's
reference, the same for all losses. Means and 95 % t intervals with seeds as the units.

Resumable: every training is an artifact in the home folder, so a run that was stopped goes on where it was.

Command: python benchmarks/losses.py [--json] [--seeds N] [--epochs N] [--home DIR]     (40 minutes on 2 cores)
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import ENTRY, HERE, machine, say, unpack_mnist

SOFTMAX, SOFTMAX_COSINE = "softmax, raw L2", "softmax, normalized"
BALANCED = ("loss.classes_per_batch=10", "loss.images_per_class=26")
QUADRUPLET = ("loss.name=quadruplet", "loss.margin1=0.2", *BALANCED)
LOSSES = {
    "l2_softmax": ("loss.name=l2_softmax",),
    "triplet": ("loss.name=triplet", *BALANCED),
    "quadruplet, paper": (*QUADRUPLET, "loss.form=paper"),
    "quadruplet, text": (*QUADRUPLET, "loss.form=text"),
}
# Least means that the project holds itself to.
TARGETS = {("l2_softmax", "recall@1"): 0.990, ("triplet", "recall@1"): 0.985}
FIGURES = ("recall@1", "error@10, all", "error@10, boundary", "inversion rate")
COLUMNS = "{:<22}" + "{:>20}" * len(FIGURES)


def main() -> None:
    """Build what is missing, then print the table or one JSON document a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON document a figure")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 0 .. N - 1 [5]")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="epochs of every training [3]")
    home = HERE.parent / "data" / "benchmarks" / "losses"
    parser.add_argument("--home", type=Path, default=home, help="where trainings are kept [data/benchmarks/losses]")
    arguments = parser.parse_args()
    if arguments.seeds < 2 or arguments.epochs < 1:
        parser.error("expected at least 2 seeds and 1 epoch")
    if not (arguments.home / "datasets" / "MNIST" / "raw").is_dir():
        unpack_mnist(arguments.home / "datasets")
    seen: dict[str, list[dict[str, float]]] = {}
    for seed in range(arguments.seeds):
        for loss, settings in LOSSES.items():
            say(f"seed {seed}: {loss}")
            systems = _report(arguments.home, seed, arguments.epochs, settings)
            seen.setdefault(loss, []).append(_figures(systems["recipe/index"]))
        # The baseline is the same whatever the recipe's loss.
        seen.setdefault(SOFTMAX, []).append(_figures(systems["baseline/raw-l2"]))
        seen.setdefault(SOFTMAX_COSINE, []).append(_figures(systems["baseline/cosine"]))
    order = [SOFTMAX, SOFTMAX_COSINE, *LOSSES]
    if arguments.json:
        for loss in order:
            for figure in FIGURES:
                print(json.dumps(_row(loss, figure, seen)), flush=True)
        return
    print(f"{machine()}; {arguments.seeds} seeds, {arguments.epochs} epochs, mean and 95 % t interval")
    print(COLUMNS.format("loss", *FIGURES))
    for loss in order:
        print(COLUMNS.format(loss, *(_cell(_values(seen, loss, figure)) for figure in FIGURES)))
    for (loss, figure), least in TARGETS.items():
        mean = statistics.mean(_values(seen, loss, figure))
        print(f"{loss} {figure} >= {least}: {'met' if mean >= least else 'MISSED'} ({mean:.4f})")
    for form in ("paper", "text"):
        print(_paired(seen, f"quadruplet, {form}", "triplet", "inversion rate"))


def _report(home: Path, seed: int, epochs: int, settings: tuple[str, ...]) -> dict[str, Any]:
    """The systems of one build's report."""
    chosen = (f"training.epochs={epochs}", f"training.seed={seed}", *settings)
    command = [str(ENTRY), "build", "mnist", "--home", str(home), "--name", "losses", "--json"]
    for setting in chosen:
        command += ["--set", setting]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    systems: dict[str, Any] = json.loads(done.stdout)["systems"]
    return systems


def _figures(system: dict[str, Any]) -> dict[str, float]:
    error = system["cross_boundary_error"]["10"]
    values = (system["recall"]["1"], error["all"], error["boundary"], system["inversion_rate"])
    return dict(zip(FIGURES, values, strict=True))


def _values(seen: dict[str, list[dict[str, float]]], loss: str, figure: str) -> list[float]:
    return [figures[figure] for figures in seen[loss]]


def _interval(values: list[float]) -> tuple[float, float]:
    """The 95 % t interval of the mean."""
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values) - half, statistics.mean(values) + half


def _cell(values: list[float]) -> str:
    low, high = _interval(values)
    return f"{statistics.mean(values):.4f} +- {(high - low) / 2:.4f}"


def _paired(seen: dict[str, list[dict[str, float]]], one: str, other: str, figure: str) -> str:
    """The mean difference over seeds, each seed paired with itself."""
    pairs = zip(_values(seen, one, figure), _values(seen, other, figure), strict=True)
    differences = [a - b for a, b in pairs]
    low, high = _interval(differences)
    verdict = "lower" if high < 0 else "HIGHER" if low > 0 else "no difference seen"
    return f"{figure}, {one} - {other}: {statistics.mean(differences):+.5f} [{low:+.5f}, {high:+.5f}]: {verdict}"


def _row(loss: str, figure: str, seen: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    ours, peer = (statistics.mean(_values(seen, name, figure)) for name in (loss, SOFTMAX))
    ratio = ours / peer if figure.startswith("recall") else peer / ours
    return {
        "name": f"losses/{loss}/{figure}",
        "ours": round(ours, 5),
        "peer": round(peer, 5),
        "peer_name": SOFTMAX,
        "unit": "share",
        "ratio": round(ratio, 4),
        "machine": machine(),
        "interval": [round(end, 5) for end in _interval(_values(seen, loss, figure))],
        "seeds": len(seen[loss]),
    }


if __name__ == "__main__":
    sys.exit(main())
