"""Peer of train_loop.py: the network and the loop of pytorch/examples/mnist, on its CPU defaults."""

import json
import sys
import time

import torch
import torch.nn.functional as functional
from torch import nn, optim
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

WARM_UP_IMAGES = 2048
LOG_INTERVAL = 10


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = functional.relu(self.conv1(x))
        x = functional.relu(self.conv2(x))
        x = functional.max_pool2d(x, 2)
        x = torch.flatten(self.dropout1(x), 1)
        x = functional.relu(self.fc1(x))
        return functional.log_softmax(self.fc2(self.dropout2(x)), dim=1)


def train(dataset, batch):
    model = Net()
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    loader = DataLoader(dataset, batch_size=batch)
    began = time.perf_counter()
    model.train()
    for index, (data, target) in enumerate(loader):
        optimizer.zero_grad()
        loss = functional.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if index % LOG_INTERVAL == 0:
            print(f"{index * batch} of {len(dataset)}, loss {loss.item():.6f}", file=sys.stderr)
    return len(dataset) / (time.perf_counter() - began), loss.item()


def main():
    root = sys.argv[1]
    count, threads, batch = map(int, sys.argv[2:])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    dataset = datasets.MNIST(root, train=True, transform=transform)
    train(Subset(dataset, range(WARM_UP_IMAGES)), batch)
    rate, loss = train(Subset(dataset, range(count)), batch)
    print(json.dumps({"images_per_second": rate, "loss": loss}))


if __name__ == "__main__":
    main()
