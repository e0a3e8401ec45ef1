"""Both sides of the embedding row of gpu.py: the network of a bundle on the device, or the bundle as it always runs."""

import json
import sys
import tempfile
import time
from pathlib import Path

import gpu_data

from simsearch.home import Home

DIM, BATCH = 64, 32


def main() -> None:
    which, device, backbone = sys.argv[1:4]
    channels, size, count = map(int, sys.argv[4:])
    with tempfile.TemporaryDirectory() as folder:
        Home(Path(folder)).prepare_environment()
        import torch

        from simsearch.embedder.bundle.export import export_onnx
        from simsearch.embedder.bundle.on_device import OnDevice
        from simsearch.embedder.bundle.runtime import Runtime
        from simsearch.embedder.networks.embedder import build_embedder
        from simsearch.embedder.networks.saving import save_weights
        from simsearch.versions import usable_cores

        model = build_embedder(backbone, DIM, size=size)
        weights, bundle = Path(folder) / "weights.safetensors", Path(folder) / "embedder.onnx"
        if which == "device":
            save_weights(model, weights, mean=[0.5] * channels, std=[0.25] * channels)
            runs = OnDevice(weights, torch.device(device))
        else:
            export_onnx(model, bundle)
            runs = Runtime(bundle, threads=usable_cores())
        images, _ = gpu_data.make(channels, size, BATCH)
        batch = ((images / 255 - 0.5) / 0.25).transpose(0, 3, 1, 2).astype("float32")
        runs.features(batch)
        began = time.perf_counter()
        for _ in range(count // BATCH):
            runs.features(batch)
        rate = count // BATCH * BATCH / (time.perf_counter() - began)
    print(json.dumps({"images_per_second": rate}))


if __name__ == "__main__":
    main()
