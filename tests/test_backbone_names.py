"""A backbone's name with a slip: what it was meant to be, by the names and by the files that are there."""

from __future__ import annotations

from contextlib import chdir

import pytest
from conftest import run_cli
from test_hf_names import models  # noqa: F401

from simsearch.embedder.networks import hub
from simsearch.embedder.networks.families import download_described, find_backbone, hf
from simsearch.errors import EmbedderError


@pytest.fixture
def here(tmp_path, models, monkeypatch):  # noqa: F811
    """A folder that is worked in: a model of transformers, an ONNX file, and one in a folder."""
    place = tmp_path / "here"
    (place / "my-model").mkdir(parents=True)
    (place / "my-model" / "config.json").write_text("{}")
    (place / "model.onnx").write_bytes(b"")
    (place / "exported").mkdir()
    (place / "exported" / "net.onnx").write_bytes(b"")
    with chdir(place):
        yield place


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("model.onnx", "onnx:model.onnx"),
        ("./model.onnx", "onnx:./model.onnx"),
        ("onxx:model.onnx", "onnx:model.onnx"),
        ("torchvision:model.onnx", "onnx:model.onnx"),
        ("my-model", "hf:my-model"),
        ("exported", "onnx:exported/net.onnx"),
        ("onnx:my-model", "hf:my-model"),
        ("onnx:exported", "onnx:exported/net.onnx"),
        ("onnx:modle.onnx", "onnx:model.onnx"),
        ("hf:my-modle", "hf:my-model"),
        ("hf:my-modle/", "hf:my-model"),
        ("hf:./my-modle", "hf:./my-model"),
        ("hf:model.onnx", "onnx:model.onnx"),
    ],
)
def test_a_path_that_is_there_is_proposed(name, meant, here):
    with pytest.raises(EmbedderError) as seen:
        find_backbone(name)
    assert seen.value.message.endswith(f"; did you mean {meant!r}?")
    assert seen.value.near == (name, meant)


def test_a_folder_is_called_one(here):
    with pytest.raises(EmbedderError, match=r"^my-model is a folder, and no ONNX file; did you mean 'hf:my-model'"):
        find_backbone("onnx:my-model")
    (here / "my-model" / "config.json").unlink()
    with pytest.raises(EmbedderError, match=r"^my-model is a folder, and no ONNX file$") as seen:
        find_backbone("onnx:my-model")
    assert seen.value.hint == "check the path: --set embedder.backbone=onnx:FILE.onnx"


def test_the_command_is_repeated_with_what_was_meant(here, photos, home):
    done = run_cli("show", photos, "--set", "embedder.backbone=onxx:model.onnx", "--home", home, check=2).stderr
    assert f"hint: simsearch show {photos} --set embedder.backbone=onnx:model.onnx --home {home}\n" in done
    folder = run_cli("show", photos, "--set", "embedder.backbone=onnx:my-model", "--home", home, check=2).stderr
    assert f"hint: --set embedder.backbone=hf:{here / 'my-model'}\n" in folder


@pytest.mark.parametrize("name", ["hf:facebook/my-model", "hf:facebook/modell"])
def test_a_name_with_an_owner_is_no_path(name, here):
    with pytest.raises(EmbedderError) as seen:
        find_backbone(name)
    assert "did you mean" not in seen.value.message


def test_a_hub_without_that_model_proposes_the_folder_too(here, monkeypatch):
    def offers(model):
        raise EmbedderError(f"no model {model.page}", hint="check the name")

    monkeypatch.setattr(hf, "offers", offers)
    page = hub.address("my-modle")
    with pytest.raises(EmbedderError, match=f"^no model {page}; did you mean 'hf:my-model'"):
        download_described("hf:my-modle")


@pytest.mark.parametrize("prefix", ["timm:", "hf:", "onnx:"])
def test_a_prefix_alone(prefix):
    with pytest.raises(EmbedderError, match=f"^{prefix} names no model$") as seen:
        find_backbone(prefix)
    assert seen.value.hint.startswith(f"as --set embedder.backbone={prefix}")
    assert len(seen.value.hint) > len(f"as --set embedder.backbone={prefix}")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("tim:resnet18", "timm:resnet18"), ("resnet18", "torchvision:resnet18"), ("onxx:gone.onnx", "onnx:gone.onnx")],
)
def test_names_are_listed_only_where_none_is_near(name, nearest, tmp_path):
    with chdir(tmp_path), pytest.raises(EmbedderError, match=f"the nearest: {nearest}") as seen:
        find_backbone(name)
    assert seen.value.hint == f"--set embedder.backbone={nearest}"
    with chdir(tmp_path), pytest.raises(EmbedderError, match=r"^unknown backbone 'qqq'$") as far:
        find_backbone("qqq")
    assert "mnist_cnn, conv4, torchvision:resnet18" in far.value.hint
    assert "timm:NAME, hf:NAME or onnx:FILE" in far.value.hint
