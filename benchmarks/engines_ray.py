"""Embedding by Ray against the threads of one process: photos a second from the first shard on, and over the whole job.

The same job of a real build (grocery, 5,421 photos, mobilenet_v3_small without weights, shards of 128) is done by
sides/engines_ray.py with RayData, which starts a Ray with as many workers as there are CPUs, and with Local, which has
as many threads. From the first shard on: the photos of all later shards by the time between the first shard file and
the last, as their own dates tell. Both sides must write the same features.h5, byte for byte.

Command: python benchmarks/engines_ray.py [--json] [--rounds N]
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import GROCERY, Ran, Row, build, disagree, in_turn, main, median, require, side, versions

SHARD_ROWS = 128
TARGET = 0.9
SETTINGS = ("embedder.backbone=torchvision:mobilenet_v3_small", "embedder.weights=none", "training.epochs=0")


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """Two rows: without what Ray takes to start, and with it."""
    require(GROCERY)
    home = folder / "home"
    build(folder, home, GROCERY, *SETTINGS, "evaluation.baseline=false", "evaluation.map=false")
    sides = {who: partial(side, "engines_ray", folder, home, who, SHARD_ROWS) for who in ("ray", "local")}
    results = in_turn(rounds, sides)
    if len({ran.said["sha256"] for runs in results.values() for ran in runs}) != 1:
        raise disagree("their features differ")
    for name, figure, target in (("from_first_shard", _going, TARGET), ("whole_job", _whole, None)):
        ours, local = (median(results[who], figure) for who in ("ray", "local"))
        yield Row(f"engines/ray/{name}", ours, local, f"our own threads, {versions('ray')}", "images/s", target)


def _going(ran: Ran) -> float:
    return float(ran.said["from_first_shard"])


def _whole(ran: Ran) -> float:
    return float(ran.said["whole"])


if __name__ == "__main__":
    main(__doc__, measure)
