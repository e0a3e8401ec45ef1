"""Miners of quadruplets against slow loops over all tuples, ties among them, and the draws of n2."""

import pytest
import slow_tuples
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slow_tuples import LABELS, active_of, counts_of, slow_probabilities, tied_batches

from simsearch.embedder.losses.distance_weighted import NONZERO_LOSS_CUTOFF, Distribution, draw_negatives
from simsearch.embedder.losses.mining import RULES, squared_distances, unit
from simsearch.embedder.losses.quadruplets import (
    _ClassPlaces,
    drawn_quadruplets,
    pair_quadruplets,
    third_class_triplets,
)

SECOND = {
    "paper": (pair_quadruplets, slow_tuples.pair_quadruplets),
    "text": (third_class_triplets, slow_tuples.third_class_triplets),
}


def both_orders(counts):
    return counts + counts.T


@settings(max_examples=100, deadline=None)
@given(tied_batches(), st.sampled_from(sorted(RULES)), st.sampled_from(sorted(SECOND)))
def test_second_terms_are_the_slow_loop(batch, rule, form):
    distances, labels, margin = batch
    mine, slow = SECOND[form]
    found = mine(distances, labels, margin, RULES[rule])
    expected = slow(distances.tolist(), labels.tolist(), margin, rule)
    # The loop counts (a, p) and (p, a); pair_quadruplets only one of them where nothing depends on the anchor.
    times = 2 if form == "paper" and rule != "batch_hard" else 1
    assert times * float(found.tuples) == len(expected)
    counts = counts_of(expected, len(labels))
    torch.testing.assert_close(times * both_orders(found.weights * found.tuples), both_orders(counts))
    if times == 2:
        assert float(found.active) == pytest.approx(active_of(expected, slow_tuples.pairs(labels.tolist())))


def places_of_class(first, second, c):
    return [place for place, pair in enumerate(zip(first, second, strict=True)) if c in pair]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda pair: pair[0] != pair[1]), min_size=1))
@example([(0, 1)] * 5 + [(1, 2)] + [(0, 2)] * 3)
def test_places_without_a_class(pairs):
    first, second = ([pair[i] for pair in pairs] for i in (0, 1))
    places = _ClassPlaces(torch.tensor(first), torch.tensor(second))
    for c in range(5):
        own = places_of_class(first, second, c)
        starts = torch.arange(len(pairs) + 1)
        classes = torch.full_like(starts, c)
        after = [next((i for i in range(s, len(pairs)) if i not in own), len(pairs)) for s in starts.tolist()]
        assert places.next_without(classes, starts).tolist() == after
        index = places.index(classes, starts) - places.index(classes[:1], starts[:1])
        assert index.tolist() == [sum(place < s for place in own) for s in starts.tolist()]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_two_classes_have_no_quadruplets(rule):
    distances = squared_distances(unit(torch.randn(8, 4, generator=torch.Generator().manual_seed(0))))
    for mine in (pair_quadruplets, third_class_triplets):
        found = mine(distances, torch.arange(8) % 2, 1.0, RULES[rule])
        assert [float(found.tuples), float(found.weights.abs().sum())] == [0, 0]


@pytest.mark.parametrize("form", sorted(SECOND))
def test_drawn_quadruplets_hold_three_classes(form):
    """The tuples of both terms, told from their weights' counts, against the same draws repeated."""
    torch.manual_seed(3)
    distances = squared_distances(unit(torch.randn(13, 4, dtype=torch.float64) + 0.7))
    torch.manual_seed(4)
    first, second = drawn_quadruplets(distances, LABELS, (0.2, 0.1), 4, form)
    torch.manual_seed(4)
    table = Distribution(distances, LABELS, 4)
    (anchors, positives), negatives, drawn = draw_negatives(table, LABELS)
    others, third = table.draw(*((negatives, anchors) if form == "paper" else (anchors, negatives)))
    ones, twos = [], []
    for a, p, n1, n2, there, too in zip(
        *(part.tolist() for part in (anchors, positives, negatives, others, drawn, third)), strict=True
    ):
        near = distances[n1 if form == "paper" else a] < NONZERO_LOSS_CUTOFF**2
        assert there
        assert too == bool((near & (LABELS[a] != LABELS) & (LABELS[n1] != LABELS)).any())
        between = (n1, n2) if form == "paper" else (a, n2)
        if distances[a, n1] < distances[a, p] + 0.2:
            ones.append(((a, p), (a, n1)))
        if too and distances[between] < distances[a, p] + 0.1:
            assert len({int(LABELS[i]) for i in (a, n1, n2)}) == 3
            twos.append(((a, p), between))
    for found, tuples in ((first, ones), (second, twos)):
        assert float(found.tuples) == len(tuples) > 0
        torch.testing.assert_close(found.weights * found.tuples, counts_of(tuples, 13))


@pytest.mark.parametrize("form", sorted(SECOND))
def test_drawn_n2_is_as_frequent_as_its_weight(form):
    """Over many draws: n1 by a's row, then n2 by the row of n1 (paper) or a (text) without the other's class."""
    torch.manual_seed(5)
    distances = squared_distances(unit(torch.randn(13, 4) + 0.7))
    probabilities = slow_probabilities(distances.double(), LABELS, 4)
    anchor, draws = 2, 40_000
    expected = torch.zeros(13, dtype=torch.float64)
    for n1, chance in enumerate(probabilities[anchor]):
        row = (probabilities[n1] if form == "paper" else probabilities[anchor]).clone()
        row[(LABELS[n1] == LABELS) | (LABELS[anchor] == LABELS)] = 0
        expected += chance * row / row.sum()
    table = Distribution(distances, LABELS, 4)
    anchors = torch.full((draws,), anchor)
    negatives, _ = table.draw(anchors, anchors)
    found, _ = table.draw(*((negatives, anchors) if form == "paper" else (anchors, negatives)))
    shares = torch.bincount(found, minlength=13) / draws
    error = (expected * (1 - expected) / draws).sqrt()
    assert bool(((shares - expected).abs() <= 4 * error).all())
