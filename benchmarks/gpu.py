"""Where a GPU is at hand: images a second of training against a bare PyTorch loop, and of embedding on the GPU.

Two rows of training: one epoch of MNIST with `mnist_cnn` at batch 1,024; ResNet-50 at 224 px, batch 128. Ours
(sides/gpu_ours.py) is simsearch.embedder.training.train, with everything that the train stage asks of it: losses read,
rates set; the checkpoint after the epoch is not counted. Peer (sides/gpu_bare.py) is the least that trains: the same
network, l2_softmax, bf16, channels last, fused AdamW, batches picked by a permutation on the device, nothing else.
Images are random: only speed counts. A row of embedding: MobileNetV2 at 224 px by batches of 32, in memory, as
`run.device = "cuda"` runs it, against the bundle in ONNX Runtime on all cores, as everything else does.

Without a GPU nothing is measured (exit 2); SIMSEARCH_BENCH_DEVICE=mps takes another kind, and =cpu runs the same code
on a processor, with fewer images. It has never been run on a GPU.

Command: python benchmarks/gpu.py [--json] [--rounds N]      (a few minutes on one GPU)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import Row, in_turn, main, median, run, say, side, versions

TARGET = 0.95
# name: (backbone, channels, side in pixels, batch, images on a GPU, images on a CPU)
CASES = {
    "mnist_cnn/B=1024": ("mnist_cnn", 1, 28, 1024, 60_000, 8_192),
    "resnet50/224px/B=128": ("torchvision:resnet50", 3, 224, 128, 5_120, 16),
}
EMBEDDED = ("torchvision:mobilenet_v2", 3, 224)
ON_GPU, ON_CPU = 8_192, 64  # images
CPU_BATCH = 8
CHECK = 'import torch; print(\'{"cuda": %d, "mps": %d}\' % (torch.cuda.is_available(), torch.mps.is_available()))'


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """A row for each network."""
    device = os.environ.get("SIMSEARCH_BENCH_DEVICE", "cuda")
    if device != "cpu":
        seen = run([sys.executable, "-c", CHECK], folder)
        if not seen.said.get(device):
            say("no GPU that torch can use: nothing measured; SIMSEARCH_BENCH_DEVICE=cpu runs the same on a processor")
            raise SystemExit(2)
    for name, (backbone, channels, size, batch, on_gpu, on_cpu) in CASES.items():
        count, batch = (on_gpu, batch) if device != "cpu" else (on_cpu, min(batch, max(CPU_BATCH, on_cpu // 8)))
        arguments = (folder, device, backbone, channels, size, batch, count)
        results = in_turn(rounds, {which: partial(side, f"gpu_{which}", *arguments) for which in ("ours", "bare")})
        ours, peer = (median(results[which], lambda ran: float(ran.said["images_per_second"])) for which in results)
        yield Row(f"gpu/{name}", ours, peer, f"bare loop, {versions('torch')}", "images/s", TARGET)
    count = ON_CPU if device == "cpu" else ON_GPU
    sides = {
        which: partial(side, "gpu_embed", folder, which, device, *EMBEDDED, count) for which in ("device", "bundle")
    }
    results = in_turn(rounds, sides)
    ours, peer = (median(results[which], lambda ran: float(ran.said["images_per_second"])) for which in sides)
    yield Row("gpu/embed/mobilenet_v2", ours, peer, f"the bundle, {versions('onnxruntime')}", "images/s")


if __name__ == "__main__":
    main(__doc__, measure)
