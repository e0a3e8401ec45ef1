"""Evaluation: seconds and peak memory of retrieval and verification figures, on 60,000 queries in 60,000 vectors.

64 numbers a vector, 10 classes of equal size around seeded centres, some vectors near a wrong one; queries lie outside
the gallery. Ours (sides/evaluation_ours.py) is what the evaluate stage runs for one system; all cores, both sides.
recall: recall@k and error@k for k = 1, 5, 10. Peer: a bare exact search of k = 10 by FAISS (IndexFlatIP), no figures.
map: MAP@R and R-precision as well, for which R = 6,000 neighbours are ranked. Peer: FAISS at k = 6,000; it takes long,
so both sides get 6,000 queries.
verification: ROC AUC, EER and TAR@FAR of one score over all 49,995,000 pairs of 10,000 queries (evaluation_pairs.py).
Peer: the cosines of the same pairs, then scikit-learn's roc_auc_score, which is the AUC alone and takes 3 GB.
accuracy: precision@1, R-precision, MAP@R on 5,000 x 5,000. Peer: pytorch-metric-learning's AccuracyCalculator, in a
Python of its own: --peers PYTHON, else $SIMSEARCH_PEERS, else this one; these rows are left out where it has none.
Memory is the peak of the whole process above that of a bare interpreter: libraries and vectors are counted too.

The benchmark ends with an error when the figures of both sides differ by more than 1e-5 (ROC AUC: 1e-4). --size N: N
queries in N vectors, the smaller sizes cut to N, for a quick look. On a busy machine FAISS's OpenMP threads spin, which
took 18 s in place of the 4.7 s with OMP_WAIT_POLICY=PASSIVE: only figures of an idle machine are fair to it.

Command: python benchmarks/evaluation.py [--json] [--rounds N] [--peers PYTHON] [--size N]      (5 minutes on 2 cores)
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common import HERE, Ran, Row, disagree, in_turn, main, median, run, say, side, versions

SIZE = 60_000
MAP_QUERIES, PAIR_QUERIES, ACCURACY = 6_000, 10_000, 5_000
CLASSES = 10
RECALL_TARGET = 1 / 1.3
MOST_MEGABYTES = 1_000
TOLERANCE = {"roc_auc": 1e-4}
VERSION = (
    "from importlib.metadata import version; import pytorch_metric_learning; print(version('pytorch-metric-learning'))"
)


@dataclass(frozen=True)
class Contest:
    """Ours against a peer: both sides, what the peer is, and the ratio that is asked for."""

    name: str
    ours: Callable[[], Ran]
    peer: Callable[[], Ran]
    peer_name: str
    target: float | None = None


def measure(peers: str, size: int, folder: Path, rounds: int) -> Iterator[Row]:
    """Two rows, seconds and megabytes, for each contest."""
    side("evaluation_data", folder, folder, size, size)
    bare = run([sys.executable, "-c", "pass"], folder).megabytes
    for contest in _contests(peers, size, folder):
        results = in_turn(rounds, {"ours": contest.ours, "peer": contest.peer})
        _same(contest.name, results["ours"][0], results["peer"][0])
        seconds, megabytes = ([median(results[who], get) for who in results] for get in (_seconds, _megabytes))
        yield Row(f"evaluation/{contest.name}", *seconds, contest.peer_name, "s", contest.target)
        above = [peak - bare for peak in megabytes]
        yield Row(f"evaluation/memory/{contest.name}", *above, contest.peer_name, "MB", limit=MOST_MEGABYTES)


def _contests(peers: str, size: int, folder: Path) -> Iterator[Contest]:
    few, paired, small = min(MAP_QUERIES, size), min(PAIR_QUERIES, size), min(ACCURACY, size)
    faiss = versions("faiss-cpu")
    yield Contest(
        f"recall/{size:,} in {size:,}",
        partial(side, "evaluation_ours", folder, "recall", folder, size, size),
        partial(side, "evaluation_faiss", folder, folder, size, size, 10),
        f"{faiss}, k = 10",
        RECALL_TARGET,
    )
    yield Contest(
        f"map/{few:,} in {size:,}",
        partial(side, "evaluation_ours", folder, "map", folder, few, size),
        partial(side, "evaluation_faiss", folder, folder, few, size, 0),
        f"{faiss}, k = {size // CLASSES:,}",
    )
    yield Contest(
        f"verification/{paired * (paired - 1) // 2:,} pairs",
        partial(side, "evaluation_pairs", folder, "ours", folder, paired),
        partial(side, "evaluation_pairs", folder, "sklearn", folder, paired),
        f"{versions('scikit-learn')}, roc_auc_score",
    )
    version = _version(peers)
    if version:
        script = HERE / "sides" / "evaluation_pml.py"
        yield Contest(
            f"accuracy/{small:,} in {small:,}",
            partial(side, "evaluation_ours", folder, "accuracy", folder, small, small),
            partial(run, [peers, script, folder, str(small), str(small)], folder),
            f"pytorch-metric-learning {version}",
        )


def _seconds(ran: Ran) -> float:
    return float(ran.said["seconds"])


def _megabytes(ran: Ran) -> float:
    return float(ran.said.get("megabytes", ran.megabytes))


def _same(name: str, ours: Ran, peer: Ran) -> None:
    told = ", ".join(f"{what} {value:.6f}" for what, value in ours.said["figures"].items())
    say(f"{name}: {told}")
    for what, value in peer.said["figures"].items():
        if abs(ours.said["figures"][what] - value) > TOLERANCE.get(what, 1e-5):
            raise disagree(f"{name}: {what} of ours {ours.said['figures'][what]}, of the peer {value}")


def _version(peers: str) -> str | None:
    """The version of pytorch-metric-learning in a Python; None with a note where there is none."""
    try:
        done = subprocess.run([peers, "-c", VERSION], capture_output=True, text=True)
    except OSError as error:
        say(f"error: --peers {peers}: {error.strerror}")
        raise SystemExit(2) from None
    if done.returncode:
        say(f"note: {peers} cannot import pytorch-metric-learning: its rows are left out; name --peers PYTHON")
        return None
    return done.stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--peers", default=os.environ.get("SIMSEARCH_PEERS") or sys.executable)
    parser.add_argument("--size", type=int, default=SIZE)
    chosen, sys.argv[1:] = parser.parse_known_args()
    if chosen.size < 1_000:
        parser.error("--size: expected at least 1,000")
    main(__doc__, partial(measure, chosen.peers, chosen.size))
