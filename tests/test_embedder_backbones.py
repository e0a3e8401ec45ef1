"""Embedders of all families: shapes, seeds, and heads."""

import pytest
import torch
from torch import nn

from simsearch.embedder.networks.embedder import build_embedder
from simsearch.errors import EmbedderError

SMALL = ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny"]


@pytest.mark.parametrize("name", SMALL)
def test_families_give_features_at_a_small_size(name):
    embedder = build_embedder(f"torchvision:{name}", 5).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        trunk = embedder.backbone(images)
        features = embedder(images)
    assert trunk.shape == (2, embedder.width)
    assert features.shape == (2, 5)
    torch.testing.assert_close(features, embedder.head(trunk))


def test_vision_transformer_is_built_for_its_size():
    embedder = build_embedder("torchvision:vit_b_32", None, size=64).eval()
    with torch.no_grad():
        assert embedder(torch.randn(1, 3, 64, 64)).shape == (1, 768)
    with pytest.raises(EmbedderError, match="65 px"):
        build_embedder("torchvision:vit_b_32", None, size=65)


@pytest.mark.parametrize(("size", "width"), [(28, 9216), (32, 12544), (29, 9216), (6, 64)])
def test_mnist_cnn_at_other_sizes(size, width):
    embedder = build_embedder("mnist_cnn", 3, size=size).eval()
    assert embedder.width == width
    with torch.no_grad():
        assert embedder(torch.randn(2, 1, size, size)).shape == (2, 3)


def test_mnist_cnn_too_small():
    with pytest.raises(EmbedderError, match="5 px"):
        build_embedder("mnist_cnn", 3, size=5)


@pytest.mark.parametrize(("size", "width"), [(28, 64), (32, 256), (105, 2304), (16, 64)])
def test_conv4_at_several_sizes(size, width):
    embedder = build_embedder("conv4", 3, size=size).eval()
    assert embedder.width == width
    with torch.no_grad():
        assert embedder(torch.randn(2, 1, size, size)).shape == (2, 3)
    with pytest.raises(EmbedderError, match="15 px"):
        build_embedder("conv4", 3, size=15)


def test_without_a_head_the_feature_is_the_backbones():
    embedder = build_embedder("mnist_cnn", None)
    assert isinstance(embedder.head, nn.Identity)
    assert embedder.dim == 9216


def test_seed_alone_decides_and_the_callers_random_state_stays():
    torch.manual_seed(1)
    first = build_embedder("mnist_cnn", 8, seed=3).state_dict()
    torch.rand(5)
    before = torch.get_rng_state()
    second = build_embedder("mnist_cnn", 8, seed=3).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    other = build_embedder("mnist_cnn", 8, seed=4).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
