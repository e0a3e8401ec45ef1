"""Saved weights: the same bytes for the same weights, and a file that training can start from."""

from __future__ import annotations

import torch
from safetensors import safe_open

from simsearch.embedder.backbones import build_embedder
from simsearch.embedder.extract import extract
from simsearch.embedder.saving import save_weights
from simsearch.embedder.weights import weights_preprocessing


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
