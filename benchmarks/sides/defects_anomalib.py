"""Peer of defects.py: anomalib's PatchcoreModel with torchvision's MobileNetV2. FOLDER WEIGHTS SHARE THREADS."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from safetensors.torch import load_file
from torchvision.models import mobilenet_v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STAGES = {"stride8": 6, "stride16": 13}  # the last block at each


class Stages(torch.nn.Module):
    def __init__(self, weights):
        super().__init__()
        network = mobilenet_v2(weights=None)
        network.load_state_dict(load_file(weights), strict=False)  # its classifier is not among them
        self.blocks = network.features[: max(STAGES.values()) + 1].eval()

    def forward(self, images):
        found = {}
        for number, block in enumerate(self.blocks):
            images = block(images)
            found |= {name: images for name, last in STAGES.items() if last == number}
        return found


def main():
    folder, weights, share, threads = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    data = np.load(folder / "pictures.npz")
    model = PatchcoreModel(layers=("layer2", "layer3"), backbone="resnet18", pre_trained=False)
    model.feature_extractor, model.layers = Stages(weights), list(STAGES)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))

    def batch(pictures):
        return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - mean) / std

    with torch.no_grad():
        model.eval()
        model.feature_extractor(batch(data["fit"][:1]))  # everything is loaded
        began = time.perf_counter()
        model.train()
        model.feature_extractor.eval()
        for start in range(0, len(data["fit"]), 8):
            model(batch(data["fit"][start : start + 8]))
        model.subsample_embedding(share)
        fitted = time.perf_counter()
        model.eval()
        scores = [model(batch(data["test"][i : i + 8])).pred_score for i in range(0, len(data["test"]), 8)]
        scored = time.perf_counter()
    scores = torch.cat(scores).numpy().astype(float)
    rate = len(scores) / (scored - fitted)
    held = model.memory_bank.numel() * model.memory_bank.element_size()
    np.save(folder / "anomalib.npy", scores)
    np.save(folder / "anomalib_bank.npy", model.memory_bank.numpy())
    print(json.dumps({"fit": fitted - began, "rate": rate, "megabytes": held / 1e6, "scores": scores.tolist()}))


if __name__ == "__main__":
    main()
