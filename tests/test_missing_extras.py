"""An extra that is gone, or half installed, after a build was made with it: the line of a first build, exit 2."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import run_cli
from safetensors.numpy import save_file
from test_hf_names import models, write_model  # noqa: F401
from test_timm_names import NAME, installed, remembered  # noqa: F401
from torch import nn

from simsearch.embedder.networks import hub, kept
from simsearch.embedder.networks.families import find_backbone, hf, timm
from simsearch.embedder.networks.family import Feature
from simsearch.embedder.networks.loading import load_weights
from simsearch.errors import MissingError

MODELS = "simsearch.embedder.networks.families.{}_models"
LACKS = "which cannot be imported: No module named 'lacking'"


@pytest.fixture(params=["gone", "half"])
def without(request, tmp_path, monkeypatch):
    """A function that takes a library away, or what it needs itself, and returns what is said of it."""

    def take(library, family):
        monkeypatch.delitem(sys.modules, MODELS.format(family), raising=False)
        if request.param == "gone":
            monkeypatch.setitem(sys.modules, library, None)
            return "which is not installed"
        half = tmp_path / "half" / library
        half.mkdir(parents=True)
        (half / "__init__.py").write_text("import lacking\n")
        monkeypatch.delitem(sys.modules, library, raising=False)
        monkeypatch.syspath_prepend(half.parent)
        return LACKS

    return take


@pytest.mark.parametrize("what", ["trunk", "fitted", "theirs", "width", "look"])
def test_a_model_of_timm(what, without, remembered, installed, monkeypatch):  # noqa: F811
    why = without("timm", "timm")
    spec = find_backbone(NAME)
    installed("1.0.31")
    asked = {
        "trunk": lambda: spec.trunk(64),
        "fitted": lambda: spec.fitted({}, nn.Identity()),
        "theirs": lambda: spec.theirs(),
        "width": lambda: spec.width(96),
        "look": lambda: find_backbone("timm:other"),
    }
    with pytest.raises(MissingError) as seen:
        asked[what]()
    name = "timm:other" if what == "look" else NAME
    assert (seen.value.message, seen.value.hint) == (f"{name} needs timm, {why}", "pip install 'simsearch[timm]'")


@pytest.mark.parametrize("what", ["trunk", "fitted", "theirs", "load", "width"])
def test_a_model_of_transformers(what, without, models, tmp_path, monkeypatch):  # noqa: F811
    why = without("transformers", "hf")
    name = f"hf:{write_model(tmp_path / 'vit')}"
    monkeypatch.setattr(hub, "version", lambda library: "5.24.0")
    spec = find_backbone(name, Feature(pooling="mean"))
    asked = {
        "trunk": lambda: spec.trunk(224),
        "fitted": lambda: spec.fitted({}, nn.Linear(1, 1)),
        "theirs": lambda: spec.theirs(),
        "load": lambda: spec.pretrained.weights().load(),
        "width": lambda: spec.width(96),
    }
    with pytest.raises(MissingError) as seen:
        asked[what]()
    assert seen.value.message == f"{name} needs transformers, {why}"
    assert seen.value.hint == "pip install 'simsearch[hf]'"


@pytest.mark.parametrize("weights", ["default", "file"])
def test_weights_are_not_blamed_for_it(weights, without, models, tmp_path):  # noqa: F811
    without("transformers", "hf")
    spec = replace(find_backbone(f"hf:{write_model(tmp_path / 'vit')}"), trunk=None)
    file = tmp_path / "w.safetensors"
    save_file({"a": np.zeros(2, np.float32)}, file)
    embedder = nn.ModuleDict({"backbone": nn.Linear(1, 1), "head": nn.Identity()})
    with pytest.raises(MissingError, match="needs transformers"):
        load_weights(embedder, spec, file if weights == "file" else "default")


@pytest.mark.parametrize("ask", [hub.offers, lambda model: hub.fetch(model, ["x"])])
def test_the_client_of_the_hub(ask, without, tmp_path, monkeypatch):
    for name in kept.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    why = without("huggingface_hub", "hf")
    with pytest.raises(MissingError) as seen:
        ask(hub.OnTheHub("hf:owner/name", "owner/name", None, tmp_path, ("x",), "hf"))
    assert seen.value.message == f"hf:owner/name needs huggingface_hub, {why}"
    assert seen.value.hint == "pip install 'simsearch[hf]'"


@pytest.mark.parametrize("family", [timm, hf])
def test_the_command_ends_in_one_line(family, without, models, remembered, photos, home, tmp_path, monkeypatch):  # noqa: F811
    why = without(family.LIBRARY, family.PREFIX.rstrip(":"))
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "w.safetensors")
    name, more = NAME, [f"embedder.weights={tmp_path / 'w.safetensors'}", "images.size=64"]
    kept.remember(NAME, kept.recalled(NAME, None))
    if family is hf:
        name, more = f"hf:{write_model(tmp_path / 'vit')}", ["embedder.pooling=mean", "training.epochs=50"]
    keys = [word for key in (f"embedder.backbone={name}", *more) for word in ("--set", key)]
    done = run_cli("build", photos, *keys, "--home", home, check=2).stderr
    assert f"error: {name} needs {family.LIBRARY}, {why}\n" in done
    assert done.count("error: ") == done.count("hint: ") == 1
