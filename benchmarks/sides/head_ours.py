"""Ours in head.py: a head on cached features through simsearch's training loop, watched on val rows."""

import json
import sys
import tempfile
import time
from pathlib import Path

import head_data

from simsearch.home import Home

DIM, SEED = 64, 0


def main() -> None:
    epochs, threads, batch = map(int, sys.argv[3:])
    with tempfile.TemporaryDirectory() as folder:
        Home(Path(folder)).prepare_environment()  # before torch is imported, as the command line does
        from torch import nn

        from simsearch.embedder.losses.losses import make_loss
        from simsearch.embedder.training.extract import extract
        from simsearch.embedder.training.loop import train
        from simsearch.embedder.training.sampling import shuffled_batches
        from simsearch.embedder.training.schedule import Rates
        from simsearch.stages.training import recall_at_1

        features, labels, fit, val = head_data.read(*sys.argv[1:3])
        classes = int(labels.max()) + 1

        def run(count: int, name: str):
            head = nn.Linear(features.shape[1], DIM)
            began = time.perf_counter()
            trained = train(
                head,
                make_loss({"name": "l2_softmax", "alpha": 16.0, "learn_alpha": False}, DIM, classes, SEED),
                fetch=lambda indices: features[fit[indices]],
                labels=labels[fit],
                batches=lambda epoch: shuffled_batches(len(fit), batch, SEED, epoch),
                epochs=count,
                partial=Path(folder) / name,
                rates=Rates(2e-3),
                seed=SEED,
                validate=recall_at_1(
                    lambda rows: extract(head, features.__getitem__, rows, None),
                    labels,
                    val,
                    fit,
                    gallery=4000,
                    raw=False,
                ),
                threads=threads,
            )
            return time.perf_counter() - began, trained

        run(1, "warm-up")
        seconds, trained = run(epochs, "timed")
    print(json.dumps({"seconds": seconds, "loss": trained.metrics[-1]["loss"], "images": len(fit)}))


if __name__ == "__main__":
    main()
