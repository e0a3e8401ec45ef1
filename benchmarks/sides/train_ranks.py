"""Two ranks, or one process, in ranks.py: an epoch through simsearch's training loop, images in memory."""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

WARM_UP, DIM, CLASSES, SIZE, SEED = 5, 64, 10, 28, 0


def main() -> None:
    raw, network, loss, ranks, threads, batch, steps = sys.argv[1], *sys.argv[2:4], *map(int, sys.argv[4:])
    from simsearch.engines.torchrun import run_ranks

    said: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        job = {"raw": raw, "network": network, "loss": loss, "threads": threads, "batch": batch, "steps": steps}
        path = Path(folder, "job.json")
        path.write_text(json.dumps({**job, "folder": folder}))
        heard = lambda kind, values: said.update(values[0])  # noqa: E731 - one message
        run_ranks("train_ranks", str(path), ranks=ranks, threads=threads, log=Path(folder, "log"), heard=heard)
    print(json.dumps(said))


def work(path, messages) -> None:
    from simsearch.embedder.losses.losses import make_loss
    from simsearch.embedder.networks.embedder import build_embedder
    from simsearch.embedder.training.extract import make_prepare
    from simsearch.embedder.training.group import joined
    from simsearch.embedder.training.loop import train

    job = json.loads(Path(path).read_bytes())
    losses = {
        "l2_softmax": {"name": "l2_softmax", "alpha": 16.0, "learn_alpha": False},
        "triplet": {"name": "triplet", "margin": 0.2, "mining": "semi_hard"},
    }
    raw, count = Path(job["raw"]), job["batch"] * job["steps"]
    pixels = np.frombuffer((raw / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    labels = np.frombuffer((raw / "train-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8).astype(np.int64)
    model = build_embedder(job["network"], DIM, seed=SEED, size=SIZE)
    with joined("cpu") as group:
        for name, n in (("warm-up", job["batch"] * WARM_UP), ("timed", count)):
            trained = train(
                model,
                make_loss(losses[job["loss"]], DIM, CLASSES, SEED),
                fetch=pixels.reshape(-1, SIZE, SIZE, 1).__getitem__,
                labels=labels[:n],
                batches=lambda epoch, n=n: np.arange(n).reshape(-1, job["batch"]),
                epochs=1,
                partial=Path(job["folder"], name),
                prepare=make_prepare([0.1307], [0.3081]),
                seed=SEED,
                threads=job["threads"],
                device="cpu",
                group=group,
            )
        if group.first:
            row = trained.metrics[-1]
            messages.send("done", {"images_per_second": row["images_per_second"], "loss": row["loss"], **trained.info})


if __name__ == "__main__":
    if "RANK" in os.environ:
        from simsearch.engines.rank import serve

        serve(work)
    else:
        main()
