"""The settings that a command names which trains a build again: as few as say the same recipe."""

from __future__ import annotations

import shlex
from itertools import pairwise

import pytest
from conftest import SMALL, run_cli, write_folder

from simsearch.home import Home
from simsearch.recipe.again import settings_again
from simsearch.recipe.files import find_recipe, with_settings
from simsearch.recipe.recipe import make_recipe

GIVEN = {"dataset": {"source": "folder:/photos"}}


def resolved(settings, given=GIVEN):
    return make_recipe(with_settings(given, settings), "test").resolve().model_dump()


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["training.epochs=9"],
        ["training.epochs=0"],
        ["embedder.train=all", "training.learning_rate=0.01", "training.head_first=true"],
        ["loss.name=triplet", "loss.margin=0.3"],
        ["embedder.backbone=torchvision:resnet18", "embedder.dim=32", "images.size=128"],
        ['dataset.exclude=["a b*", "c,\'d"]', "run.device=cpu"],
        ["index.target_recall=0.9"],
    ],
)
def test_they_are_the_ones_that_were_given_and_no_more(settings):
    assert sorted(settings_again(resolved(settings), GIVEN)) == sorted(settings)


def test_what_follows_from_another_is_not_said_twice():
    asked = ["embedder.backbone=mnist_cnn", "embedder.weights=none", "embedder.train=all"]
    assert settings_again(resolved(asked), GIVEN) == ["embedder.backbone=mnist_cnn"]


def test_tables_within_a_table():
    given = {**GIVEN, "defects": {"method": "patch"}}
    assert settings_again(resolved(["defects.patch.bank=50"], given), given) == ["defects.patch.bank=50"]


def test_every_default_turned_round_comes_back():
    asked = [
        *("dataset.max_bad_fraction=0.5", "dataset.labels=false", "images.size=96", "images.resize=pad"),
        *("images.mean=[0.1, 0.2, 0.3]", "images.std=[0.4, 0.5, 0.6]", "embedder.train=all", "embedder.dim=7"),
        *("loss.name=quadruplet", "loss.margin1=0.9", "augmentation.rotate=3.0", "training.batch_size=8"),
        *("training.seed=5", "index.factory=HNSW16", "index.corpus=gallery", "evaluation.k=[1, 3]"),
    ]
    wanted = resolved(asked)
    assert resolved(settings_again(wanted, GIVEN)) == wanted


def test_a_model_that_is_gone_ends_the_list_with_it():
    wanted = resolved(["training.epochs=3"])
    wanted["embedder"]["backbone"] = "onnx:/gone/model.onnx"
    assert settings_again(wanted, GIVEN) == ["embedder.backbone=onnx:/gone/model.onnx"]


def test_the_command_trains_the_same_recipe_again(tmp_path):
    home = tmp_path / "home"
    folder = write_folder(tmp_path / "some photos")
    run_cli(
        "build", folder, *SMALL, "--name", "mine", "--set", "dataset.exclude=['*/9 *.png']", "--home", home, check=0
    )
    build = Home(home).build("mine")
    words = shlex.split(build.retrain())
    assert words[:3] == ["simsearch", "build", str(folder)]
    again = [after for before, after in pairwise(words) if before == "--set"]
    assert find_recipe(str(folder), again).recipe.resolve().model_dump() == build.record.recipe
