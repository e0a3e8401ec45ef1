"""A family of backbones added to a copy of the package: one file, and a line in the list of families."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import run_process
from conftest import picture

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).parents[1] / "simsearch"
TOY = """
from collections import OrderedDict

from simsearch.embedder.networks.family import Pretrained, Spec, Weights

PREFIX = "toy:"


def trunk(size):
    from torch import nn

    return nn.Sequential(OrderedDict(pool=nn.AdaptiveAvgPool2d(6), flat=nn.Flatten(), mix=nn.Linear(108, 32)))


def weights():
    import torch

    drawn = torch.randn(32, 108, generator=torch.Generator().manual_seed(1))
    state = {"mix.weight": drawn, "mix.bias": torch.zeros(32), "fc.weight": torch.ones(1000, 32)}
    return Weights("toy.bin (1 MB) from toy://plain", False, lambda: state)


def names():
    return ["toy:plain"]


def spec(name, feature):
    own = Pretrained((0.25, 0.5, 0.75), (0.5, 0.5, 0.5), weights)
    return Spec(name, 24, 3, lambda size: 32, trunk, 1e-5, pretrained=own) if name in names() else None
"""


def test_a_family_is_one_file_and_a_line(tmp_path, photos):
    shutil.copytree(SOURCE, tmp_path / "source" / "simsearch")
    families = tmp_path / "source" / "simsearch" / "embedder" / "networks" / "families"
    (families / "toy.py").write_text(TOY)
    listed = (families / "__init__.py").read_text()
    changed = listed.replace(", small, timm", ", small, timm, toy", 1).replace("(small, ", "(small, toy, ")
    assert changed.count("toy") == 2
    (families / "__init__.py").write_text(changed)

    def toy(*arguments, check=0):
        home = ["--home", tmp_path / "home"]
        # `python -c` looks into the folder that it starts in first.
        return run_process(*arguments, *home, cwd=tmp_path / "source", check=check)

    plain = ["--set", "embedder.backbone=toy:plain", "--set", "evaluation.map=false"]
    toy("build", photos, *plain, "--dry-run")
    built = toy("build", photos, *plain)
    assert "Downloading weights: toy.bin (1 MB) from toy://plain" in built.stderr
    shown = toy("show", "photos").stdout
    assert 'backbone = "toy:plain"' in shown
    assert 'weights = "default"' in shown
    bundle = json.loads(next((tmp_path / "home").glob("artifacts/train/*/embedder.json")).read_text())
    assert bundle["backbone"] == "toy:plain"
    assert bundle["preprocessing"]["mean"] == [0.25, 0.5, 0.75]
    assert bundle["preprocessing"]["size"] == 24

    picture(1, 99).save(tmp_path / "new.png")
    answer = json.loads(toy("query", tmp_path / "new.png", "--build", "photos", "--json").stdout)
    assert answer["hits"][0]["label"] == "class 1"

    wrong = toy("build", photos, "--set", "embedder.backbone=toy:plane", check=2)
    assert "unknown backbone 'toy:plane'; the nearest: toy:plain" in wrong.stderr
    assert "hint: --set embedder.backbone=toy:plain\n" in wrong.stderr
    other = toy("build", photos, "--set", "embedder.backbone=qqq", check=2)
    assert "mnist_cnn, conv4, toy:plain, torchvision:resnet18" in other.stderr
