"""Rotations as classes, against numpy, one image at a time."""

from __future__ import annotations

import numpy as np
import torch

from simsearch.embedder.training.extract import rotated, rotated_labels


def test_images_and_labels_turn_together():
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 1)).astype(np.uint8)
    labels = np.array([0, 1, 2, 0, 1])
    turned = rotated(images.__getitem__, 5)
    wanted = np.random.default_rng(1).permutation(20)
    found = turned(wanted)
    for index, image in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(image, np.rot90(images[index % 5], index // 5))
    all_labels = rotated_labels(labels, 3)
    assert [int(all_labels[index]) for index in range(20)] == [
        int(labels[index % 5]) + 3 * (index // 5) for index in range(20)
    ]


def test_tensors_are_turned_where_they_are():
    images = torch.arange(32, dtype=torch.uint8).reshape(2, 4, 4, 1)
    found = rotated(lambda indices: images[torch.as_tensor(indices)], 2)(np.array([3, 0]))
    assert torch.equal(found[0], torch.rot90(images[1], 1))
    assert torch.equal(found[1], images[0])
