"""uint8 images to network input: the same numbers as the preprocessing of queries, and random shifts."""

from __future__ import annotations

import numpy as np
import torch

from simsearch.embedder.prepare import make_prepare, shifted
from simsearch.images.preprocess import Preprocess


def test_prepare_is_the_preprocessing_of_queries():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    there = Preprocess(8, 3, "squash", mean, std).normalize(images)
    here = make_prepare(mean, std)(torch.from_numpy(images)).numpy()
    assert here.shape == (5, 3, 8, 8)
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5)


def test_shifted_images_are_the_slow_loops():
    images = torch.randint(1, 256, (40, 6, 5, 2), dtype=torch.uint8)
    torch.manual_seed(0)
    moved = shifted(lambda x: x, 2)(images)
    assert moved.shape == images.shape
    seen = set()
    for before, after in zip(images, moved, strict=True):
        matches = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(after, _moved(before, down, right))
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 10


def _moved(image, down, right):
    out = torch.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if 0 <= y + down < image.shape[0] and 0 <= x + right < image.shape[1]:
                out[y, x] = image[y + down, x + right]
    return out
