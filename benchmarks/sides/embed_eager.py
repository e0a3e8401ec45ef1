"""Peer of embed.py: all MNIST images through the same network in eager float32 torch, from arrays in memory."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from simsearch.embedder.networks.embedder import build_embedder

BATCH = 256


def main() -> None:
    raw, trained = map(Path, sys.argv[1:])
    bundle = json.loads((trained / "embedder.json").read_text())
    wanted = bundle["preprocessing"]
    model = build_embedder(bundle["backbone"], bundle["dim"], weights=trained / "weights.safetensors").eval()
    files = (raw / f"{part}-images-idx3-ubyte" for part in ("train", "t10k"))
    arrays = [np.frombuffer(file.read_bytes(), np.uint8, offset=16).reshape(-1, 1, 28, 28) for file in files]
    images = torch.from_numpy(np.concatenate(arrays))
    (mean,), (std,) = wanted["mean"], wanted["std"]
    with torch.inference_mode():
        model(images[:BATCH].float())  # warm-up
        began = time.perf_counter()
        features = [model((batch.float() / 255 - mean) / std) for batch in images.split(BATCH)]
        together = torch.cat(features).numpy()
        seconds = time.perf_counter() - began
    rows = len(together)
    print(
        json.dumps({"images": rows, "images_per_second": rows / seconds, "mean": together.mean(0, dtype="f8").tolist()})
    )


if __name__ == "__main__":
    main()
