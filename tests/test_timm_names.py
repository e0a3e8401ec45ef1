"""timm:NAME without timm: what is remembered of a model, names, extras that are missing, and what is not downloaded."""

from __future__ import annotations

import json
import os
from importlib.metadata import PackageNotFoundError

import pytest
from conftest import run_cli

from simsearch.embedder.networks import hub, kept
from simsearch.embedder.networks.families import find_backbone
from simsearch.embedder.networks.families import timm as family
from simsearch.embedder.networks.family import Feature, Pretrained, Spec, Weights
from simsearch.embedder.networks.weights import offered_weights
from simsearch.errors import EmbedderError
from simsearch.recipe.recipe import make_recipe

NAME = "timm:tiny_vit.in1k"
FACTS = {
    "library": "timm 1.0.31",
    "config": {
        "input_size": [3, 64, 64],
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "crop_mode": "center",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.2],
    },
    "classifiers": ["head."],
    "repo": "timm/tiny_vit.in1k",
    "licence": "mit",
    "bytes": 8_000_000,
    "seconds": 0.01,
    "widths": {"64": 12},
}


@pytest.fixture
def installed(monkeypatch):
    """Say which timm is installed, None for none; nothing is remembered from before."""
    monkeypatch.setattr(kept, "_found", {})

    def say(version):
        def found(library):
            if version is None:
                raise PackageNotFoundError(library)
            return version

        monkeypatch.setattr(hub, "version", found)

    say(None)
    return say


@pytest.fixture
def remembered(installed, tmp_path, monkeypatch):
    """A folder of models in which the facts of `NAME` stand."""
    monkeypatch.setenv(kept.PLACE, str(tmp_path / "models"))
    file = tmp_path / "models" / "facts" / "timm-tiny_vit.in1k.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(FACTS))
    return file


def test_what_is_remembered_needs_no_timm(remembered):
    spec = find_backbone(NAME)
    assert (spec.size, spec.channels, spec.width(64), spec.classifiers) == (64, 3, 12, ("head.",))
    assert spec.own["crop_share"] == 0.9
    assert spec.own["interpolation"] == "bicubic"
    recipe = make_recipe({"dataset": {"source": "folder:x"}, "embedder": {"backbone": NAME}}, "here").resolve()
    assert (recipe.embedder.weights, recipe.embedder.train) == ("default", "head")
    assert (recipe.images.size, recipe.images.resize, recipe.images.mean) == (64, "center_crop", [0.5, 0.4, 0.3])
    assert recipe.images.draft is False
    with pytest.raises(EmbedderError, match="needs timm, which is not installed") as seen:
        spec.width(96)
    assert seen.value.hint == "pip install 'simsearch[timm]'"


def test_an_unknown_model_without_timm(installed, tmp_path, monkeypatch):
    monkeypatch.setenv(kept.PLACE, str(tmp_path))
    with pytest.raises(EmbedderError, match="timm:resnet18 needs timm") as seen:
        find_backbone("timm:resnet18")
    assert seen.value.hint == "pip install 'simsearch[timm]'"


def test_what_another_version_said_is_asked_again(remembered, installed, monkeypatch):
    installed("1.0.31")
    assert family.known(NAME) == FACTS
    installed("9.9")
    assert kept.recalled(NAME, "timm 9.9") is None
    for damage in ("{", "[]", "null"):
        remembered.write_text(damage)
        assert kept.recalled(NAME, None) is None


def test_only_keep_writes(installed, tmp_path, monkeypatch):
    monkeypatch.setenv(kept.PLACE, str(tmp_path / "models"))
    kept.remember(NAME, FACTS)
    assert find_backbone(NAME).width(64) == 12
    assert not list(tmp_path.iterdir())
    kept.keep()
    file = tmp_path / "models" / "facts" / "timm-tiny_vit.in1k.json"
    assert json.loads(file.read_bytes()) == FACTS
    before = file.stat().st_mtime_ns
    kept.keep()
    assert file.stat().st_mtime_ns == before, "what stands there is not written again"


def test_a_feature_cannot_be_chosen(remembered):
    with pytest.raises(EmbedderError, match="has one feature"):
        find_backbone(NAME, Feature(pooling="mean"))


def spec_with(weights):
    return Spec("timm:x", 8, 3, lambda size: 4, None, 1.0, pretrained=Pretrained((0.5,) * 3, (0.5,) * 3, weights))


@pytest.mark.parametrize("name", kept.OFFLINE)
def test_offline_refuses_with_the_place_of_the_file(name, tmp_path, monkeypatch):
    said, fetched = [], []
    place = tmp_path / "x.bin"
    offer = Weights("x.bin (8 MB, licence mit) from there", False, dict, place, lambda: fetched.append(place))
    monkeypatch.setenv(name, "1")
    with pytest.raises(EmbedderError, match="nothing may be downloaded") as seen:
        offered_weights(spec_with(lambda: offer), said.append)
    assert "x.bin (8 MB, licence mit)" in seen.value.message
    assert f"put that file at {place}" in seen.value.hint
    assert not said
    assert not fetched
    monkeypatch.setenv(name, "0")
    offered_weights(spec_with(lambda: offer), said.append)
    assert said == ["Downloading weights: x.bin (8 MB, licence mit) from there"]
    assert fetched == [place]


def test_a_build_that_may_not_download(photos, home):
    keys = ("--set", "embedder.backbone=torchvision:mobilenet_v3_small", "--home", home)
    done = run_cli("build", photos, "--offline", *keys, check=2).stderr
    assert "the weights of torchvision:mobilenet_v3_small are not here, and nothing may be downloaded" in done
    assert f"put that file at {home}/datasets/torch/hub/checkpoints/mobilenet_v3_small-047dcff4.pth" in done
    assert list(home.glob("artifacts/dataset/[0-9a-f]*")), "finished work is kept"
    assert kept.OFFLINE[0] not in os.environ
    mnist = run_cli("build", "mnist", "--offline", "--home", home, check=2).stderr
    assert "torchvision:MNIST is not under" in mnist
    assert "download failed" not in mnist
