"""Saved weights: the same bytes for the same weights, and a file that training can start from."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from simsearch.embedder.losses.losses import make_loss
from simsearch.embedder.networks.embedder import build_embedder
from simsearch.embedder.networks.saving import save_loss, save_weights, start_from_head
from simsearch.embedder.networks.weights import weights_preprocessing
from simsearch.embedder.training.extract import extract
from simsearch.errors import EmbedderError


def test_saved_weights_come_back_with_their_preprocessing(tmp_path):
    model = build_embedder("mnist_cnn", 8, seed=3)
    paths = [tmp_path / f"{i}.safetensors" for i in range(5)]
    for path in paths:
        save_weights(model, path, mean=[0.25], std=[0.5])
    assert len({path.read_bytes() for path in paths}) == 1
    assert weights_preprocessing(paths[0], "mnist_cnn") == {"mean": [0.25], "std": [0.5], "size": 28}
    with safe_open(paths[0], framework="pt") as file:
        assert set(file.keys()) == set(model.state_dict())
    again = build_embedder("mnist_cnn", 8, weights=paths[0], seed=9)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_extract_gives_the_models_features_in_eval_mode():
    model = build_embedder("mnist_cnn", 8)
    model.train()
    images = torch.randn(300, 1, 28, 28)
    found = extract(model, lambda rows: images[torch.as_tensor(rows)], torch.arange(300).numpy(), None)
    assert model.training
    model.eval()
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(found), model(images), atol=1e-5)


def test_a_trained_head_and_its_classifier_are_a_start(tmp_path):
    table = {"name": "l2_softmax", "alpha": 9.0, "learn_alpha": True}
    head, loss = build_embedder("mnist_cnn", 8, seed=3), make_loss(table, 8, 4, seed=3)
    save_weights(head, tmp_path / "w.safetensors", mean=[0.5], std=[0.5])
    save_loss(loss, tmp_path / "loss.safetensors")
    model, fresh = build_embedder("mnist_cnn", 8, seed=4), make_loss({**table, "alpha": 1.0}, 8, 4, seed=4)
    backbone = model.backbone.conv1.weight.clone()
    start_from_head(model, fresh, tmp_path / "w.safetensors", tmp_path / "loss.safetensors")
    assert torch.equal(model.head.weight, head.head.weight)
    assert torch.equal(fresh.classifier.weight, loss.classifier.weight)
    assert fresh.alpha.item() == 9
    assert torch.equal(model.backbone.conv1.weight, backbone)
    for other, classes in ((build_embedder("mnist_cnn", 9), 4), (build_embedder("mnist_cnn", 8), 5)):
        with pytest.raises(EmbedderError, match="does not fit"):
            start_from_head(
                other,
                make_loss(table, other.dim, classes, seed=0),
                tmp_path / "w.safetensors",
                tmp_path / "loss.safetensors",
            )
