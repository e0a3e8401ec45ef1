"""Miners of triplets against slow loops; ties that stay ties; the collapse that semi-hard negatives avoid."""

import pytest
import slow_tuples
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_tuples import LABELS, active_of, counts_of, slow_probabilities, tied_batches

from simsearch.embedder.losses import distance_weighted as drawing
from simsearch.embedder.losses import mining
from simsearch.embedder.losses.distance_weighted import (
    NONZERO_LOSS_CUTOFF,
    Distribution,
    drawing_weights,
    drawn_triplets,
)
from simsearch.embedder.losses.losses import Triplet
from simsearch.embedder.losses.mining import RULES, squared_distances, triplets, unit

# Classes of 5, 4, 3 and 1 images, not in order.


@settings(max_examples=60, deadline=None)
@given(tied_batches(), st.sampled_from(sorted(RULES)))
def test_triplets_are_the_slow_loop(batch, rule):
    distances, labels, margin = batch
    found = triplets(distances, labels, margin, RULES[rule])
    plain = distances.tolist()
    expected = slow_tuples.triplets(plain, labels.tolist(), margin, rule)
    assert float(found.tuples) == len(expected)
    torch.testing.assert_close(found.weights * found.tuples, counts_of(expected, len(labels)))
    pairs = slow_tuples.anchor_pairs(plain, labels.tolist(), rule)
    if rule == "batch_hard" and len(set(labels.tolist())) == 1:
        pairs = []  # anchors without a negative
    assert float(found.active) == pytest.approx(active_of(expected, pairs))


@pytest.mark.parametrize("rule", sorted(RULES))
def test_blocks_of_rows_change_nothing(rule, monkeypatch):
    distances = squared_distances(unit(torch.randn(13, 4, generator=torch.Generator().manual_seed(0))))
    whole = triplets(distances, LABELS, 0.2, RULES[rule])
    monkeypatch.setattr(mining, "BLOCK_CELLS", 30)  # two rows
    blocks = triplets(distances, LABELS, 0.2, RULES[rule])
    assert all(torch.equal(one, other) for one, other in zip(whole, blocks, strict=True))


@pytest.mark.parametrize("dim", [2, 6, 64, 67])
@pytest.mark.parametrize("size", [7, 50, 120, 257, 600])
def test_equal_images_have_equal_distances(size, dim):
    """A negative with the positive's very features is not farther: the sign of a rounding error would decide."""
    features = torch.randn(size, dim, generator=torch.Generator().manual_seed(size))
    features[size // 2 :] = features[: size - size // 2].flip(0)
    distances = squared_distances(unit(features))
    assert torch.equal(distances, distances.T)
    assert torch.equal(distances[:, size // 2 :], distances[:, : size - size // 2].flip(1))
    # Every image of class 0 has its double in class 1, so each positive has a negative at its own distance.
    labels = (torch.arange(size) >= size // 2).long()
    if size % 2 == 0:
        nearer = triplets(distances, labels, 1e-30, RULES["all"])  # a margin lost in rounding leaves d_n < d_p
        not_farther = triplets(distances, labels, 1e-30, RULES["hard"])
        assert float(not_farther.tuples - nearer.tuples) >= size * (size / 2 - 1)


def test_blocked_distances_are_the_same(monkeypatch):
    embeddings = unit(torch.randn(50, 64, generator=torch.Generator().manual_seed(0)))
    whole = squared_distances(embeddings)
    torch.testing.assert_close(whole, 2 - 2 * embeddings @ embeddings.T, atol=1e-6, rtol=0)
    monkeypatch.setattr(mining, "BLOCK_CELLS", 150)
    assert torch.equal(squared_distances(embeddings), whole)


def test_all_distances_equal_selects_no_semi_hard():
    """Where every triplet has loss = margin, none is semi-hard."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert float(triplets(torch.zeros(6, 6), labels, 0.2, RULES["semi_hard"]).tuples) == 0
    assert float(triplets(torch.zeros(6, 6), labels, 0.2, RULES["hard"]).tuples) == 24


def trained(rule):
    """The loss of a linear map with bias, trained with a miner on classes that it cannot tell apart; mean distance."""
    torch.manual_seed(0)
    images, labels = torch.randn(40, 8), torch.arange(40) % 4
    model = torch.nn.Linear(8, 4)
    loss = Triplet(0.2, rule)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    for _ in range(300):
        value, _ = loss(model(images), labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return float(value.detach()), float(squared_distances(unit(model(images))).mean())


def test_only_nearer_negatives_collapse_to_the_margin():
    """What FaceNet's rule avoids, and what "do not use triplets with d_n > d_p" would bring about."""
    loss, mean = trained("hard")
    assert loss == pytest.approx(0.2, abs=0.005)
    assert mean < 0.01
    loss, mean = trained("semi_hard")
    assert loss < 0.15
    assert mean > 0.5


@pytest.mark.parametrize("dim", [4, 16])
def test_drawing_weights_are_the_formula(dim):
    torch.manual_seed(1)
    distances = squared_distances(unit(torch.randn(13, dim, dtype=torch.float64) + 0.5))
    weights = drawing_weights(distances, LABELS[:, None] == LABELS, dim)
    expected = slow_probabilities(distances, LABELS, dim)
    torch.testing.assert_close(weights / weights.sum(1, keepdim=True).clamp_min(1e-300), expected)


def test_drawing_weights_hold_in_512_dimensions():
    """1 / q(0.5) is about 1e150 there."""
    distances = squared_distances(unit(torch.randn(60, 512, generator=torch.Generator().manual_seed(0)) + 0.3))
    weights = drawing_weights(distances, torch.eye(60, dtype=torch.bool), 512)
    assert bool(torch.isfinite(weights).all())
    assert torch.equal(weights.amax(1), torch.ones(60, dtype=torch.float64))


def test_draws_are_as_frequent_as_their_weights():
    torch.manual_seed(2)
    distances = squared_distances(unit(torch.randn(13, 4) + 0.7))
    probabilities = slow_probabilities(distances.double(), LABELS, 4)
    table, draws = Distribution(distances, LABELS, 4), 40_000
    for row, without in ((0, 0), (0, 2), (2, 5), (5, 1)):
        expected = probabilities[row].clone()
        expected[LABELS[without] == LABELS] = 0
        expected /= expected.sum()
        found, drawn = table.draw(torch.full((draws,), row), torch.full((draws,), without))
        assert bool(drawn.all())
        shares = torch.bincount(found, minlength=13) / draws
        error = (expected * (1 - expected) / draws).sqrt()
        assert bool(((shares - expected).abs() <= 4 * error).all())


def test_rows_without_weights_draw_nothing():
    """Every other class at the opposite pole: nothing is drawn, and the loss is 0 with a gradient of zeros."""
    features = torch.tensor([[1.0, 0, 0]] * 2 + [[-1.0, 0, 0]] * 2, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1])
    chosen = drawn_triplets(squared_distances(features), labels, 0.2, 3)
    assert [float(chosen.tuples), float(chosen.active)] == [0, 0]
    value, _ = Triplet(0.2, "distance_weighted")(features, labels)
    value.backward()
    assert torch.equal(features.grad, torch.zeros(4, 3))


def test_drawn_triplets_hold_the_state_of_torch():
    distances = squared_distances(unit(torch.randn(13, 4)))

    def drawn(seed):
        torch.manual_seed(seed)
        return drawn_triplets(distances, LABELS, 0.2, 4).weights

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


@settings(max_examples=40, deadline=None)
@given(tied_batches(), st.integers(0, 5))
def test_drawn_triplets_are_the_given_tuples(batch, seed):
    """Weights, number and share of tuples that were drawn, against the loop over the same draws."""
    distances, labels, margin = batch
    torch.manual_seed(seed)
    (anchors, positives), negatives, drawn = drawing.draw_negatives(Distribution(distances, labels, 8), labels)
    torch.manual_seed(seed)
    found = drawn_triplets(distances, labels, margin, 8)
    tuples = []
    for a, p, n, there in zip(anchors.tolist(), positives.tolist(), negatives.tolist(), drawn.tolist(), strict=True):
        candidates = (labels != labels[a]) & (distances[a] < NONZERO_LOSS_CUTOFF**2)
        assert there == bool(candidates.any())
        assert not there or bool(candidates[n])
        if there and distances[a, n] < distances[a, p] + margin:
            tuples.append(((a, p), (a, n)))
    pairs = slow_tuples.pairs(labels.tolist())
    assert list(zip(anchors.tolist(), positives.tolist(), strict=True)) == pairs
    torch.testing.assert_close(found.weights * found.tuples, counts_of(tuples, len(labels)))
    assert float(found.active) == pytest.approx(active_of(tuples, pairs))
