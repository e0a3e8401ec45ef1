"""Training a head for 40 epochs on the cached features of a frozen backbone: seconds, on 2,640 grocery photos.

Ours (sides/head_ours.py): simsearch.embedder.training.train as the train stage calls it for a head: features in
memory, batch 256, l2_softmax on 64-d features, val recall@1 after every epoch and a checkpoint at the end of each.
Peer (sides/head_loader.py): the same head, loss, optimizer, batches and epochs over a TensorDataset and a DataLoader,
the loop of PyTorch's tutorials, without validation and checkpoints. Both read the features that `simsearch build` has
cached, use 2 threads and float32, and train one throw-away epoch before the clock starts.

Command: python benchmarks/head.py [--json] [--rounds N]      (3 minutes for 5 rounds on 2 cores)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import GROCERY, WEIGHTS, Row, artifact, build, in_turn, main, median, require, say, side, versions

EPOCHS, THREADS, BATCH = 40, 2, 256
LIMIT = 15.0


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """One row: seconds of 40 epochs."""
    require(GROCERY, WEIGHTS)
    home = folder / "home"
    record = build(
        folder, home, GROCERY, f"embedder.weights={WEIGHTS}", "training.epochs=0", "evaluation.baseline=false"
    )
    features, table = artifact(home, record, "embed") / "features.h5", artifact(home, record, "dataset") / "images.csv"
    arguments = (folder, features, table, EPOCHS, THREADS, BATCH)
    results = in_turn(rounds, {name: partial(side, f"head_{name}", *arguments) for name in ("ours", "loader")})
    for name, runs in results.items():
        say(f"{name}: loss {runs[0].said['loss']:.4f} at the end")
    ours, peer = (median(results[name], lambda ran: float(ran.said["seconds"])) for name in ("ours", "loader"))
    images = results["ours"][0].said["images"]
    name = f"head/groceries/{images} photos/{EPOCHS} epochs"
    yield Row(name, ours, peer, f"DataLoader, {versions('torch')}", "s", limit=LIMIT)


if __name__ == "__main__":
    main(__doc__, measure)
