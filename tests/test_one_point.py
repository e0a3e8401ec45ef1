"""An embedder whose features are nearly all equal is refused; pictures that are nearly all equal are no fault of it."""

from __future__ import annotations

import numpy as np
import pytest
from commands import run_cli
from conftest import SMALL
from PIL import Image
from test_backbone_stage import sets as given
from test_embedder_onnx_files import model

from simsearch.artifacts import Artifact
from simsearch.console import Progress
from simsearch.embedder.bundle.canaries import FILE, Canaries, keep
from simsearch.embedder.bundle.embedding import Bundle
from simsearch.errors import EmbedderError
from simsearch.evaluation.collapse import all_equal, mean_cosine_of
from simsearch.stages.embed import refuse_one_point


def constant(monkeypatch):
    """Every picture has the same feature from now on."""
    monkeypatch.setattr(Bundle, "features", lambda self, records: np.full((len(records), self.dim), 2, np.float32))


def embedded(folder, pixels, facts):
    keep(folder, Canaries(np.arange(len(pixels)), pixels, np.ones((len(pixels), 2), np.float32)))
    return Artifact(folder, {"facts": facts, "files": {FILE: {}}})


class Heard(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def test_mean_cosine_is_that_of_all_pairs():
    random = np.random.default_rng(0)
    features = (random.normal(0, 1, (12, 5)) + 1).astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    pairs = [float(unit[i] @ unit[j]) for i in range(12) for j in range(12) if i != j]
    assert mean_cosine_of(features) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert mean_cosine_of(3 * np.ones((4, 5), np.float32)) == pytest.approx(1)
    assert mean_cosine_of(np.zeros((4, 5), np.float32)) == 1
    assert mean_cosine_of(features[:1]) is None
    features[3, 3] = np.nan
    assert mean_cosine_of(features) is None


def test_equal_but_for_rounding():
    ones = 1000 * np.ones((4, 5), np.float32)
    assert all_equal(ones)
    assert all_equal(0 * ones)
    assert all_equal(ones + np.float32(1e-3) * np.eye(4, 5, dtype=np.float32))
    assert not all_equal(ones + np.eye(4, 5, dtype=np.float32))
    assert not all_equal(ones[:1])


def test_what_is_refused_and_what_is_only_said(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3)).astype(np.uint8)
    flat, near = np.full((4, 8, 8, 3), 7, np.uint8), {"mean_cosine": 0.9999995}
    for below_head in (False, True):
        equal = embedded(tmp_path, pixels, {"mean_cosine": 1.0, "one_point": True})
        with pytest.raises(
            EmbedderError, match=r"nearly equal \(mean cosine 1.00000\), and the images are not"
        ) as error:
            refuse_one_point(equal, Progress(), below_head=below_head, trained=False)
        assert "embedder.weights" in error.value.hint
    with pytest.raises(EmbedderError, match="nearly equal") as error:
        refuse_one_point(embedded(tmp_path, pixels, near), Progress(), below_head=False, trained=True)
    assert "learning_rate" in error.value.hint
    heard = Heard()
    refuse_one_point(embedded(tmp_path, pixels, near), heard, below_head=True, trained=False)  # a head may part them
    refuse_one_point(embedded(tmp_path, pixels, {"mean_cosine": 0.99997}), heard, below_head=False, trained=True)
    refuse_one_point(Artifact(tmp_path, {"facts": {}, "files": {}}), heard, below_head=False, trained=True)
    assert not heard.lines
    refuse_one_point(embedded(tmp_path, flat, near), heard, below_head=False, trained=True)
    assert "as the images themselves are" in heard.lines[0]


def test_a_trained_embedder_of_one_point_is_refused_and_its_training_kept(photos, home, monkeypatch):
    constant(monkeypatch)
    keys = [*SMALL, "--set", "evaluation.baseline=false", "--home", home]
    done = run_cli("build", photos, *keys, check=2)
    assert "error: the features of all images are nearly equal" in done.stderr
    assert "hint: try a smaller training.learning_rate" in done.stderr
    assert not list((home / "builds").glob("*.json"))
    again = run_cli("build", photos, *keys, check=2)
    assert "Trained" not in again.stderr
    assert "nearly equal" in again.stderr
    run_cli("show", photos, *keys, check=0)


def test_a_backbone_of_one_point_is_refused_before_a_head_is_trained(photos, home, tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_bytes(model(side=16).SerializeToString())
    constant(monkeypatch)
    keys = given(f"embedder.backbone=onnx:{tmp_path / 'model.onnx'}", "embedder.dim=6", "training.epochs=2",
                 "images.mean=[0.5,0.5,0.5]", "images.std=[0.25,0.25,0.25]", "evaluation.map=false")  # fmt: skip
    for more in ([], ["--set", "training.epochs=0"]):
        done = run_cli("build", photos, *keys, *more, "--home", home, check=2)
        assert "hint: its weights may be damaged" in done.stderr
        assert "Trained" not in done.stderr
        assert "Searchable now" not in done.stderr


def test_pictures_of_one_colour_are_said_and_not_refused(tmp_path, home):
    for number in range(12):
        path = tmp_path / "flat" / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (24, 24), 120).save(path, compress_level=number % 10)
    keys = [*SMALL, "--set", "evaluation.baseline=false", "--home", home]
    said = run_cli("build", tmp_path / "flat", *keys, check=0).stderr
    assert said.count("nearly equal (mean cosine 1.00000), as the images themselves are") == 1
    assert "as the images themselves are" not in run_cli("build", tmp_path / "flat", *keys, check=0).stderr


def test_what_a_training_ended_as_is_on_the_page(arguments):
    from simsearch.report.sections.document import render_page

    told = "COLLAPSING: the loss stands at its margin, 0.200 <"
    shown = render_page(**{**arguments, "facts": {**arguments["facts"], "warning": told}})
    assert "COLLAPSING: the loss stands at its margin, 0.200 &lt;" in shown
    assert "COLLAPSING" not in render_page(**arguments)
