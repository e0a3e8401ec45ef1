"""What both sides of mining.py share: the features, and how seconds and peak memory are taken."""

import json
import re
import statistics
import time
from pathlib import Path

import torch

DIM, CLASSES, MARGIN = 64, 10, 0.2
SMALL = 64
CALLS = 3


def batch(size):
    """Features around ten centres, noise twice as strong: the start of a training."""
    torch.manual_seed(0)
    labels = torch.arange(size) % CLASSES
    features = torch.randn(CLASSES, DIM)[labels] + 2 * torch.randn(size, DIM)
    return features.requires_grad_(), labels


def megabytes(what):
    """VmRSS (now) or VmHWM (the most since it was last set back) of this process."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) * 1024 / 1e6


def report(compute, size, threads, calls=CALLS):
    """Print the figures of `compute(features, labels)`, a loss, as JSON."""
    torch.set_num_threads(threads)

    def call(features, labels):
        features.grad = None
        began = time.perf_counter()
        loss = compute(features, labels)
        loss.backward()
        return time.perf_counter() - began, loss.item()

    call(*batch(SMALL))
    given = batch(size)
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back to VmRSS
    before = megabytes("VmRSS")
    first, loss = call(*given)
    peak = megabytes("VmHWM") - before
    seconds = [call(*given)[0] for _ in range(calls)] if calls > 1 else [first]
    gradient = given[0].grad.norm().item()
    print(
        json.dumps(
            {"seconds": statistics.median(seconds), "megabytes": peak, "loss": loss, "gradient": gradient},
        )
    )
