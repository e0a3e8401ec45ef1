"""What both sides of gpu.py train on: seeded random images and labels."""

import numpy as np

CLASSES = 10


def make(channels, size, count):
    """Images (N, S, S, C) uint8 and labels (N,) int64."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, size, size, channels), dtype=np.uint8)
    return images, random.integers(0, CLASSES, count)
