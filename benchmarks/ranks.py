"""Training by two ranks of one thread each against one process of two threads: images a second of the loop.

Both sides are simsearch's own loop (sides/train_ranks.py), started by torchrun, on MNIST's images in memory, in batches
of 256 images; the clock runs over an epoch of 25 steps after one of 5. Starting processes is not in it: docs/scale.md.

Command: python benchmarks/ranks.py [--json] [--rounds N]      (4 minutes for 5 rounds on 2 cores)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import Ran, Row, in_turn, main, median, side, unpack_mnist, versions

BATCH, STEPS = 256, 25
CASES = (("mnist_cnn", "triplet"), ("mnist_cnn", "l2_softmax"), ("conv4", "triplet"))
TARGET = 1.0


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """A row for each network and loss."""
    raw = unpack_mnist(folder / "datasets")
    for network, loss in CASES:
        given = (folder, raw, network, loss)
        results = in_turn(
            rounds,
            {
                "two ranks": partial(side, "train_ranks", *given, 2, 1, BATCH, STEPS),
                "one process": partial(side, "train_ranks", *given, 1, 2, BATCH, STEPS),
            },
        )
        ours, peer = median(results["two ranks"], _rate), median(results["one process"], _rate)
        name = f"one process, 2 threads, {versions('torch')}"
        yield Row(f"ranks/{network}/{loss}/B={BATCH}", ours, peer, name, "images/s", TARGET)


def _rate(ran: Ran) -> float:
    return float(ran.said["images_per_second"])


if __name__ == "__main__":
    main(__doc__, measure)
