"""Peer of head.py: the same head and loss over a TensorDataset and a DataLoader."""

import json
import sys
import time

import head_data
import torch
from torch import nn, optim
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

DIM, ALPHA = 64, 16.0


def run(dataset, width, classes, batch, epochs):
    head, classifier = nn.Linear(width, DIM), nn.Linear(DIM, classes)
    optimizer = optim.AdamW([*head.parameters(), *classifier.parameters()], lr=2e-3, weight_decay=1e-4)
    loader = DataLoader(dataset, batch_size=batch, shuffle=True)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    began = time.perf_counter()
    for _ in range(epochs):
        total = 0.0
        for features, labels in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(classifier(ALPHA * functional.normalize(head(features))), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
    return time.perf_counter() - began, total / len(loader)


def main():
    epochs, threads, batch = map(int, sys.argv[3:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    features, labels, fit, _ = head_data.read(*sys.argv[1:3])
    dataset = TensorDataset(torch.from_numpy(features[fit]), torch.from_numpy(labels[fit]))
    classes = int(labels.max()) + 1
    run(dataset, features.shape[1], classes, batch, 1)
    seconds, loss = run(dataset, features.shape[1], classes, batch, epochs)
    print(json.dumps({"seconds": seconds, "loss": loss, "images": len(fit)}))


if __name__ == "__main__":
    main()
