"""Maps of the inner stages of real networks, exported as a build exports them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from simsearch.embedder.bundle.export import export_onnx
from simsearch.embedder.bundle.inner import inner_maps
from simsearch.embedder.bundle.inner_network import InnerNetwork
from simsearch.embedder.networks.embedder import build_embedder
from simsearch.errors import EmbedderError

pytestmark = pytest.mark.slow


def exported(name, tmp_path):
    """(network, bundle) of a family of torchvision, its weights drawn."""
    torch.manual_seed(0)
    model = build_embedder(f"torchvision:{name}", None).eval()
    export_onnx(model, tmp_path / "bundle.onnx")
    return model.backbone, (tmp_path / "bundle.onnx").read_bytes()


def noise():
    return np.random.default_rng(1).normal(0, 1, (2, 3, 64, 96)).astype(np.float32)


def test_mobilenet_v2(tmp_path):
    trunk, bundle = exported("mobilenet_v2", tmp_path)
    for stride, block in ((4, 3), (8, 6), (16, 13), (32, 16)):
        with torch.no_grad():
            wanted = trunk.features[: block + 1](torch.from_numpy(noise())).numpy()
        model = inner_maps(bundle, [stride])
        found = InnerNetwork(model, threads=1).maps(noise())[stride]
        assert found == pytest.approx(wanted, abs=1e-4 * float(np.abs(wanted).max())), stride
        assert [entry.name for entry in onnx.load_model_from_string(model).graph.output] == [f"map_{stride}"]


def test_resnet(tmp_path):
    trunk, bundle = exported("resnet18", tmp_path)
    with torch.no_grad():
        below = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(torch.from_numpy(noise())))))
        wanted = trunk.layer3(trunk.layer2(trunk.layer1(below))).numpy()
    found = InnerNetwork(inner_maps(bundle, [16]), threads=1).maps(noise())[16]
    assert found == pytest.approx(wanted, abs=1e-4 * float(np.abs(wanted).max()))


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("mobilenet_v3_small", {8: 24, 16: 48, 32: 96}),
        ("efficientnet_b0", {8: 40, 16: 112, 32: 192}),
        ("convnext_tiny", {8: 192, 16: 384, 32: 768}),
    ],
)
def test_other_convolutional_networks(tmp_path, name, widths):
    network = InnerNetwork(inner_maps(exported(name, tmp_path)[1], list(widths)), threads=1)
    assert network.widths == widths
    assert {stride: one.shape[2:] for stride, one in network.maps(noise()).items()} == {
        stride: (64 // stride, 96 // stride) for stride in widths
    }


def test_a_transformer_is_refused(tmp_path):
    with pytest.raises(EmbedderError, match="no map at stride 32: it attends to tokens"):
        inner_maps(exported("vit_b_32", tmp_path)[1], [32])
