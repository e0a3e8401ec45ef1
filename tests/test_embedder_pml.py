"""pml:NAME: wired with a small package in place of pytorch-metric-learning, and with the real one where it is there."""

import importlib.util
import sys
import types

import pytest
import torch
from torch import nn

from simsearch.embedder.losses.losses import Triplet, make_loss
from simsearch.embedder.losses.mining import unit
from simsearch.embedder.losses.pml import make_pml_loss
from simsearch.errors import EmbedderError

needs_real = pytest.mark.skipif(
    importlib.util.find_spec("pytorch_metric_learning") is None, reason="pytorch-metric-learning is not installed"
)


class BaseMetricLossFunction(nn.Module):
    def __init__(self, reducer=None):
        super().__init__()
        self.reducer = reducer


class PullLoss(BaseMetricLossFunction):
    """Squared distances to proxies; remembers what it was given."""

    def __init__(self, num_classes, embedding_size, margin=0.5, **kwargs):
        super().__init__(**kwargs)
        if margin < 0:
            raise ValueError("margin must not be negative\nand more lines")
        self.proxies = nn.Parameter(torch.randn(num_classes, embedding_size))
        self.margin = margin

    def forward(self, embeddings, labels):
        self.seen = embeddings
        return ((embeddings - self.proxies[labels]) ** 2).sum(dim=1).mean() + self.margin


class SpreadLoss(PullLoss):
    """Hands everything on, as SubCenterArcFaceLoss does."""

    def __init__(self, *args, sub_centers=3, **kwargs):
        super().__init__(*args, **kwargs)


class PlainLoss(BaseMetricLossFunction):
    def __init__(self, num_classes=None):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, embeddings, labels):
        return embeddings.sum() * 0


class TwoViewsLoss(BaseMetricLossFunction):
    def forward(self, embeddings, labels, ref_emb=None):
        raise ValueError("ref_emb cannot be None")


class RowsLoss(BaseMetricLossFunction):
    def forward(self, embeddings, labels):
        return embeddings.sum(dim=1)


class WrapperLoss(nn.Module):
    def __init__(self, loss):
        super().__init__()


@pytest.fixture
def fake(monkeypatch):
    package, losses = types.ModuleType("pytorch_metric_learning"), types.ModuleType("pytorch_metric_learning.losses")
    for kind in (BaseMetricLossFunction, PullLoss, SpreadLoss, PlainLoss, TwoViewsLoss, RowsLoss, WrapperLoss):
        setattr(losses, kind.__name__, kind)
    package.losses = losses
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", package)
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", losses)


def table(name, **options):
    return {"name": f"pml:{name}", "options": options, "classes_per_batch": None, "images_per_class": 4}


@pytest.mark.usefixtures("fake")
def test_width_and_classes_are_filled_in_and_embeddings_are_units():
    loss = make_loss(table("PullLoss"), 6, 4, seed=0)
    assert [(name, tuple(p.shape)) for name, p in loss.named_parameters()] == [("loss.proxies", (4, 6))]
    features, labels = torch.randn(5, 6, requires_grad=True), torch.tensor([0, 1, 2, 3, 0])
    value, active = loss(features, labels)
    value.backward()
    assert active is None
    torch.testing.assert_close(loss.loss.seen, unit(features))
    assert bool(features.grad.any())
    assert bool(loss.loss.proxies.grad.any())


@pytest.mark.usefixtures("fake")
def test_options_go_to_the_constructor():
    assert make_pml_loss("PullLoss", {"margin": 2.0}, 6, 4).loss.margin == 2
    assert make_pml_loss("SpreadLoss", {"sub_centers": 2, "num_classes": 9}, 6, 4).loss.proxies.shape == (9, 6)
    assert make_pml_loss("PlainLoss", {}, 6, 4).loss.num_classes is None  # a default is no question


@pytest.mark.usefixtures("fake")
def test_the_seed_alone_decides():
    torch.manual_seed(1)
    first = make_loss(table("PullLoss"), 6, 4, seed=2).loss.proxies
    torch.manual_seed(2)
    assert torch.equal(first, make_loss(table("PullLoss"), 6, 4, seed=2).loss.proxies)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("name", "options", "said", "hint"),
    [
        ("PulLoss", {}, "has no loss 'PulLoss'", "did you mean PullLoss"),
        ("Xyzzy", {}, "has no loss 'Xyzzy'", "https://"),
        ("WrapperLoss", {}, "embeddings and labels alone: it is a part of losses, or wraps", "another loss"),
        ("TwoViewsLoss", {}, "embeddings and labels alone: ValueError: ref_emb cannot be None", "another loss"),
        ("RowsLoss", {}, r"expected a scalar, seen \(4,\)", "another loss"),
        ("PullLoss", {"margin": -1.0}, "refuses its options.*: ValueError: margin must not be negative$", "margin"),
        ("PullLoss", {"margim": 1.0}, "refuses its options", "embedding_size, margin, num_classes, reducer"),
        ("SpreadLoss", {"margin": "big"}, "refuses its options", "margin, num_classes, reducer, sub_centers"),
        ("PlainLoss", {"margin": 1.0}, "refuses its options", ": num_classes"),
    ],
)
def test_what_cannot_be_used(name, options, said, hint):
    with pytest.raises(EmbedderError, match=said) as caught:
        make_loss(table(name, **options), 6, 4, seed=0)
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    monkeypatch.delitem(sys.modules, "pytorch_metric_learning.losses", raising=False)
    with pytest.raises(EmbedderError, match="pml:ContrastiveLoss needs the package pytorch-metric-learning") as caught:
        make_loss(table("ContrastiveLoss"), 6, 4, seed=0)
    assert caught.value.hint == "pip install 'simsearch[pml]'"


@needs_real
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ContrastiveLoss", {"neg_margin": 0.5}),
        ("TripletMarginLoss", {"margin": 0.2}),
        ("MultiSimilarityLoss", {"alpha": 2, "beta": 50}),
        ("SupConLoss", {}),
        ("NTXentLoss", {"temperature": 0.1}),
        ("MarginLoss", {"learn_beta": True}),
        ("ProxyNCALoss", {}),
        ("ProxyAnchorLoss", {"margin": 0.2}),
        ("ArcFaceLoss", {"margin": 28.6, "scale": 16}),
        ("SubCenterArcFaceLoss", {"sub_centers": 2}),
        ("SoftTripleLoss", {"centers_per_class": 2}),
        ("P2SGradLoss", {}),
    ],
)
def test_real_losses_train(name, options):
    """Each learns to tell four clusters apart a little better, its own parameters with it."""
    torch.manual_seed(0)
    labels = torch.arange(24) % 4
    images = torch.randn(24, 8) + nn.functional.one_hot(labels, 8)
    model, loss = nn.Linear(8, 6), make_loss(table(name, **options), 6, 4, seed=0)
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], lr=0.02)
    values = []
    for _ in range(40):
        value, active = loss(model(images), labels)
        assert active is None
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < values[0]
    assert all(p.grad is not None for p in loss.parameters())


@needs_real
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("ContrastivLoss", {}, "no loss 'ContrastivLoss'"),
        ("CrossBatchMemory", {}, "embeddings and labels alone"),
        ("MultipleLosses", {}, "embeddings and labels alone"),
        ("VICRegLoss", {}, "embeddings and labels alone"),
        ("ContrastiveLoss", {"margin": 1.0}, "refuses its options"),
        ("TripletMarginLoss", {"margin": "big"}, "embeddings and labels alone"),
    ],
)
def test_what_the_real_package_refuses(name, options, said):
    with pytest.raises(EmbedderError, match=said):
        make_loss(table(name, **options), 6, 4, seed=0)


@needs_real
@pytest.mark.parametrize(("rule", "named"), [("semi_hard_all", "semihard"), ("hard", "hard"), ("all", "all")])
def test_ours_is_the_loss_of_pytorch_metric_learning(rule, named):
    """Value and gradient of the miner with the same rule, within 1e-5."""
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import TripletMarginMiner

    torch.manual_seed(0)
    labels = torch.arange(90) % 7
    given = (torch.randn(90, 16) + 2 * nn.functional.one_hot(labels, 16)).requires_grad_()
    miner = TripletMarginMiner(margin=0.2, type_of_triplets=named, distance=LpDistance(power=2))
    theirs = TripletMarginLoss(margin=0.2, distance=LpDistance(power=2))
    expected = theirs(given, labels, miner(given, labels))
    (gradient,) = torch.autograd.grad(expected, given)
    value, _ = Triplet(0.2, rule)(given, labels)
    value.backward()
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(given.grad, gradient, rtol=0, atol=1e-5)
