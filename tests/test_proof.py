"""The proof at build: our pixels and features against those of the model's own library; planted faults are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import run_cli
from PIL import Image
from test_backbone_stage import sets, stages
from test_embedder_onnx_files import model
from test_images_transforms import scene

from simsearch.embedder.networks import onnx_original, proof, published
from simsearch.embedder.networks.families import find_backbone, torchvision_models
from simsearch.embedder.networks.family import Theirs
from simsearch.embedder.networks.published_transforms import transform_of
from simsearch.home import Home

SIDE = 32
KEYS = ["embedder.dim=6", "training.epochs=2", "evaluation.map=false"]
TIMM = {
    "input_size": [3, SIDE, SIDE],
    "interpolation": "bicubic",
    "crop_pct": 0.875,
    "mean": [0.4] * 3,
    "std": [0.2] * 3,
}
FAULTS = {
    "interpolation": ({"interpolation": "bilinear"}, "images.interpolation=bicubic"),
    "order": ({"order": "bgr"}, "images.order=rgb"),
    "crop share": ({"crop_share": 1.0}, "images.crop_share=0.88"),  # 32 of 36 pixels: int(32 / .875)
    "resize": ({"resize": "squash", "crop_share": 1.0}, "images.resize=center_crop"),
    "half a pixel": ({"resize": "floor_crop"}, "images.resize=center_crop"),
    "antialias": ({"antialias": False}, "images.antialias=true"),
    "mean": ({"mean": [0.0] * 3, "std": [1.0] * 3}, None),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Coloured photos that are larger than the model's side, and not square."""
    root = tmp_path_factory.mktemp("coloured") / "photos"
    for number in range(20):
        path = root / f"class {number % 2}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(60 + number, 90 - number, number)).save(path)
    return root


@pytest.fixture
def brought(tmp_path):
    """A model with the data config of timm beside it; its file says how its pictures are prepared."""
    path = tmp_path / "mine" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(model(side=SIDE).SerializeToString())
    (path.parent / "preprocess_cfg.json").write_text(json.dumps(TIMM))
    return path


def build(photos, brought, home, *keys, check=0):
    return run_cli(
        "build", photos, *sets(f"embedder.backbone=onnx:{brought}", *KEYS, *keys), "--home", home, check=check
    )


def misread(monkeypatch, **wrong):
    """Plant a fault in our own reading of the file."""
    reading = published.of_timm
    monkeypatch.setattr(published, "of_timm", lambda *given: {**reading(*given), **wrong})


def test_a_build_says_what_it_was_proved_against(photos, brought, home):
    said = build(photos, brought, home).stderr
    assert "proved against t" in said  # of timm, where that is installed, else of torchvision
    assert "otherwise" not in said
    found = stages(home)["backbone"].facts["proof"]
    assert (found["pictures"], found["most"], found["mean"], found["otherwise"]) == (16, 0, 0, {})
    assert found["cosine"] >= 0.9999
    assert found["compared"] == found["library"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_refused_on_pixels_with_its_cause(photos, brought, home, monkeypatch, fault):
    wrong, cause = FAULTS[fault]
    misread(monkeypatch, **wrong)
    said = build(photos, brought, home, check=2).stderr
    assert "pictures are not prepared as t" in said
    assert "they differ by up to" in said
    if cause is None:  # a mean and std of their own are no usual ones
        assert "they would be the same" not in said
    else:
        assert f"they would be the same with {cause}" in said
        assert f"hint: --set {cause}" in said
    assert not list((home / "artifacts" / "backbone").glob("[0-9a-f]*"))


def test_where_our_reading_is_wrong_the_hint_leads_on(photos, brought, home, monkeypatch):
    misread(monkeypatch, interpolation="bilinear")
    said = build(photos, brought, home, "images.interpolation=bicubic").stderr
    assert "proved against" in said
    assert "images.interpolation=bicubic (its own bilinear)" in said


def test_what_is_set_otherwise_is_said_and_kept_and_not_refused(photos, brought, home):
    said = build(
        photos, brought, home, "images.interpolation=bilinear", "images.resize=squash", "images.draft=true"
    ).stderr
    (line,) = (line for line in said.splitlines() if line.startswith("Pictures"))
    assert line == (
        "Pictures are prepared otherwise than for onnx:model.onnx itself: images.resize=squash (its own center_crop), "
        "images.interpolation=bilinear (its own bicubic), images.draft=true (its own false)"
    )
    kept = stages(home)["backbone"].facts["proof"]["otherwise"]
    assert kept["resize"] == ["squash", "center_crop"]
    assert kept["draft"] == [True, False]


def test_a_network_that_is_written_otherwise_is_refused(photos, brought, home, monkeypatch):
    as_it_is = onnx_original.original
    monkeypatch.setattr(onnx_original, "original", lambda *given: lambda batch: as_it_is(*given)(batch) ** 2)
    said = build(photos, brought, home, check=2).stderr
    assert "on the same pictures its features are not those of" in said
    assert "least cosine" in said


def test_without_settings_of_its_own_the_files_are_compared(photos, brought, home):
    (brought.parent / "preprocess_cfg.json").unlink()
    build(photos, brought, home, "images.mean=[0.5,0.5,0.5]", "images.std=[0.25,0.25,0.25]")
    found = stages(home)["backbone"].facts["proof"]
    assert "library" not in found
    assert found["compared"] == "the network that it was written from"
    assert found["cosine"] >= 0.9999


def test_at_another_side_pixels_are_proved_at_the_own_one(photos, brought, home):
    brought.write_bytes(model(side="side").SerializeToString())
    said = build(photos, brought, home, "images.size=24").stderr
    assert f"images.size=24 (its own {SIDE})" in said
    found = stages(home)["backbone"].facts["proof"]
    assert (found["most"], found["compared"]) == (0, "the network that it was written from")


def test_pictures_that_show_nothing_hide_no_fault(tmp_path, brought, home, monkeypatch):
    """Of flat pictures, and of those of the model's own side, all are prepared alike; the next corpus is another."""
    for number in range(8):
        path = tmp_path / "flat" / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIDE, SIDE), (number, number, number)).save(path)
    misread(monkeypatch, interpolation="bilinear")
    assert "they would be the same" in build(tmp_path / "flat", brought, home, check=2).stderr


def test_a_model_inside_and_a_fixed_batch_are_run_as_they_are(tmp_path):
    images = np.random.default_rng(0).normal(0, 1, (3, 3, 8, 8)).astype(np.float32)
    free, fixed = tmp_path / "free.onnx", tmp_path / "fixed.onnx"
    free.write_bytes(model(side=8).SerializeToString())
    fixed.write_bytes(model(side=8, batch=1).SerializeToString())
    feature = onnx_original.Feature
    pooled = onnx_original.original(free, feature(), 1)(images)
    assert onnx_original.original(fixed, feature(), 1)(images) == pytest.approx(pooled, abs=1e-5)
    assert onnx_original.original(free, feature("map", "mean"), 1)(images) == pytest.approx(pooled, abs=1e-5)
    assert onnx_original.original(free, feature("tokens", "mean"), 1)(images) == pytest.approx(pooled, abs=1e-5)
    tokens = onnx_original.original(free, feature("tokens", "max"), 1)(images)
    assert onnx_original.original(free, feature("map", "max"), 1)(images) == pytest.approx(tokens, abs=1e-5)
    assert onnx_original.original(free, feature("tokens", "cls"), 1)(images).shape == (3, 5)


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b3", "vit_h_14"])
def test_planted_faults_of_torchvisions_weights_have_their_causes(name):
    theirs = find_backbone(f"torchvision:{name}").theirs()
    right = theirs.settings
    other = "bilinear" if right["interpolation"] == "bicubic" else "bicubic"
    for wrong in (
        {"interpolation": other},
        {"order": "bgr"},
        {"crop_share": 0.875},
        {"interpolation": other, "order": "bgr"},
        {"mean": (0.5,) * 3, "std": (0.5,) * 3},
    ):
        read = replace(theirs, settings={**right, **wrong})
        assert gap_on_card(read).most > proof.MOST, wrong
        found = proof.likely_cause(read.settings, theirs)
        assert proof.otherwise(found, read.settings).keys() == wrong.keys()
        assert not proof.otherwise(found, right)
    assert gap_on_card(theirs).small


def gap_on_card(theirs):
    preprocess = proof.for_proof(theirs.settings)
    card = proof.drawn_card(preprocess.size, preprocess.crop_share)
    ours = preprocess.normalize(preprocess.fit(card)[None])
    return proof.gap_of(ours, theirs.prepare(card)[None], theirs.settings["std"])


def test_what_is_nowhere_near_has_no_cause():
    noise = Theirs(
        "noise",
        {**find_backbone("torchvision:resnet18").theirs().settings},
        lambda p: np.zeros((3, 224, 224), np.float32),
    )
    assert proof.likely_cause(noise.settings, noise) is None


def test_gaps_and_cosines():
    ones = np.ones((2, 3, 4, 4), np.float32)
    far = ones.copy()
    far[1, 2, 3, 3] += 2 / 255 / 0.5
    found = proof.gap_of(ones, far, (1, 1, 0.5))
    assert (found.most, found.mean) == (pytest.approx(2, abs=1e-4), pytest.approx(2 / 96, abs=1e-4))
    assert found.small
    assert not proof.gap_of(ones, far[:, :, :3, :3], (1, 1, 1)).small
    far[0, 0, 0, 0] = np.nan
    assert not proof.gap_of(ones, far, (1, 1, 1)).small
    a = np.array([[1, 0], [0, 0], [3, 4], [0, 0]], np.float32)
    b = np.array([[0, 1], [0, 0], [6, 8], [1, 0]], np.float32)
    assert proof.cosines(a, b) == pytest.approx([0, 1, 1, 0])


def test_very_long_pictures_are_compared_by_their_middle():
    assert proof.shown(np.zeros((10, 1000, 3), np.uint8)).shape == (10, 80, 3)
    assert proof.shown(np.zeros((1000, 10), np.uint8)).shape == (80, 10, 3)
    assert proof.shown(np.zeros((30, 20), np.uint8)).shape == (30, 20, 3)


SCALED = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
WRITTEN = {
    "crop": {"size": {"shortest_edge": 36}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}, **SCALED},
    "bicubic": {"do_resize": True, "size": {"height": 32, "width": 32}, "resample": 3, **SCALED},
    "not normalized": {"do_resize": True, "size": {"height": 32, "width": 32}, "resample": 2, "do_normalize": False},
    "other scale": {"do_resize": True, "size": 32, "rescale_factor": 0.5, **SCALED},
    "convnext": {"do_resize": True, "size": {"shortest_edge": 32}, "crop_pct": 0.875, **SCALED},
    "timm": TIMM,
    "timm squash": {**TIMM, "crop_mode": "squash", "crop_pct": 1.0},
}


@pytest.mark.parametrize("config", WRITTEN.values(), ids=WRITTEN)
def test_both_readings_of_a_published_file_agree(tmp_path, config):
    name = "preprocess_cfg.json" if "input_size" in config else "preprocessor_config.json"
    (tmp_path / name).write_text(json.dumps(config))
    own, beside = published.read_beside(tmp_path / "model.onnx")
    library, prepare = transform_of(beside)
    assert name in library or library.partition(" ")[0] in ("timm", "transformers")
    assert gap_on_card(Theirs(library, own, prepare)).small


@pytest.mark.slow
@pytest.mark.parametrize("config", WRITTEN.values(), ids=WRITTEN)
def test_the_library_that_wrote_a_file_is_asked_where_it_is_installed(tmp_path, config):
    library = "timm" if "input_size" in config else "transformers"
    pytest.importorskip(library)
    name = "preprocess_cfg.json" if library == "timm" else "preprocessor_config.json"
    of = "ConvNextImageProcessor" if "crop_pct" in config else "ViTImageProcessor"
    of = "BitImageProcessor" if "crop_size" in config else of
    (tmp_path / name).write_text(json.dumps({"image_processor_type": of, "resample": 2, **config}))
    own, beside = published.read_beside(tmp_path / "model.onnx")
    told, prepare = transform_of(beside)
    assert told.startswith(f"{library} ")
    assert gap_on_card(Theirs(told, own, prepare)).small


@pytest.mark.slow
def test_torchvision_with_default_weights_is_proved_and_a_fault_refused(photos, home, monkeypatch):
    import torch
    from torchvision import models

    entry = models.ResNet18_Weights.DEFAULT
    place = home / "datasets" / "torch" / "hub" / "checkpoints"
    place.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(models.resnet18().state_dict(), place / entry.url.rpartition("/")[2])
    keys = sets("embedder.backbone=torchvision:resnet18", *KEYS)
    reading = torchvision_models.settings_of
    monkeypatch.setattr(torchvision_models, "settings_of", lambda preset: {**reading(preset), "order": "bgr"})
    for train in ("head", "all"):
        said = run_cli("build", photos, *keys, "--set", f"embedder.train={train}", "--home", home, check=2).stderr
        assert "they would be the same with images.order=rgb" in said
    monkeypatch.undo()
    said = run_cli("build", photos, *keys, "--home", home, check=0).stderr
    assert "proved against torchvision" in said
    assert "images.resize=crop (its own center_crop), images.draft=true (its own false)" in said
    found = stages(home)["backbone"].facts["proof"]
    assert found["compared"].startswith("torchvision")
    assert found["cosine"] >= 0.9999
    tuned = run_cli("build", photos, *keys, *sets("embedder.train=all", "training.epochs=1"), "--name", "tuned",
                    "--home", home, check=0).stderr  # fmt: skip
    assert tuned.count("Pictures are prepared otherwise") == 1
    build = Home(home).build("tuned").record.stages
    trained = [Home(home).store.open("train", **build[name]).facts for name in ("train", "baseline/train")]
    assert trained[0]["proof"]["most"] == 0
    assert "proof" not in trained[1]
