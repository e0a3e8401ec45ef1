"""Peer of gpu.py: the least that trains, with everything on the device from the start."""

import json
import sys
import time

import gpu_data
import torch
from torch import nn
from torch.nn import functional
from torchvision import models

DIM, ALPHA = 64, 16.0


class Net(nn.Module):
    """The network of mnist_cnn."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.drop = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3), nn.Dropout(0.25)
        self.fc = nn.Linear(9216, DIM)

    def forward(self, x):
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        return self.fc(self.drop(functional.max_pool2d(x, 2)).flatten(1))


def main():
    device, backbone = sys.argv[1:3]
    channels, size, batch, count = map(int, sys.argv[3:])
    torch.manual_seed(0)
    images, labels = (torch.from_numpy(part).to(device) for part in gpu_data.make(channels, size, count))
    kind = backbone.partition(":")[2]
    model = (models.get_model(kind, weights=None, num_classes=DIM) if kind else Net()).to(
        device, memory_format=torch.channels_last
    )
    classifier = nn.Linear(DIM, gpu_data.CLASSES).to(device)
    optimizer = torch.optim.AdamW([*model.parameters(), *classifier.parameters()], lr=1e-3, fused=True)

    def epoch(n):
        if device == "cuda":
            torch.cuda.synchronize()
        began = time.perf_counter()
        for chosen in torch.randperm(n, device=device).split(batch):
            inputs = ((images[chosen].float() / 255 - 0.5) / 0.25).permute(0, 3, 1, 2)
            with torch.autocast(device, dtype=torch.bfloat16, enabled=device != "mps"):
                features = model(inputs)
            logits = classifier(ALPHA * functional.normalize(features.float()))
            loss = functional.cross_entropy(logits, labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return n / (time.perf_counter() - began)

    epoch(min(count, 4 * batch))
    print(json.dumps({"images_per_second": epoch(count)}))


if __name__ == "__main__":
    main()
