"""Peer of embed.py: a folder of photos through DataLoader, torchvision transforms and the network in eager torch."""

import json
import sys
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from simsearch.embedder.networks.embedder import build_embedder

BATCH, WORKERS = 32, 2


def main() -> None:
    photos, trained = map(Path, sys.argv[1:])
    bundle = json.loads((trained / "embedder.json").read_text())
    wanted = bundle["preprocessing"]
    size = wanted["size"]
    model = build_embedder(bundle["backbone"], None, weights=trained / "weights.safetensors", size=size).eval()
    transform = transforms.Compose(
        [
            transforms.Resize(size),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(wanted["mean"], wanted["std"]),
        ]
    )
    loader = DataLoader(datasets.ImageFolder(str(photos), transform), batch_size=BATCH, num_workers=WORKERS)
    with torch.inference_mode():
        model(torch.zeros(BATCH, 3, size, size))  # warm-up
        began = time.perf_counter()
        features = [model(batch) for batch, _ in loader]
        together = torch.cat(features).numpy()
        seconds = time.perf_counter() - began
    rows = len(together)
    print(
        json.dumps({"images": rows, "images_per_second": rows / seconds, "mean": together.mean(0, dtype="f8").tolist()})
    )


if __name__ == "__main__":
    main()
