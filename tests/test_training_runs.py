"""Training through the pipeline: every loss, fine-tuning from a head, rotated classes, and what is said about it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import SMALL, write_folder

from simsearch.console import Shown
from simsearch.embedder.losses.losses import make_loss
from simsearch.embedder.networks.embedder import build_embedder
from simsearch.embedder.networks.saving import save_weights
from simsearch.errors import EmbedderError
from simsearch.home import Home
from simsearch.pipeline.run import run_build
from simsearch.recipe.files import find_recipe
from simsearch.recipe.loss import L2SoftmaxLoss, PmlLoss, QuadrupletLoss, TripletLoss
from simsearch.stages.training import collapse_words, margin_of

QUICK = [*SMALL[1::2], "evaluation.baseline=false"]


def build(what, home, settings=QUICK, **options):
    return run_build(find_recipe(str(what), list(settings)), Home(home), progress=Shown(), **options)


def facts(done, stage):
    reference = done.build.record.stages[stage]
    return Home(done.build.home).store.open(stage.rpartition("/")[2], **reference)


@pytest.mark.parametrize(
    "loss",
    [
        ["loss.name=triplet", "loss.mining=semi_hard_all"],
        ["loss.name=quadruplet", "loss.mining=all", "loss.images_per_class=4"],
        ["loss.name=quadruplet", "loss.form=text", "loss.mining=distance_weighted"],
    ],
)
def test_pair_losses_train_on_balanced_batches(photos, home, loss, capsys):
    done = build(photos, home, [*QUICK, *loss])
    train = facts(done, "train")
    (row,) = [json.loads(line) for line in train.file("metrics.jsonl").read_text().splitlines()]
    assert row["loss"] > 0
    assert 0 < row["active"] <= 1
    assert 0 <= row["val_recall_at_1"] <= 1
    assert train.file("training.svg").read_bytes().startswith(b"<svg xmlns")
    said = capsys.readouterr().err
    assert done.curves == train.file("training.svg")
    # 10 images a label: 8 in the gallery, of which 1 is val.
    assert said.count("drawn with replacement") == ("loss.images_per_class=4" not in loss)
    assert "COLLAPS" not in said


def test_patience_where_no_image_can_be_watched_is_said_and_trains_all_epochs(tmp_path, home, capsys):
    few = write_folder(tmp_path / "few", each=4)
    settings = [one for one in QUICK if "epochs" not in one]
    train = facts(build(few, home, [*settings, "training.epochs=3", "training.patience=1"]), "train")
    assert "No val rows to watch: all epochs are trained, and the last is kept" in capsys.readouterr().err
    assert (train.facts["epochs"], train.facts["kept"]) == (3, 3)
    rows = [json.loads(line) for line in train.file("metrics.jsonl").read_text().splitlines()]
    assert [row["val_recall_at_1"] for row in rows] == [None] * 3


def near_one_point(noise):
    random = np.random.default_rng(0)
    return (random.standard_normal(16) + noise * random.standard_normal((200, 16))).astype(np.float32)


def test_features_that_are_one_point_are_told_from_those_that_are_only_near():
    triplet = TripletLoss(name="triplet", margin=0.2)
    margin = margin_of(triplet)
    assert margin == 0.2
    assert "COLLAPSED" in collapse_words(near_one_point(1e-3), 10, 0.2, margin)
    assert "COLLAPSED" in collapse_words(near_one_point(1e-3), 10, 7.0, None)
    assert "COLLAPSED" in collapse_words(np.zeros((20, 4), dtype=np.float32), 10, 0.2, margin), "without direction"
    near = near_one_point(0.1)
    words = collapse_words(near, 10, 0.2005, margin)
    assert "COLLAPSING: the loss stands at its margin, 0.201" in words or "margin, 0.200" in words
    assert collapse_words(near, 10, 0.19, margin) is None, "it learns"
    assert collapse_words(near, 10, 0.2005, None) is None, "a loss without margin"
    assert collapse_words(near_one_point(1.0), 10, 0.2, margin) is None, "hard triplets of a sound training"


def test_losses_with_a_margin_are_it_where_all_features_are_one_point():
    """Against the losses themselves, on features all but equal; those of pytorch-metric-learning were measured so."""
    features = torch.ones(24, 8) + 1e-4 * torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(24) // 4
    for table in (
        TripletLoss(name="triplet", margin=0.3),
        QuadrupletLoss(name="quadruplet", margin1=0.2, margin2=0.1),
        QuadrupletLoss(name="quadruplet", margin1=0.2),
        QuadrupletLoss(name="quadruplet", margin1=0.2, form="text"),
    ):
        table = table.resolve()
        value, _ = make_loss(table.model_dump(), 8, 6, 0)(features, labels)
        assert margin_of(table) == pytest.approx(float(value), rel=1e-3), table
    pml = {"TripletMarginLoss": 0.05, "ContrastiveLoss": 1.0, "MarginLoss": 1.4, "NTXentLoss": None}
    for name, margin in pml.items():
        assert margin_of(PmlLoss(name=f"pml:{name}")) == (margin and pytest.approx(margin))
    assert margin_of(PmlLoss(name="pml:TripletMarginLoss", options={"margin": 0.3})) == pytest.approx(0.3)
    assert margin_of(PmlLoss(name="pml:TripletMarginLoss", options={"smooth_loss": True})) is None
    assert margin_of(L2SoftmaxLoss()) is None


@pytest.mark.slow
def test_a_training_that_ends_as_one_point_says_so_and_a_sound_one_does_not(home, capsys):
    common = ["evaluation.baseline=false", "evaluation.map=false"]
    with pytest.raises(EmbedderError, match="features of all images are nearly equal") as refused:
        build("digits", home, [*common, "loss.name=softmax", "training.learning_rate=100", "training.epochs=2"])
    assert "training.learning_rate" in refused.value.hint
    assert "warning: COLLAPSED: the features of all images are one point" in capsys.readouterr().err
    build("digits", home, [*common, "training.epochs=1"], name="sound")
    assert "COLLAPS" not in capsys.readouterr().err


def test_more_classes_a_batch_than_there_are(photos, home):
    with pytest.raises(EmbedderError, match=r"classes_per_batch = 4, but the fit images have 3"):
        build(photos, home, [*QUICK, "loss.name=triplet", "loss.classes_per_batch=4"])


def test_quadruplets_need_three_classes(tmp_path, home):
    folder = write_folder(tmp_path / "two", labels=2)
    with pytest.raises(EmbedderError, match="three classes"):
        build(folder, home, [*QUICK, "loss.name=quadruplet"])


@pytest.mark.slow
def test_rotated_classes_and_unseen_classes(tmp_path, home):
    folder = write_folder(tmp_path / "many", labels=24, each=4)
    wanted = ["embedder.backbone=conv4", "training.epochs=1", "training.rotate_classes=true", "dataset.split=disjoint"]
    done = build(folder, home, [*wanted, "dataset.test_classes=20", "evaluation.baseline=false"])
    few_shot = done.report["few_shot"]
    assert (few_shot["ways"], few_shot["shots"], few_shot["episodes"]) == (20, 1, 1000)
    low, high = few_shot["interval"]
    assert 0 <= low <= few_shot["accuracy"] <= high <= 1
    trained = facts(done, "train")
    assert trained.facts["classes"] == 4
    assert len(json.loads(trained.file("embedder.json").read_text())["classes"]) == 4
    closed = build(folder, home, [*QUICK[:2], "training.epochs=0", "evaluation.baseline=false"], name="closed")
    assert closed.report["few_shot"] is None


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a backbone, as a file that fine-tuning can start from."""
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_weights(build_embedder("mnist_cnn", None, seed=1), path, mean=[0.5], std=[0.25])
    return path


@pytest.mark.slow
def test_fine_tuning_starts_from_the_head_that_was_trained_before(tmp_path, home, weights):
    folder = write_folder(tmp_path / "photos")
    wanted = [f"embedder.weights={weights}", "embedder.backbone=mnist_cnn"]
    wanted.append("evaluation.baseline=false")
    head = build(folder, home, wanted)
    first, second = head.advice.splitlines()
    assert "Training the backbone too would take about" in first
    assert "--set embedder.train=all --name photos-finetuned" in second
    assert str(weights) in second
    fine = [*wanted, "embedder.train=all", "training.head_first=true", "training.epochs=1", "training.batch_size=8"]
    done = build(folder, home, fine, name="photos-finetuned")
    assert done.advice is None
    # The head's artifact is shared, and so is what it was trained on.
    for mine, theirs in (("head/train", "train"), ("frozen/embed", "frozen/embed")):
        assert done.build.record.stages[mine] == head.build.record.stages[theirs]
    assert done.ran == ["Trained", "Embedded", "Indexed", "Evaluated", "Verdicts"]
    assert not build(folder, home, fine, name="photos-finetuned").ran
