"""hf:NAME and hf:FOLDER without transformers: names, folders that lack a file, what is remembered."""

from __future__ import annotations

import hashlib
import json
from contextlib import chdir
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from conftest import run_cli
from safetensors.numpy import save_file
from test_embedder_published import TRANSFORMERS

from simsearch.embedder.networks import hub, kept
from simsearch.embedder.networks.families import download_described, find_backbone, hf
from simsearch.embedder.networks.family import Feature
from simsearch.embedder.networks.weights_header import read_metadata, tensor_names
from simsearch.errors import EmbedderError
from simsearch.home import Home
from simsearch.pipeline.systems import NOT_HERE, weights_digest
from simsearch.recipe.tables import Embedder

CONFIG = json.dumps({"model_type": "vit"})
FACTS = {
    "library": "transformers 5.24.0",
    "poolings": ["pooler", "cls", "mean", "max"],
    "pooler_tensors": ["pooler.dense.weight"],
    "cls": True,
    "seconds": 0.01,
    "widths": {"224": {"pooler": 10, "cls": 8, "mean": 8, "max": 8}},
}


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The folder of models; transformers is not installed, and nothing is remembered from before."""

    def version(library):
        raise PackageNotFoundError(library)

    monkeypatch.setattr(hub, "version", version)
    monkeypatch.setattr(kept, "_found", {})
    monkeypatch.setenv(kept.PLACE, str(tmp_path / "models"))
    return tmp_path / "models"


def write_model(folder, tensors=("vit.pooler.dense.weight",)):
    """A folder as transformers writes it, of a model about which the facts are remembered."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(CONFIG)
    (folder / "preprocessor_config.json").write_text(json.dumps(TRANSFORMERS))
    if tensors:
        save_file({name: np.zeros(2, np.float32) for name in tensors}, folder / "model.safetensors")
    kept.remember(f"hf:{hashlib.sha256(CONFIG.encode()).hexdigest()[:32]}", FACTS)
    return folder


def test_a_folder_whose_facts_are_remembered_needs_no_transformers(models, tmp_path):
    folder = write_model(tmp_path / "mine" / "vit")
    spec = find_backbone(f"hf:{folder}")
    assert (spec.size, spec.channels, spec.width(224), spec.shown, spec.kind) == (224, 3, 10, "hf:vit", "hf:")
    assert spec.own["resize"] == "floor_crop"
    with chdir(folder.parent):
        assert find_backbone("hf:vit").shown == find_backbone("hf:./vit/").shown == "hf:vit"
    assert find_backbone(f"hf:{folder}", Feature(pooling="mean")).width(224) == 8
    with pytest.raises(EmbedderError, match="needs transformers, which is not installed") as seen:
        spec.width(96)
    assert seen.value.hint == "pip install 'simsearch[hf]'"


def test_a_pooler_that_was_never_trained_is_not_used(models, tmp_path):
    folder = write_model(tmp_path / "vit", tensors=("vit.embeddings.cls_token",))
    assert find_backbone(f"hf:{folder}").width(224) == 8
    with pytest.raises(EmbedderError, match="never trained") as seen:
        find_backbone(f"hf:{folder}", Feature(pooling="pooler")).width(224)
    assert "embedder.pooling=cls" in seen.value.hint


@pytest.mark.parametrize(
    ("facts", "held", "wanted"),
    [
        (FACTS, None, "pooler"),
        (FACTS, ["a.pooler.dense.weight"], "pooler"),
        (FACTS, ["a.pooler.dense.bias"], "cls"),
        ({**FACTS, "cls": False}, [], "mean"),
        ({**FACTS, "pooler_tensors": []}, [], "pooler"),
        ({**FACTS, "poolings": ["cls", "mean"]}, None, "cls"),
    ],
)
def test_usual_pooling(facts, held, wanted):
    assert hf.usual_pooling(facts, held) == wanted


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf:", "names no model"),
        ("hf:../up", "no folder ../up, and no name of a model"),
        ("hf:/nowhere/at/all", "no folder /nowhere/at/all"),
        ("hf:a/b/c", "no folder a/b/c"),
        ("hf:a/..", "no folder a/.."),
        ("hf:~nosuchuser/x", "no folder ~nosuchuser/x, and no name of a model"),
        ("hf:a\0b", "and no name of a model"),
        ("hf:owner/name", "hf:owner/name is not here: no "),
    ],
)
def test_names(models, name, words):
    with pytest.raises(EmbedderError) as seen:
        find_backbone(name)
    assert words in seen.value.message
    assert seen.value.hint


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_a_folder_that_lacks_a_file(models, tmp_path, file):
    folder = write_model(tmp_path / "vit")
    (folder / file).unlink()
    with pytest.raises(EmbedderError, match=f"has no {file}") as seen:
        find_backbone(f"hf:{folder}")
    assert seen.value.hint == f"put the {file} of the model there"
    for bad in ("{", "[]", "null", '{"size": "wide"}'):
        (folder / file).write_text(bad)
        with pytest.raises(EmbedderError):
            find_backbone(f"hf:{folder}")


def test_pixels_that_cannot_be_read_are_one_line(models, tmp_path):
    folder = write_model(tmp_path / "vit")
    (folder / "preprocessor_config.json").write_text(json.dumps({**TRANSFORMERS, "do_grayscale": True}))
    with pytest.raises(EmbedderError, match="only keys whose meaning is known, seen do_grayscale") as seen:
        find_backbone(f"hf:{folder}")
    assert "onnx:FILE" in seen.value.hint, "whose settings may be said instead"


def test_settings_that_such_a_model_has_not(models, tmp_path):
    name = f"hf:{write_model(tmp_path / 'vit')}"
    with pytest.raises(EmbedderError, match=r"expected no embedder\.output"):
        find_backbone(name, Feature(output="x"))
    kept.remember(f"hf:{hashlib.sha256(CONFIG.encode()).hexdigest()[:32]}", {**FACTS, "poolings": ["pooler", "mean"]})
    with pytest.raises(EmbedderError, match=r"expected embedder\.pooling pooler or mean, seen cls"):
        find_backbone(name, Feature(pooling="cls"))


def test_offline_says_where_the_files_of_a_name_belong(models, photos, home):
    done = run_cli("build", photos, "--offline", "--set", "embedder.backbone=hf:owner/name", "--home", home, check=2)
    place = home / "datasets" / "models" / "owner" / "name"
    assert f"no {place / 'config.json'}, and nothing may be downloaded" in done.stderr
    files = "config.json, preprocessor_config.json and model.safetensors of https://huggingface.co/owner/name"
    assert f"put {files} there" in done.stderr
    assert not home.exists()
    shown = run_cli("show", photos, "--set", "embedder.backbone=hf:owner/name", "--home", home, check=2).stderr
    assert "simsearch build downloads it" in shown
    download_described("mnist_cnn")
    download_described("torchvision:resnet18")


def test_addresses_hold_the_bytes_of_its_files(models, tmp_path):
    home, digests = Home(tmp_path / "home"), []

    def digest(folder, **keys):
        table = Embedder(**{"backbone": f"hf:{folder}", "weights": "default", **keys})
        assert table.settings()["backbone"] == "hf:"
        digests.append(weights_digest(table, home, None))
        return digests[-1]

    one, other = (write_model(tmp_path / name / "vit") for name in ("one", "other"))
    assert digest(one) == digest(other)
    assert digest(one, weights="none") != digests[0]
    (other / "preprocessor_config.json").write_text(json.dumps({**TRANSFORMERS, "resample": 2}))
    assert digest(other) != digests[0]
    for more in ("processor_config.json", "video_preprocessor_config.json"):
        before = digest(one)
        (one / more).write_text("{}")
        assert digest(one) != before, "transformers may read it, so it is to be proved anew"
    write_model(other, tensors=("vit.pooler.dense.weight", "more"))
    assert digest(other) != digests[0]
    hub = write_model(models / "owner" / "name", tensors=())
    table = Embedder(backbone="hf:owner/name", weights="default")
    assert table.settings()["backbone"] == "hf:owner/name"
    before = weights_digest(table, home, None)
    write_model(hub)
    assert weights_digest(table, home, None) not in (before, NOT_HERE)


def test_headers_of_files_of_weights(tmp_path):
    file = tmp_path / "x.safetensors"
    save_file({"b": np.zeros(2, np.float32), "a": np.zeros(1, np.float32)}, file, metadata={"size": "8"})
    assert sorted(tensor_names(file)) == ["a", "b"]
    assert read_metadata(file) == {"size": "8"}
    for data in (b"", b"\2\0\0\0\0\0\0\0[]", b"\xff" * 64, b"\4\0\0\0\0\0\0\0null"):
        file.write_bytes(data)
        for read in (tensor_names, read_metadata):
            with pytest.raises(EmbedderError, match="cannot read weights"):
                read(file)
