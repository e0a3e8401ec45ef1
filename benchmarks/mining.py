"""Semi-hard triplets: seconds and peak memory of the loss, forward and backward, against pytorch-metric-learning.

64-d features, 10 classes, a batch of 1,024, float32, 2 threads, margin 0.2, squared L2 of unit embeddings.
Peer (sides/mining_pml.py): TripletMarginMiner("semihard") and TripletMarginLoss, which list every triplet.
Ours (sides/mining_ours.py): `semi_hard_all` is the same loss, and the benchmark ends with an error unless value and
gradient agree to 1e-5; `semi_hard` is FaceNet's rule, one negative for each anchor-positive pair, which the peer does
not have: another loss for the same purpose. Memory is the peak of the process during the first call, above what it
held before; a small call has loaded the libraries. The clock runs afterwards, over three calls (median). Last, ours
alone with a batch of 8,192, once: exit 1 when the whole process reaches 4,000 MB. The peer would list 4.9e10 triplets.

The peer runs in a Python of its own: --peers PYTHON, else $SIMSEARCH_PEERS, else this one.

Command: python benchmarks/mining.py [--json] [--rounds N] [--peers PYTHON]      (2 minutes for 5 rounds on 2 cores)
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import HERE, Ran, Row, disagree, in_turn, main, median, peer_version, run, say, side

BATCH, LARGE_BATCH = 1024, 8192
THREADS = 2
TARGETS = {"semi_hard_all": 10, "semi_hard": 20}
MEMORY_TARGET = 10
MOST_MEGABYTES = 4_000
TOLERANCE = 1e-5
VERSION = (
    "from importlib.metadata import version; import pytorch_metric_learning; print(version('pytorch-metric-learning'))"
)


def measure(peers: str, folder: Path, rounds: int) -> Iterator[Row]:
    """Two rows, seconds and megabytes, for each rule; then the large batch."""
    peer_name = f"pytorch-metric-learning {peer_version(peers, 'pytorch-metric-learning', VERSION)}, semihard"
    sides = {rule: partial(side, "mining_ours", folder, rule, BATCH, THREADS) for rule in TARGETS}
    script = HERE / "sides" / "mining_pml.py"
    peer = partial(run, [peers, script, str(BATCH), str(THREADS)], folder)
    results = in_turn(rounds, {**sides, "peer": peer})
    _same(results["semi_hard_all"][0], results["peer"][0])
    say("note: only semi_hard_all is the peer's loss; semi_hard takes one negative a pair")
    for rule, target in TARGETS.items():
        for what, figure, unit, aim in (
            ("", _seconds, "s", target),
            ("memory/", _megabytes, "MB", MEMORY_TARGET),
        ):
            ours, theirs = median(results[rule], figure), median(results["peer"], figure)
            yield Row(f"mining/{what}{rule}/B={BATCH}", ours, theirs, peer_name, unit, aim)
    large = {rule: side("mining_ours", folder, rule, LARGE_BATCH, THREADS, 1) for rule in TARGETS}
    for rule, ran in large.items():
        met = "met" if ran.megabytes < MOST_MEGABYTES else "MISSED"
        said = f"{ran.megabytes:,.0f} MB in all, {_seconds(ran):.1f} s"
        say(f"mining/{rule}/B={LARGE_BATCH}: {said}; < {MOST_MEGABYTES:,} MB: {met}; the peer cannot")
    if any(ran.megabytes >= MOST_MEGABYTES for ran in large.values()):
        raise SystemExit(1)


def _seconds(ran: Ran) -> float:
    return float(ran.said["seconds"])


def _megabytes(ran: Ran) -> float:
    return float(ran.said["megabytes"])


def _same(ours: Ran, peer: Ran) -> None:
    for what in ("loss", "gradient"):
        if abs(ours.said[what] - peer.said[what]) > TOLERANCE:
            raise disagree(f"{what} of ours {ours.said[what]}, of the peer {peer.said[what]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--peers", default=os.environ.get("SIMSEARCH_PEERS") or sys.executable)
    chosen, sys.argv[1:] = parser.parse_known_args()
    main(__doc__, partial(measure, chosen.peers))
