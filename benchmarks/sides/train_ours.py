"""Ours in train_loop.py: one epoch of mnist_cnn through simsearch's training loop, images in memory."""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from simsearch.home import Home

WARM_UP_IMAGES = 2048
DIM, CLASSES, SIZE, SEED = 64, 10, 28, 0


def main() -> None:
    raw, count, threads, batch = Path(sys.argv[1]), *map(int, sys.argv[2:])
    with tempfile.TemporaryDirectory() as folder:
        Home(Path(folder)).prepare_environment()  # before torch is imported, as the command line does
        from simsearch.embedder.losses.losses import make_loss
        from simsearch.embedder.networks.embedder import build_embedder
        from simsearch.embedder.training.extract import make_prepare
        from simsearch.embedder.training.loop import train
        from simsearch.embedder.training.sampling import shuffled_batches

        pixels = np.frombuffer((raw / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
        images = pixels.reshape(-1, SIZE, SIZE, 1)
        labels = np.frombuffer((raw / "train-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8).astype(np.int64)

        def one_epoch(n, name):
            model = build_embedder("mnist_cnn", DIM, seed=SEED, size=SIZE)
            loss = make_loss({"name": "l2_softmax", "alpha": 16.0, "learn_alpha": False}, DIM, CLASSES, SEED)
            began = time.perf_counter()
            trained = train(
                model,
                loss,
                fetch=images.__getitem__,
                labels=labels[:n],
                batches=lambda epoch: shuffled_batches(n, batch, SEED, epoch),
                epochs=1,
                partial=Path(folder) / name,
                prepare=make_prepare([0.1307], [0.3081]),
                seed=SEED,
                threads=threads,
            )
            return n / (time.perf_counter() - began), trained

        one_epoch(WARM_UP_IMAGES, "warm-up")
        rate, trained = one_epoch(count, "timed")
    print(json.dumps({"images_per_second": rate, "loss": trained.metrics[-1]["loss"], **trained.info}))


if __name__ == "__main__":
    main()
