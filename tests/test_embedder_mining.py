"""Mining and batches against slow loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simsearch.embedder.mining import BalancedSampler, semi_hard, shuffled_batches
from simsearch.errors import EmbedderError


def slow_semi_hard(distances, labels, margin):
    tuples = []
    size = len(labels)
    for a in range(size):
        for p in range(size):
            if a == p or labels[a] != labels[p]:
                continue
            best = None
            for n in range(size):
                if labels[n] == labels[a] or not distances[a, n] > distances[a, p]:
                    continue
                if best is None or distances[a, n] < distances[a, best]:
                    best = n
            if best is not None and distances[a, best] < distances[a, p] + margin:
                tuples.append((a, p, best))
    return tuples


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_semi_hard_is_the_slow_loop(data):
    size = data.draw(st.integers(1, 12))
    labels = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    # Few values, so that ties within and between classes are common; eighths are exact.
    cells = data.draw(st.lists(st.integers(0, 8), min_size=size * size, max_size=size * size))
    distances = torch.tensor(cells, dtype=torch.float64).reshape(size, size) / 8
    margin = data.draw(st.sampled_from([0.1, 0.2, 0.5, 2.0]))
    found = semi_hard(distances, torch.tensor(labels), margin)
    assert list(zip(*(part.tolist() for part in found), strict=True)) == slow_semi_hard(distances, labels, margin)


def test_all_distances_equal_selects_nothing():
    """The collapse that the rule avoids: here every triplet has loss = margin, and none is taken."""
    found = semi_hard(torch.zeros(6, 6), torch.tensor([0, 0, 1, 1, 2, 2]))
    assert [len(part) for part in found] == [0, 0, 0]


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
    [(1, 2, 2, "at least 2 classes"), (3, 4, 2, "3 classes"), (3, 1, 2, "at least 2 of"), (3, 2, 1, "at least 2 of")],
)
def test_impossible_batches(classes, wanted, images, said):
    with pytest.raises(EmbedderError, match=said):
        BalancedSampler(np.repeat(np.arange(classes), 5), wanted, images, 0)
