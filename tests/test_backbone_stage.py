"""The backbone is an artifact of its own, which heads name: made once, shared, checked, and run before a head."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from conftest import run_cli, write_folder
from test_embedder_onnx_files import model

import simsearch
from simsearch.embedder.bundle.export import export_head
from simsearch.embedder.bundle.fingerprint import embedder_fingerprint
from simsearch.embedder.bundle.runtime import Head
from simsearch.embedder.bundle.trained import open_trained
from simsearch.errors import EmbedderError
from simsearch.home import Home
from simsearch.pipeline.plan import Plan
from simsearch.pipeline.systems import below_head
from simsearch.recipe.files import find_recipe
from simsearch.vectors.features import FeatureFile

KEYS = ["embedder.dim=6", "training.epochs=2", "evaluation.map=false"]
PIXELS = ["images.mean=[0.5,0.5,0.5]", "images.std=[0.25,0.25,0.25]"]


def damage(path):
    """One bit of a finished file is another."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def sets(*keys):
    return [word for key in keys for word in ("--set", key)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder, home, model) of a build on a model that a user brought; tests must not change it."""
    root = tmp_path_factory.mktemp("backbone")
    folder, path = write_folder(root / "photos"), root / "mine" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(model(side=16).SerializeToString())
    keys = sets(f"embedder.backbone=onnx:{path}", *KEYS, *PIXELS)
    run_cli("build", folder, *keys, "--home", root / "home", check=0)
    return folder, root / "home", path


def stages(home, name="photos"):
    build = Home(home).build(name)
    return {
        stage: Home(home).store.open(stage.rpartition("/")[2], **which) for stage, which in build.record.stages.items()
    }


def test_a_head_is_a_linear_layer(tmp_path):
    random = np.random.default_rng(0)
    weight, bias, features = (random.normal(0, 1, shape).astype(np.float32) for shape in ((4, 9), (4,), (20, 9)))
    export_head(weight, bias, tmp_path / "head.onnx")
    head = Head(tmp_path / "head.onnx", threads=1)
    wanted = [
        [sum(f * w for f, w in zip(row, line, strict=True)) + b for line, b in zip(weight, bias, strict=True)]
        for row in features
    ]
    assert head.features(features) == pytest.approx(np.array(wanted), abs=1e-5)
    assert head.features(features[:0]).shape == (0, 4)
    with pytest.raises(EmbedderError, match=r"\(N, 9\) float32, seen \(20, 8\)"):
        head.features(features[:, :8])


def test_systems_share_one_backbone_and_hold_heads(made):
    _, home, _ = made
    found = stages(home)
    assert {path.name for path in (home / "artifacts" / "backbone").glob("[0-9a-f]*")} == {found["backbone"].digest}
    for system in ("train", "baseline/train", "reference/train"):
        files = found[system].manifest["files"]
        assert "head.onnx" in files
        assert "embedder.onnx" not in files
        assert found[system].manifest["inputs"]["backbone"] == found["backbone"].reference
    assert found["frozen/train"].manifest["files"].keys() == {"embedder.json"}


def test_stored_features_are_those_of_both_networks_in_turn(made):
    folder, home, _ = made
    found = stages(home)
    network = open_trained(found["train"], threads=1)
    assert (network.input_shape, network.dim) == ((3, 16, 16), 6)
    with (
        FeatureFile(found["embed"].file("features.h5")) as features,
        simsearch.open("photos", home=str(home)) as searcher,
    ):
        stored = features.read(0, 5)
        names = [searcher._records[row].image for row in range(5)]
        for name in names:
            hit = searcher.search(folder / name, k=1)[0][0]
            assert (hit.image, round(hit.score, 5)) == (name, 1.0)
    assert stored.shape == (5, 6)
    assert embedder_fingerprint(found["train"]) == found["embed"].facts["embedder"] == found["index"].facts["embedder"]
    assert embedder_fingerprint(found["train"]) != embedder_fingerprint(found["baseline/train"])


def test_the_report_says_whether_the_head_is_better_than_the_frozen_features(made):
    _, home, _ = made
    found = stages(home)
    report = json.loads(found["evaluate"].file("report.json").read_bytes())
    assert found["evaluate"].manifest["inputs"]["frozen"] == found["frozen/embed"].reference
    assert report["head_gain"]["n"] == report["queries"]
    assert report["head_gain"]["head"] == report["systems"]["recipe/cosine"]["recall"]["1"]
    line = "Head: recall@1"
    assert line in run_cli("evaluate", "photos", "--home", home, check=0).stdout
    assert line in (home / "builds" / "photos" / "report.html").read_text()


def test_a_head_from_before_backbones_were_artifacts_is_not_measured_anew(made):
    """Its evaluation names no frozen features: the address of what stands there stays."""
    _, home, _ = made
    found = stages(home)
    plan, recipe = Plan(Home(home), stages=dict(found)), find_recipe("digits", ["embedder.train=head"]).recipe.resolve()
    assert below_head(plan, recipe) is found["frozen/embed"]
    del plan.stages["backbone"]
    assert below_head(plan, recipe) is None


def test_a_head_is_the_same_whatever_gives_its_features(made, tmp_path):
    """One network by its name, and as a file that is brought: its head is drawn from the seed alone."""
    folder, _, _ = made
    gray = ["images.mean=[0.5]", "images.std=[0.25]", "images.size=28", "embedder.train=head", *KEYS]
    for name in ("mnist_cnn", "onnx"):
        backbone = name if name == "mnist_cnn" else f"onnx:{tmp_path / 'model.onnx'}"
        keys = sets(f"embedder.backbone={backbone}", *gray)
        run_cli("build", folder, *keys, "--name", name, "--home", tmp_path / "home", check=0)
        shutil.copy(stages(tmp_path / "home", name)["backbone"].file("backbone.onnx"), tmp_path / "model.onnx")
    one, other = (stages(tmp_path / "home", name) for name in ("mnist_cnn", "onnx"))
    assert one["train"].digest != other["train"].digest
    for system in ("train", "baseline/train", "reference/train"):
        assert one[system].file("head.onnx").read_bytes() == other[system].file("head.onnx").read_bytes()
    figures = [json.loads(each["evaluate"].file("report.json").read_bytes())["systems"] for each in (one, other)]
    assert figures[0] == figures[1]


def test_another_loss_goes_on_from_the_same_backbone(made, tmp_path):
    folder, home, path = made
    other = tmp_path / "home"
    shutil.copytree(home, other)
    keys = sets(f"embedder.backbone=onnx:{path}", *KEYS, *PIXELS, "loss.alpha=8")
    again = run_cli("build", folder, *keys, "--home", other, check=0).stderr
    assert "Trained" in again
    assert "Backbone" not in again
    assert run_cli("build", folder, *keys, "--home", other, check=0).stderr.startswith("photos is up to date")


def test_a_model_of_the_same_bytes_elsewhere_is_the_same_model(made, tmp_path):
    folder, home, path = made
    shutil.copytree(home, tmp_path / "home")
    moved = tmp_path / "elsewhere.onnx"
    moved.write_bytes(path.read_bytes())
    keys = sets(f"embedder.backbone=onnx:{moved}", *KEYS, *PIXELS)
    assert "up to date" in run_cli("build", folder, *keys, "--home", tmp_path / "home", check=0).stderr
    moved.write_bytes(model(side=16, outputs=("logits",)).SerializeToString())
    assert "Backbone" in run_cli("build", folder, *keys, "--home", tmp_path / "home", check=0).stderr


def test_no_path_of_this_machine_is_in_an_artifact(made):
    _, home, path = made
    for file in (home / "artifacts").glob("[bt]*/*/*"):
        assert str(path.parent).encode() not in file.read_bytes(), file


def test_a_query_needs_neither_the_model_nor_torch(made, tmp_path):
    folder, home, path = made
    shutil.copytree(home, tmp_path / "home")
    hidden = path.rename(path.with_name("hidden"))
    try:
        image = folder / "class 1" / "04.png"
        answer = run_cli("query", image, "--k", 1, "--json", "--home", tmp_path / "home", check=0)
        assert json.loads(answer.stdout)["hits"][0]["image"] == "class 1/04.png"
        shutil.copy(image, folder / "class 2" / "new.png")
        assert "1 added" in run_cli("sync", folder, "--home", tmp_path / "home", check=0).stderr
        lost = run_cli("build", folder, *sets(f"embedder.backbone=onnx:{path}"), "--home", tmp_path / "home", check=2)
        assert f"no model {path}" in lost.stderr
    finally:
        hidden.rename(path)
        (folder / "class 2" / "new.png").unlink(missing_ok=True)


def test_a_damaged_backbone_is_found_and_made_again(made, tmp_path):
    folder, home, path = made
    other = tmp_path / "home"
    shutil.copytree(home, other)
    file = next(other.glob("artifacts/backbone/*/backbone.onnx"))
    damage(file)
    asked = run_cli("query", folder / "class 1" / "04.png", "--home", other, check=2)
    assert "backbone.onnx" in asked.stderr
    assert "backbone" in run_cli("index", "verify", "photos", "--home", other, check=1).stdout
    keys = sets(f"embedder.backbone=onnx:{path}", *KEYS, *PIXELS)
    assert f"move it away ({file.parent})" in run_cli("build", folder, *keys, "--home", other, check=2).stderr
    file.parent.rename(tmp_path / "away")
    assert "Backbone" in run_cli("build", folder, *keys, "--home", other, check=0).stderr
    run_cli("query", folder / "class 1" / "04.png", "--home", other, check=0)


def test_clean_keeps_a_backbone_as_long_as_a_build_names_it(made, tmp_path):
    _, home, _ = made
    other = tmp_path / "home"
    shutil.copytree(home, other)
    for path in other.glob("artifacts/*/[0-9a-f]*"):
        os.utime(path, (0, 0))  # beyond the day of grace
    run_cli("clean", "--home", other, check=0)
    assert list(other.glob("artifacts/backbone/[0-9a-f]*"))
    assert "backbone" in run_cli("clean", "photos", "--dry-run", "--home", other, check=0).stdout


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["embedder.train=all"], "stays as it is"),
        (["embedder.weights=x.safetensors"], "brings its own"),
        (["images.size=24"], "takes images of 16 px alone"),
        (["embedder.output=nothing"], "no tensor 'nothing'"),
        (["embedder.pooling=mean"], "expected no embedder.pooling"),
        (["embedder.backbone=torchvision:resnet18", "embedder.output=x"], "has one feature"),
    ],
)
def test_settings_that_a_brought_model_has_not(made, tmp_path, keys, words):
    folder, _, path = made
    done = run_cli(
        "build", folder, *sets(f"embedder.backbone=onnx:{path}", *PIXELS, *keys), "--home", tmp_path, check=2
    )
    assert words in done.stderr
    assert done.stderr.count("hint: ") == 1


def test_without_a_word_on_pixels_nothing_is_guessed(made, tmp_path):
    folder, _, path = made
    done = run_cli("build", folder, *sets(f"embedder.backbone=onnx:{path}"), "--home", tmp_path, check=2)
    assert "mean and std" in done.stderr
    assert "preprocessor_config.json" in done.stderr


def test_a_file_beside_the_model_says_how_its_pixels_are_prepared(made, tmp_path):
    folder, _, path = made
    mine = tmp_path / "model.onnx"
    mine.write_bytes(path.read_bytes())
    said = {"input_size": [3, 16, 16], "interpolation": "bicubic", "crop_pct": 0.8, "mean": [0.4] * 3, "std": [0.2] * 3}
    (tmp_path / "preprocess_cfg.json").write_text(json.dumps(said))
    run_cli("build", folder, *sets(f"embedder.backbone=onnx:{mine}", *KEYS), "--home", tmp_path / "home", check=0)
    bundle = json.loads(stages(tmp_path / "home")["train"].file("embedder.json").read_bytes())["preprocessing"]
    assert (bundle["resize"], bundle["crop_share"], bundle["interpolation"]) == ("center_crop", 0.8, "bicubic")
    assert (bundle["mean"], bundle["std"], bundle["draft"]) == ([0.4] * 3, [0.2] * 3, False)
