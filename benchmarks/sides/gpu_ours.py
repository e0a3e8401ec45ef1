"""Ours in gpu.py: one epoch through simsearch's training loop."""

import json
import sys
import tempfile
from pathlib import Path

import gpu_data

from simsearch.home import Home

DIM, SEED = 64, 0


def main() -> None:
    device, backbone = sys.argv[1:3]
    channels, size, batch, count = map(int, sys.argv[3:])
    with tempfile.TemporaryDirectory() as folder:
        Home(Path(folder)).prepare_environment()
        import torch

        from simsearch.embedder.losses.losses import make_loss
        from simsearch.embedder.networks.embedder import build_embedder
        from simsearch.embedder.training.extract import fetch_from, make_prepare
        from simsearch.embedder.training.loop import train
        from simsearch.embedder.training.sampling import shuffled_batches

        images, labels = gpu_data.make(channels, size, count)
        fetch = fetch_from(images, torch.device(device))

        def one_epoch(n: int, name: str) -> float:
            model = build_embedder(backbone, DIM, seed=SEED, size=size)
            loss = make_loss({"name": "l2_softmax", "alpha": 16.0, "learn_alpha": False}, DIM, gpu_data.CLASSES, SEED)
            trained = train(
                model,
                loss,
                fetch=fetch,
                labels=labels[:n],
                batches=lambda epoch: shuffled_batches(n, batch, SEED, epoch),
                epochs=1,
                partial=Path(folder) / name,
                prepare=make_prepare([0.5] * channels, [0.25] * channels),
                seed=SEED,
                device=device,
            )
            return float(trained.metrics[-1]["images_per_second"])  # without the checkpoint at the end

        one_epoch(min(count, 4 * batch), "warm-up")
        rate = one_epoch(count, "timed")
    print(json.dumps({"images_per_second": rate}))


if __name__ == "__main__":
    main()
