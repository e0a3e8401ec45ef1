"""What small networks are trained by where a recipe leaves it open, and builds that were trained by what that was."""

from __future__ import annotations

import json

import pytest
from conftest import SMALL, run_cli, snapshot, write_folder

from simsearch.home import Home
from simsearch.pipeline.estimate import forecast
from simsearch.recipe import make_recipe
from simsearch.recipe.defaults import FIRST, FIRST_SHIFT, MOST_EPOCHS, SCRATCH, epochs_for
from simsearch.recipe.defaults import SMALL as OF_SMALL
from simsearch.recipe.files import find_recipe

OPEN = [*SMALL[:4], "--set", "evaluation.baseline=false", *SMALL[6:]]  # backbone and weights; no epochs
FIRST_ONES = [f"training.{key}={value}" for key, value in FIRST.items()] + [f"augmentation.shift={FIRST_SHIFT}"]


def resolved(source, **embedder):
    return make_recipe({"dataset": {"source": source}, "embedder": embedder}, "").resolve()


@pytest.mark.parametrize("source", ["digits", "torchvision:FashionMNIST", "folder:x", "table:x.csv"])
@pytest.mark.parametrize("backbone", ["mnist_cnn", "conv4"])
def test_all_sources_give_small_networks_the_same(source, backbone):
    recipe = resolved(source, backbone=backbone)
    assert {key: getattr(recipe.training, key) for key in OF_SMALL} == OF_SMALL
    assert recipe.augmentation.shift == 1
    assert not recipe.augmentation.flip, "a character turned round is another"


@pytest.mark.parametrize(
    "embedder", [{"backbone": "torchvision:resnet18", "weights": "none"}, {"backbone": "mnist_cnn", "train": "head"}]
)
def test_others_keep_what_they_had(embedder):
    recipe = resolved("folder:x", **embedder)
    assert recipe.training.weight_decay == SCRATCH["weight_decay"] == 1e-4
    assert recipe.training.epochs == (6 if recipe.embedder.train == "all" else 40)
    assert recipe.augmentation.shift == 0
    asked = make_recipe({"dataset": {"source": "folder:x"}, "embedder": embedder}, "")
    assert asked.with_first_defaults() is asked


def test_few_images_are_trained_on_for_more_epochs():
    found = {images: epochs_for(images, 128) for images in (1, 200, 1_500, 6_000, 10_800, 54_000)}
    assert found == {1: 100, 200: 100, 1_500: 100, 6_000: 43, 10_800: 24, 54_000: 6}
    assert (MOST_EPOCHS, OF_SMALL["epochs"]) == (100, 6)
    assert epochs_for(10_800, 64) == 12, "steps are counted"


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "photos")


def test_a_build_says_how_many_epochs_and_stands(folder, tmp_path):
    home = ["--home", tmp_path / "home"]
    run_cli("build", folder, *OPEN, *home, check=0)
    record = Home(tmp_path / "home").build("photos").record
    assert record.recipe["training"]["epochs"] == MOST_EPOCHS
    assert f"epochs = {MOST_EPOCHS}\n" in run_cli("show", folder, *OPEN, *home, check=0).stdout
    before = snapshot(tmp_path / "home")
    assert "photos is up to date" in run_cli("build", folder, *OPEN, *home, check=0).stderr
    assert snapshot(tmp_path / "home") == before
    (folder / "class 0" / "00.png").unlink()
    run_cli("sync", *home, check=0)
    done = run_cli("build", folder, *OPEN, *home, check=0)
    assert "is up to date, synced" in done.stderr, "it asks for what was built, whatever the number of epochs"
    fewer = run_cli("build", folder, *OPEN, "--set", "training.epochs=1", *home, check=0)
    assert "Built photos" in fewer.stderr


def test_a_forecast_knows_the_epochs(folder, tmp_path):
    home, settings = Home(tmp_path / "home"), OPEN[1::2]
    seconds = [
        forecast(find_recipe(str(folder), [*settings, *more]), home)["seconds"]["train"]
        for more in ([], [f"training.epochs={MOST_EPOCHS}"], ["training.epochs=1"])
    ]
    assert seconds[0] == seconds[1]


@pytest.mark.parametrize("name", [[], ["--name", "other"]])
def test_what_earlier_defaults_trained_stands(name, folder, tmp_path):
    home = [*name, "--home", tmp_path / "home"]
    written = [word for setting in FIRST_ONES for word in ("--set", setting)]
    run_cli("build", folder, *OPEN, *written, *home, check=0)
    before = snapshot(tmp_path / "home")
    done = run_cli("build", folder, *OPEN, *home, check=0)
    assert "is up to date" in done.stderr
    assert "was trained by earlier defaults of [training] and [augmentation]" in done.stderr
    assert "--retrain trains by today's" in done.stderr
    # Another index is no training.
    run_cli("build", folder, *OPEN, "--set", "index.factory=SQ8", *home, check=0)
    trained = {path for path in snapshot(tmp_path / "home") if "/train/" in path}
    assert trained == {path for path in before if "/train/" in path}
    done = run_cli("build", folder, *OPEN, "--retrain", *home, check=0)
    assert "earlier defaults" not in done.stderr
    build = Home(tmp_path / "home").build("other" if name else "photos")
    assert build.record.recipe["training"]["epochs"] == MOST_EPOCHS
    assert build.record.recipe["training"]["weight_decay"] == OF_SMALL["weight_decay"]


def test_another_seed_is_trained_by_the_newest(folder, tmp_path):
    home = ["--home", tmp_path / "home"]
    written = [word for setting in FIRST_ONES for word in ("--set", setting)]
    run_cli("build", folder, *OPEN, *written, *home, check=0)
    shown = json.loads(run_cli("show", folder, *OPEN, "--set", "training.seed=1", *home, "--json", check=0).stdout)
    assert shown["recipe"]["training"]["batch_size"] == OF_SMALL["batch_size"]
    shown = json.loads(run_cli("show", folder, *OPEN, *home, "--json", check=0).stdout)
    assert shown["recipe"]["training"]["batch_size"] == FIRST["batch_size"]
