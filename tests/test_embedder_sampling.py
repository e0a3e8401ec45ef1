"""Batches of indices: every image once, or classes in equal parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simsearch.embedder.training.sampling import BalancedSampler, shuffled_batches
from simsearch.errors import EmbedderError


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 5), st.integers(0, 5))
def test_shuffled_batches_hold_every_image_once(n, size, seed, epoch):
    found = list(shuffled_batches(n, size, seed, epoch))
    assert sorted(np.concatenate(found).tolist()) == list(range(n))
    assert all(len(batch) == size for batch in found[:-1])
    assert size == 1 or n == 1 or all(len(batch) > 1 for batch in found)
    assert all(batch.dtype == np.int64 for batch in found)


def test_shuffled_batches_differ_by_epoch_and_seed():
    def order(seed, epoch):
        return np.concatenate(list(shuffled_batches(50, 8, seed, epoch))).tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 1) != order(1, 0)


def test_balanced_batches():
    labels = np.repeat([3, 5, 9, 11], [40, 25, 5, 2]).astype(np.int64)
    sampler = BalancedSampler(labels, 3, 4, seed=1)
    batches = list(sampler.batches(0))
    assert len(batches) == sampler.batches_per_epoch == 6
    assert sampler.short_classes == 1
    for batch in batches:
        names, counts = np.unique(labels[batch], return_counts=True)
        assert counts.tolist() == [4, 4, 4]
        full = batch[labels[batch] != 11]
        assert len(names) == 3
        assert len(set(full.tolist())) == len(full)
    again = list(BalancedSampler(labels, 3, 4, seed=1).batches(0))
    assert all((one == other).all() for one, other in zip(batches, again, strict=True))
    assert not all((one == other).all() for one, other in zip(batches, sampler.batches(1), strict=True))


def test_a_class_gives_all_its_images_before_any_again():
    labels = np.repeat([0, 1], 12).astype(np.int64)
    taken = np.concatenate(list(BalancedSampler(labels, 2, 4, seed=0).batches(0)))
    assert sorted(taken.tolist()) == list(range(24))


@pytest.mark.parametrize(
    ("classes", "wanted", "images", "said"),
    [
        (1, 2, 2, "at least 2 classes"),
        (3, 4, 2, "3 classes"),
        (3, 1, 2, "at least 2 of"),
        (3, 2, 1, "at least 2 of"),
        (3, 2, 40_000, "80,000 images a batch"),
    ],
)
def test_impossible_batches(classes, wanted, images, said):
    with pytest.raises(EmbedderError, match=said):
        BalancedSampler(np.repeat(np.arange(classes), 5), wanted, images, 0)
