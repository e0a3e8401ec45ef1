"""Each loss against a slow Python loop in float64, gradients included."""

import math

import pytest
import slow_tuples
import torch

from simsearch.embedder.losses.distance_weighted import Distribution, draw_negatives
from simsearch.embedder.losses.losses import alpha_lower_bound, alpha_warning, make_loss
from simsearch.embedder.losses.mining import RULES
from simsearch.errors import EmbedderError

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])  # class 3 has one image
L2_SOFTMAX = {"name": "l2_softmax", "alpha": 16.0, "learn_alpha": False}
TUPLE_LOSSES = [
    {"name": "triplet", "margin": 0.4},
    {"name": "quadruplet", "form": "paper", "margin1": 0.4, "margin2": 0.2},
    {"name": "quadruplet", "form": "text", "margin1": 0.4, "margin2": None},
]
IDS = ["triplet", "paper", "text"]


def features(case):
    torch.manual_seed(5)
    values = torch.randn(8, 6, dtype=torch.float64)
    if case == "duplicates":
        values[1] = values[0]  # of the same class
        values[4] = values[5]  # of another class: equal distances to both
    if case == "near":  # most pairs inside the margin
        values = values * 0.05 + 1
    return values.requires_grad_()


def unit_slow(row):
    return row / (row * row).sum().sqrt()


def slow_cross_entropy(loss, rows, labels):
    total = 0
    for row, label in zip(rows, labels, strict=True):
        scores = [(loss.classifier.weight[c] * row).sum() + loss.classifier.bias[c] for c in range(4)]
        total = total - scores[int(label)] + torch.log(sum(torch.exp(score) for score in scores))
    return total / len(labels)


def slow_distances(rows):
    """Squared L2 distances of unit rows: with gradient, and as numbers to choose by, where equal rows tie."""
    embeddings = [unit_slow(row) for row in rows]
    distances = [[((a - b) ** 2).sum() for b in embeddings] for a in embeddings]
    return distances, [[round(float(value.detach()), 12) for value in row] for row in distances]


def slow_tuple_loss(rows, labels, table):
    distances, plain = slow_distances(rows)
    mining, form = table["mining"], table.get("form")
    margin1 = table["margin1"] if form else table["margin"]
    first = slow_tuples.triplets(plain, labels, margin1, mining)
    loss = slow_tuples.mean_cost(distances, first, margin1)
    if form == "paper":
        second = slow_tuples.pair_quadruplets(plain, labels, table["margin2"], mining)
        loss = loss + slow_tuples.mean_cost(distances, second, table["margin2"])
    if form == "text":
        loss = loss + slow_tuples.mean_cost(
            distances, slow_tuples.third_class_triplets(plain, labels, margin1, mining), margin1
        )
    return loss, len({within for within, _ in first}) / len(slow_tuples.anchor_pairs(plain, labels, mining))


def compare(value, expected, given, slow_given, others=()):
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    value.backward()
    first = [given.grad, *(other.grad.clone() for other in others)]
    for other in others:
        other.grad = None
    expected.backward()
    for one, other in zip(first, [slow_given.grad, *(other.grad for other in others)], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("case", ["random", "duplicates", "near"])
@pytest.mark.parametrize(
    "table", [{"name": "softmax"}, L2_SOFTMAX, {"name": "l2_softmax", "alpha": 4.0, "learn_alpha": True}]
)
def test_classifiers_are_the_slow_loop(case, table):
    loss = make_loss(table, 6, 4, seed=0).double()
    given, slow = features(case), features(case)
    value, active = loss(given, LABELS)
    assert active is None
    rows = list(slow) if table["name"] == "softmax" else [unit_slow(row) * loss.alpha for row in slow]
    compare(value, slow_cross_entropy(loss, rows, LABELS), given, slow, list(loss.parameters()))


@pytest.mark.parametrize("case", ["random", "duplicates", "near"])
@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("table", TUPLE_LOSSES, ids=IDS)
def test_tuple_losses_are_the_slow_loop(table, rule, case):
    """In float64, ties between classes included; class 3 has one image."""
    table = {**table, "mining": rule}
    given, slow = features(case), features(case)
    value, active = make_loss(table, 6, 4, seed=0)(given, LABELS)
    expected, share = slow_tuple_loss(slow, LABELS.tolist(), table)
    assert value.dtype == torch.float64
    assert float(active) == pytest.approx(share)
    compare(value, expected, given, slow)


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("table", TUPLE_LOSSES, ids=IDS)
def test_tuple_losses_in_float32(table, rule):
    """Random features in the type of training: value and gradient within 1e-5 of the slow loop in float64."""
    torch.manual_seed(9)
    labels = torch.arange(14) % 4
    given = (torch.randn(14, 6) + 2).requires_grad_()
    slow = given.detach().double().requires_grad_()
    table = {**table, "mining": rule}
    value, _ = make_loss(table, 6, 4, seed=0)(given, labels)
    expected, _ = slow_tuple_loss(slow, labels.tolist(), table)
    value.backward()
    expected.backward()
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(given.grad.double(), slow.grad, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("size", "dim"), [(8, 6), (32, 3)])
@pytest.mark.parametrize("table", TUPLE_LOSSES, ids=IDS)
def test_drawn_losses_are_the_loop_over_their_draws(table, size, dim):
    """The tuples drawn with the same state of torch, in a slow loop; the width and not the batch says how likely."""
    table = {**table, "mining": "distance_weighted"}
    labels = LABELS.repeat(size // len(LABELS))
    values = torch.randn(size, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    given, slow = values.clone().requires_grad_(), values.clone().requires_grad_()
    form, margins = table.get("form"), (table.get("margin1", 0.4), table.get("margin2") or table.get("margin1"))
    torch.manual_seed(11)
    value, active = make_loss(table, dim, 4, seed=0)(given, labels)
    torch.manual_seed(11)
    distances, plain = slow_distances(slow)
    draws = Distribution(torch.tensor(plain), labels, dim)
    (anchors, positives), negatives, drawn = draw_negatives(draws, labels)
    within = list(zip(anchors.tolist(), positives.tolist(), strict=True))

    def mean_cost(between, there, margin):
        tuples = [
            one
            for one, exists in zip(zip(within, between, strict=True), there.tolist(), strict=True)
            if exists and plain[one[1][0]][one[1][1]] < plain[one[0][0]][one[0][1]] + margin
        ]
        return slow_tuples.mean_cost(distances, tuples, margin), len(tuples) / len(within)

    expected, share = mean_cost(list(zip(anchors.tolist(), negatives.tolist(), strict=True)), drawn, margins[0])
    if form:
        rows, without = (negatives, anchors) if form == "paper" else (anchors, negatives)
        others, third = draws.draw(rows, without)
        between = list(zip(rows.tolist(), others.tolist(), strict=True))
        expected = expected + mean_cost(between, drawn & third, margins[1])[0]
    assert float(active) == pytest.approx(share)
    compare(value, expected, given, slow)


@pytest.mark.parametrize("labels", [[0] * 4, [0, 1, 2, 3], [0]])
@pytest.mark.parametrize("rule", [*sorted(RULES), "distance_weighted"])
@pytest.mark.parametrize("table", TUPLE_LOSSES, ids=IDS)
def test_no_tuples_is_zero_with_a_gradient(table, rule, labels):
    given = torch.ones(len(labels), 3, requires_grad=True)
    value, active = make_loss({**table, "mining": rule}, 3, 4, seed=0)(given, torch.tensor(labels))
    value.backward()
    assert float(value.detach()) == float(active) == 0
    assert torch.equal(given.grad, torch.zeros(len(labels), 3))


@pytest.mark.parametrize("rule", [*sorted(RULES), "distance_weighted"])
@pytest.mark.parametrize("table", TUPLE_LOSSES, ids=IDS)
def test_broken_features_give_no_number(table, rule):
    """Training stops on a loss that is not finite, so it must not turn into a number, nor break a miner."""
    given = features("random").detach()
    given[2, 1], given[5] = math.nan, math.inf
    value, _ = make_loss({**table, "mining": rule}, 6, 4, seed=0)(given, LABELS)
    assert math.isnan(float(value))


def test_the_quadruplet_term_sees_what_triplets_leave():
    """A class that is wide, and two others near each other: every triplet is in order, a quadruplet is not."""
    angles = torch.tensor([0.0, 0.9, 2.6, 2.6, 3.4, 3.4])
    features, labels = torch.stack([angles.cos(), angles.sin()], dim=1), torch.tensor([0, 0, 1, 1, 2, 2])
    table = {"name": "quadruplet", "margin1": 0.05, "margin2": 0.025, "mining": "all"}
    triplet, _ = make_loss({"name": "triplet", "margin": 0.05, "mining": "all"}, 2, 3, seed=0)(features, labels)
    text, _ = make_loss({**table, "form": "text", "margin2": None}, 2, 3, seed=0)(features, labels)
    paper, _ = make_loss({**table, "form": "paper"}, 2, 3, seed=0)(features, labels)
    assert float(triplet) == float(text) == 0
    assert float(paper) == pytest.approx(0.025 + (2 - 2 * math.cos(0.9)) - (2 - 2 * math.cos(0.8)), abs=1e-5)


@pytest.mark.parametrize("table", [{"name": "softmax"}, L2_SOFTMAX, *({**t, "mining": "all"} for t in TUPLE_LOSSES)])
def test_zero_features_have_finite_gradients(table):
    given = torch.zeros(8, 6)
    given[:3] = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    given.requires_grad_()
    value, _ = make_loss(table, 6, 4, seed=0)(given, LABELS)
    value.backward()
    assert bool(torch.isfinite(given.grad).all())


def test_l2_softmax_does_not_see_the_norm():
    loss = make_loss(L2_SOFTMAX, 6, 4, seed=0).double()
    torch.testing.assert_close(loss(features("random"), LABELS)[0], loss(features("random") * 50, LABELS)[0])


def test_alpha_is_a_parameter_only_when_learned():
    fixed = make_loss(L2_SOFTMAX, 6, 4, seed=0)
    learned = make_loss({**L2_SOFTMAX, "learn_alpha": True}, 6, 4, seed=0)
    assert {name for name, _ in learned.named_parameters()} - {name for name, _ in fixed.named_parameters()} == {
        "alpha"
    }
    assert "alpha" in fixed.state_dict()


def test_seed_alone_decides():
    torch.manual_seed(1)
    first = make_loss({"name": "softmax"}, 6, 4, seed=2).classifier.weight
    torch.manual_seed(8)
    assert torch.equal(first, make_loss({"name": "softmax"}, 6, 4, seed=2).classifier.weight)


def test_too_few_classes():
    with pytest.raises(EmbedderError, match="at least 2 classes"):
        make_loss({"name": "softmax"}, 6, 1, seed=0)
    with pytest.raises(EmbedderError, match="compares three classes, the fit images have 2"):
        make_loss({**TUPLE_LOSSES[1], "mining": "all"}, 6, 2, seed=0)
    with pytest.raises(EmbedderError, match="three classes"):
        make_loss({**TUPLE_LOSSES[2], "mining": "all"}, 6, 2, seed=0)


def test_alpha_bound():
    assert alpha_lower_bound(10) == pytest.approx(4.28, abs=0.005)
    assert alpha_lower_bound(1000) == pytest.approx(9.10, abs=0.005)
    assert alpha_lower_bound(2) == pytest.approx(math.log(9) / 2)
    assert alpha_warning(16, 10) is None
    assert "9.10" in (alpha_warning(8, 1000) or "")
    with pytest.raises(ValueError, match="at least 2 classes"):
        alpha_lower_bound(1)
