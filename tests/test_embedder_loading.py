"""Weights that fit are loaded, others are refused by the first keys that differ."""

import os
import socket
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import models

from simsearch.embedder.networks.embedder import build_embedder
from simsearch.embedder.networks.weights import read_metadata, weights_preprocessing
from simsearch.errors import EmbedderError

RESNET = "torchvision:resnet18"


@pytest.fixture(scope="module")
def original():
    torch.manual_seed(9)
    return models.resnet18(weights=None).state_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
@pytest.mark.parametrize("classifier", [True, False])
def test_a_file_is_loaded_with_and_without_its_classifier(tmp_path, original, suffix, classifier):
    tensors = {key: value for key, value in original.items() if classifier or not key.startswith("fc.")}
    if not classifier:
        tensors = {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"state_dict": tensors} if suffix == ".pt" else tensors, path)
    embedder = build_embedder(RESNET, 4, weights=path)
    assert torch.equal(embedder.backbone.layer4[1].conv2.weight, original["layer4.1.conv2.weight"])
    assert torch.equal(embedder.head.weight, build_embedder(RESNET, 4).head.weight)


def test_our_own_weights_are_loaded_with_their_head(tmp_path):
    trained = build_embedder("mnist_cnn", 4, seed=7)
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    again = build_embedder("mnist_cnn", 4, weights=tmp_path / "weights.safetensors")
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in trained.state_dict().items())
    assert build_embedder("mnist_cnn", None, weights=tmp_path / "weights.safetensors").dim == 9216
    with pytest.raises(EmbedderError, match=r"head.weight expected \(5, 9216\), seen \(4, 9216\)"):
        build_embedder("mnist_cnn", 5, weights=tmp_path / "weights.safetensors")


def test_another_architecture_names_the_first_keys(tmp_path, original):
    torch.save(original, tmp_path / "resnet18.pth")
    with pytest.raises(EmbedderError, match=r"features.0.0.weight expected \(32, 3, 3, 3\), missing.* more"):
        build_embedder("torchvision:mobilenet_v2", None, weights=tmp_path / "resnet18.pth")
    with pytest.raises(EmbedderError, match=r"layer1.0.conv1.weight expected \(64, 64, 1, 1\), seen \(64, 64, 3, 3\)"):
        build_embedder("torchvision:resnet50", None, weights=tmp_path / "resnet18.pth")


def test_unexpected_keys_are_refused(tmp_path, original):
    save_file({**original, "extra.weight": torch.zeros(2)}, tmp_path / "more.safetensors")
    with pytest.raises(EmbedderError, match=r"extra.weight not expected, seen \(2,\)"):
        build_embedder(RESNET, None, weights=tmp_path / "more.safetensors")


def test_the_layer_norm_of_convnext_is_not_a_classifier(tmp_path):
    tensors = models.convnext_tiny(weights=None).state_dict()
    build = {key: value for key, value in tensors.items() if key != "classifier.0.weight"}
    save_file(build, tmp_path / "convnext.safetensors")
    with pytest.raises(EmbedderError, match=r"classifier.0.weight expected \(768,\), missing"):
        build_embedder("torchvision:convnext_tiny", None, weights=tmp_path / "convnext.safetensors")


class Evil:
    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "b.pth", "c.pth", "missing.pth", "a.bin"])
def test_unreadable_files_are_one_line(tmp_path, name):
    (tmp_path / "a.pth").write_bytes(b"not weights at all")
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 100)
    torch.save({"x": Evil()}, tmp_path / "b.pth")
    torch.save([1, 2], tmp_path / "c.pth")
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(EmbedderError, match=name) as caught:
        build_embedder("mnist_cnn", 4, weights=tmp_path / name)
    assert "\n" not in caught.value.message


def test_what_torch_warns_of_in_a_file_is_not_printed(tmp_path):
    path = tmp_path / "x.pth"
    torch.save(build_embedder("mnist_cnn", 4).state_dict(), path, _use_new_zipfile_serialization=False)
    path.write_bytes(b"\x80\x05" + path.read_bytes()[2:])  # another version of pickle than torch writes
    with pytest.warns(UserWarning, match="pickle protocol 5"):
        torch.load(path, weights_only=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        build_embedder("mnist_cnn", 4, weights=path)
    assert seen == []


def test_no_network_names_the_file_and_what_helps(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def refuse(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(EmbedderError, match=r"resnet18-f37072fd.pth \(45 MB\)") as caught:
        build_embedder(RESNET, None, weights="default")
    assert "\n" not in caught.value.message
    assert "embedder.weights=FILE" in caught.value.hint
    assert "embedder.weights=none" in caught.value.hint


def test_default_weights_come_from_torch_home(tmp_path, monkeypatch, original):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(original, tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth")
    embedder = build_embedder(RESNET, None, weights="default")
    assert torch.equal(embedder.backbone.conv1.weight, original["conv1.weight"])


def test_mnist_cnn_has_no_default_weights():
    with pytest.raises(EmbedderError, match="no default weights"):
        build_embedder("mnist_cnn", 4, weights="default")


def test_preprocessing_of_default_weights_is_torchvisions():
    for name in ("resnet50", "efficientnet_v2_l", "efficientnet_b3", "vit_h_14"):
        transforms = models.get_model_weights(name).DEFAULT.transforms()
        known = weights_preprocessing("default", f"torchvision:{name}")
        assert known == {"mean": transforms.mean, "std": transforms.std, "size": transforms.crop_size[0]}
    assert weights_preprocessing("none", RESNET) == {}
    assert weights_preprocessing("default", "mnist_cnn") == {}
    assert weights_preprocessing(Path("x.pth"), RESNET) == {}


def test_metadata_of_a_file(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={"mean": "[0.5, 0.4, 0.3]", "backbone": RESNET})
    assert read_metadata(path)["backbone"] == RESNET
    assert weights_preprocessing(path, RESNET) == {"mean": [0.5, 0.4, 0.3]}
    with pytest.raises(EmbedderError, match="belong to backbone torchvision:resnet18, not to torchvision:resnet34"):
        weights_preprocessing(path, "torchvision:resnet34")
    with pytest.raises(EmbedderError, match="belong to backbone"):
        build_embedder("torchvision:resnet34", None, weights=path)
    save_file({"x": torch.zeros(1)}, path)
    assert weights_preprocessing(path, RESNET) == {}


@pytest.mark.parametrize("metadata", [{"mean": "[0.5]"}, {"std": "half"}, {"size": "0"}])
def test_damaged_metadata(tmp_path, metadata):
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors", metadata=metadata)
    with pytest.raises(EmbedderError, match="metadata about preprocessing are damaged"):
        weights_preprocessing(tmp_path / "w.safetensors", RESNET)


def test_the_shared_mobilenet():
    path = Path(os.environ.get("SIMSEARCH_TEST_DATA", "/nowhere")) / ".." / "weights" / "mobilenet_v2.safetensors"
    if not path.is_file():
        pytest.skip("SIMSEARCH_TEST_DATA does not lead to weights/mobilenet_v2.safetensors")
    name = "torchvision:mobilenet_v2"
    assert weights_preprocessing(path, name) == {"mean": [0.5] * 3, "std": [0.5] * 3, "size": 224}
    embedder = build_embedder(name, None, weights=path).eval()
    given = load_file(path)
    assert torch.equal(embedder.backbone.features[0][0].weight, given["features.0.0.weight"])
    with torch.no_grad():
        assert embedder(torch.zeros(1, 3, 64, 64)).shape == (1, 1280)
