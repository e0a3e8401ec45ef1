"""Training `mnist_cnn` on MNIST for one epoch: images a second against PyTorch's MNIST example.

Ours (sides/train_ours.py): simsearch.embedder.training.train as the train stage calls it, uint8 images in memory, batch
256, l2_softmax on 64-d features, in the precision that simsearch chooses (its time includes the checkpoint at the end).
Peer (sides/train_example.py): the loop and the network of pytorch/examples/mnist with its CPU defaults, that is
torchvision.datasets.MNIST, ToTensor and Normalize for each sample in a DataLoader without workers, batch 64, Adadelta
1.0, float32; and once more with our batch size. The example's classifier is a little larger than our 64-d head. Both
use 2 threads and train a throw-away network on 2,048 images before the clock starts.

Command: python benchmarks/train_loop.py [--json] [--rounds N]      (5 minutes for 5 rounds on 2 cores)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import Ran, Row, in_turn, main, median, say, side, unpack_mnist, versions

IMAGES = 12_000
THREADS = 2
BATCH = 256
EXAMPLE_BATCH = 64
TARGET = 1.8


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """A row for each batch size of the peer."""
    datasets = folder / "datasets"
    raw = unpack_mnist(datasets)
    results = in_turn(
        rounds,
        {
            "ours": partial(side, "train_ours", folder, raw, IMAGES, THREADS, BATCH),
            "example": partial(side, "train_example", folder, datasets, IMAGES, THREADS, EXAMPLE_BATCH),
            "example, our batch size": partial(side, "train_example", folder, datasets, IMAGES, THREADS, BATCH),
        },
    )
    said = results["ours"][0].said
    say(f"ours: {said['precision']}, {said['threads']} threads, on {said['device']}")
    ours = median(results["ours"], _rate)
    for name, batch in (("example", EXAMPLE_BATCH), ("example, our batch size", BATCH)):
        peer = f"MNIST example, {versions('torch')}, batch {batch}"
        yield Row(f"train_loop/mnist_cnn/B={batch}", ours, median(results[name], _rate), peer, "images/s", TARGET)


def _rate(ran: Ran) -> float:
    return float(ran.said["images_per_second"])


if __name__ == "__main__":
    main(__doc__, measure)
