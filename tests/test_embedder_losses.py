"""Each loss against a slow Python loop in float64, gradients included."""

import math

import pytest
import torch

from simsearch.embedder.losses import alpha_lower_bound, alpha_warning, make_loss
from simsearch.errors import EmbedderError

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])  # class 3 has one image


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


def slow_triplet(rows, labels, margin):
    unit = [unit_slow(row) for row in rows]
    distance = [[((a - b) ** 2).sum() for b in unit] for a in unit]
    plain = [[float(value.detach()) for value in row] for row in distance]
    terms, pairs = [], 0
    for a in range(len(rows)):
        for p in range(len(rows)):
            if a == p or labels[a] != labels[p]:
                continue
            pairs += 1
            farther = [
                (plain[a][n], n)
                for n in range(len(rows))
                if labels[n] != labels[a] and plain[a][n] > plain[a][p] + 1e-12
            ]
            if farther and min(farther)[0] < plain[a][p] + margin:
                terms.append(distance[a][p] - distance[a][min(farther)[1]] + margin)
    return (sum(terms) / len(terms) if terms else (rows * 0).sum()), len(terms) / pairs


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
    "table", [{"name": "softmax"}, {"name": "l2_softmax"}, {"name": "l2_softmax", "alpha": 4.0, "learn_alpha": True}]
)
def test_classifiers_are_the_slow_loop(case, table):
    loss = make_loss(table, 6, 4, seed=0).double()
    given, slow = features(case), features(case)
    value, active = loss(given, LABELS)
    assert active is None
    rows = list(slow) if table["name"] == "softmax" else [unit_slow(row) * loss.alpha for row in slow]
    compare(value, slow_cross_entropy(loss, rows, LABELS), given, slow, list(loss.parameters()))


@pytest.mark.parametrize("margin", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("case", ["random", "near"])
def test_triplet_is_the_slow_loop(case, margin):
    loss = make_loss({"name": "triplet", "margin": margin}, 6, 4, seed=0)
    given, slow = features(case), features(case)
    value, active = loss(given, LABELS)
    expected, share = slow_triplet(slow, LABELS, margin)
    assert float(active) == pytest.approx(share)
    compare(value, expected, given, slow)


def test_triplet_with_duplicates():
    """Equal distances: either negative may be taken, the loss is the same."""
    loss = make_loss({"name": "triplet", "margin": 1.0}, 6, 4, seed=0)
    expected, share = slow_triplet(features("duplicates"), LABELS, 1.0)
    value, active = loss(features("duplicates"), LABELS)
    assert float(active) == pytest.approx(share)
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("labels", [[0] * 4, [0, 1, 2, 3], [0, 0, 1, 1]])
def test_triplet_without_tuples_is_zero_with_gradient(labels):
    given = torch.ones(4, 3, requires_grad=True)
    value, active = make_loss({"name": "triplet"}, 3, 4, seed=0)(given, torch.tensor(labels))
    value.backward()
    assert float(value.detach()) == float(active) == 0
    assert torch.equal(given.grad, torch.zeros(4, 3))


@pytest.mark.parametrize("name", ["softmax", "l2_softmax", "triplet"])
def test_zero_features_have_finite_gradients(name):
    given = torch.zeros(8, 6)
    given[:3] = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    given.requires_grad_()
    value, _ = make_loss({"name": name}, 6, 4, seed=0)(given, LABELS)
    value.backward()
    assert bool(torch.isfinite(given.grad).all())


def test_l2_softmax_does_not_see_the_norm():
    loss = make_loss({"name": "l2_softmax"}, 6, 4, seed=0).double()
    torch.testing.assert_close(loss(features("random"), LABELS)[0], loss(features("random") * 50, LABELS)[0])


def test_alpha_is_a_parameter_only_when_learned():
    fixed = make_loss({"name": "l2_softmax"}, 6, 4, seed=0)
    learned = make_loss({"name": "l2_softmax", "learn_alpha": True}, 6, 4, seed=0)
    assert {name for name, _ in learned.named_parameters()} - {name for name, _ in fixed.named_parameters()} == {
        "alpha"
    }
    assert "alpha" in fixed.state_dict()


def test_seed_alone_decides():
    torch.manual_seed(1)
    first = make_loss({"name": "softmax"}, 6, 4, seed=2).classifier.weight
    torch.manual_seed(8)
    assert torch.equal(first, make_loss({"name": "softmax"}, 6, 4, seed=2).classifier.weight)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "arcface"}, "unknown loss 'arcface'"),
        ({"name": "softmax", "alpha": 16.0}, "softmax has no key alpha"),
        ({"name": "l2_softmax", "margin": 0.2}, "l2_softmax has no key margin"),
        ({"name": "triplet", "margin": 0.0}, "loss.margin = 0.0"),
        ({"name": "l2_softmax", "alpha": -1.0}, "loss.alpha = -1.0"),
        ({"name": "triplet", "mining": "lazy"}, "unknown loss.mining 'lazy'"),
    ],
)
def test_wrong_settings(table, said):
    with pytest.raises(EmbedderError, match=said):
        make_loss(table, 6, 4, seed=0)


def test_one_class():
    with pytest.raises(EmbedderError, match="at least 2 classes"):
        make_loss({"name": "softmax"}, 6, 1, seed=0)


def test_alpha_bound():
    assert alpha_lower_bound(10) == pytest.approx(4.28, abs=0.005)
    assert alpha_lower_bound(1000) == pytest.approx(9.10, abs=0.005)
    assert alpha_lower_bound(2) == pytest.approx(math.log(9) / 2)
    assert alpha_warning(16, 10) is None
    assert "9.10" in (alpha_warning(8, 1000) or "")
    with pytest.raises(ValueError, match="at least 2 classes"):
        alpha_lower_bound(1)
