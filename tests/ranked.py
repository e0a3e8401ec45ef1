"""The gradient of a loss on one batch, by as many ranks as torchrun started: JOB, run as a program by each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from simsearch.embedder.losses.losses import compares, make_loss
from simsearch.embedder.training.group import ALONE, joined
from simsearch.engines.rank import serve

CLASSES, IMAGES, PIXELS, DIM = 6, 24, 10, 8
LABELS = np.arange(CLASSES).repeat(IMAGES // CLASSES)
LOSSES = {
    "softmax": {"name": "softmax"},
    "l2_softmax": {"name": "l2_softmax", "alpha": 16.0, "learn_alpha": True},
    "triplet": {"name": "triplet", "margin": 0.2, "mining": "semi_hard"},
    "distance weighted": {"name": "triplet", "margin": 0.2, "mining": "distance_weighted"},
    "quadruplet": {"name": "quadruplet", "form": "paper", "margin1": 0.2, "margin2": 0.1, "mining": "all"},
    "proxies": {},
}


class Proxies(nn.Module):
    """A loss that compares images, and learns too, as some of pytorch-metric-learning do."""

    def __init__(self):
        super().__init__()
        self.proxies = nn.Parameter(torch.linspace(-1, 1, CLASSES * DIM).reshape(CLASSES, DIM))

    def forward(self, features, labels):
        spread = (features - features.mean(0)).square().sum()  # of all images that it sees
        return (features - self.proxies[labels]).square().sum(1).mean() / (1 + spread), None


def learner():
    """A small network, images and labels, which are the same in every process."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(PIXELS, 16), nn.Tanh(), nn.Linear(16, DIM))
        images = torch.randn(IMAGES, PIXELS) + 0.4 * torch.nn.functional.one_hot(torch.tensor(LABELS), PIXELS)
    return network, images


def gradient_of(settings, group=ALONE):
    """The gradient (P,) of network and loss on the whole batch, as a step of the loop makes it, and the loss."""
    network, images = learner()
    loss = make_loss(settings, DIM, CLASSES, 0) if settings else Proxies()
    own = torch.as_tensor(group.part(np.arange(IMAGES)))
    features, labels = network(images[own]), torch.tensor(LABELS)[own]
    torch.manual_seed(3)  # one process draws as all ranks do
    value, _ = loss(*(group.whole(features, labels) if compares(loss) else (features, labels)))
    value.backward()
    gradients = [parameter.grad for parameter in [*network.parameters(), *loss.parameters()]]
    group.average([*gradients, value.detach()])
    return torch.cat([gradient.flatten() for gradient in gradients]), float(value.detach())


def work(path, messages):
    with joined("cpu") as group:
        for name in json.loads(Path(path).read_bytes()):
            gradient, value = gradient_of(LOSSES[name], group)
            messages.send("gradient", group.rank, name, gradient.tolist(), value)


if __name__ == "__main__":
    serve(work)
