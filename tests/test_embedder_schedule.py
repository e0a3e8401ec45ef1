"""Learning rates: the two curves, and which parameters learn at which rate."""

from __future__ import annotations

import pytest

from simsearch.embedder.losses.losses import make_loss
from simsearch.embedder.networks.embedder import build_embedder
from simsearch.embedder.training.schedule import Rates, late_decay, make_optimizer, one_cycle


def test_late_decay():
    shares = [late_decay(step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(0.2)
    assert shares[4] == shares[30] == shares[49] == 1
    assert shares[80:] == sorted(shares[80:], reverse=True)
    assert 0 < shares[-1] < 0.1
    assert late_decay(0, 1) == 1


def test_one_cycle():
    shares = [one_cycle(step, 100) for step in range(100)]
    assert 0.04 <= shares[0] < 0.05
    assert shares[29] == max(shares) == 1
    assert shares[:30] == sorted(shares[:30])
    assert shares[29:] == sorted(shares[29:], reverse=True)
    assert 0 < shares[-1] < 0.01
    assert one_cycle(0, 1) == 1


def test_backbone_and_head_have_rates_of_their_own():
    model = build_embedder("mnist_cnn", 8)
    loss = make_loss({"name": "softmax"}, 8, 4, seed=0)
    groups = make_optimizer(model, loss, Rates(1e-4, 2e-3, 0.1)).param_groups
    peaks = {id(p): (group["peak"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert peaks[id(model.backbone.conv1.weight)] == (1e-4, 0.1)
    assert peaks[id(model.backbone.conv1.bias)] == (1e-4, 0)
    assert peaks[id(model.head.weight)] == (2e-3, 0.1)
    assert peaks[id(loss.classifier.bias)] == (2e-3, 0)
    assert len(peaks) == len([*model.parameters(), *loss.parameters()])


def test_a_head_alone_and_a_rate_for_all():
    model = build_embedder("mnist_cnn", 8)
    loss = make_loss({"name": "softmax"}, 8, 4, seed=0)
    assert {g["peak"] for g in make_optimizer(model.head, loss, Rates(1e-4, 2e-3)).param_groups} == {2e-3}
    assert {g["peak"] for g in make_optimizer(model, loss, Rates(1e-4)).param_groups} == {1e-4}
