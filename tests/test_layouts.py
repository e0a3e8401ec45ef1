"""Layouts of folders through the command line: what is built of them, measured and said, and what follows a build."""

from __future__ import annotations

import json

import pytest
from conftest import picture, run_cli

PLAIN = ["--set", "embedder.backbone=mnist_cnn", "--set", "embedder.weights=none", "--set", "evaluation.map=false"]


def put(root, *names):
    """Write pictures; the number of a name tells its noise, the first letter of its last folder its kind."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        number = int("".join(c for c in path.stem if c.isdigit()) or 0)
        picture(ord(path.parent.name[0]) % 9, number + 100 * len(path.parts)).save(path)
    return root


def build(root, *more, check=0):
    done = run_cli("build", root, *PLAIN, *more, "--home", root.parent / "home", check=check)
    return done


def report(root):
    return json.loads(run_cli("evaluate", "--json", "--home", root.parent / "home", check=0).stdout)


def hits(root, image, *more):
    done = run_cli("query", root / image, "--json", *more, "--home", root.parent / "home", check=0)
    return json.loads(done.stdout)["hits"]


@pytest.fixture
def mixed(tmp_path):
    return put(tmp_path / "mixed", *(f"{n}.png" for n in range(20)), "edited/0.png", "edited/1.png")


def test_images_beside_one_folder_are_built_without_labels(mixed):
    refused = build(mixed, check=2)
    assert "20 of 22 images cannot be used" in refused.stderr
    assert "hint: --set dataset.labels=false builds without labels" in refused.stderr
    without = ["--set", "dataset.labels=false"]
    made = build(mixed, *without)
    assert "mixed: 22 images\nbuilding without labels, as dataset.labels = false says" in made.stderr
    assert report(mixed)["summary"].startswith("No labels, so quality is not measured")
    assert [(hit["image"], hit["label"]) for hit in hits(mixed, "edited/1.png", "-k", "1")] == [("edited/1.png", "")]
    assert "up to date" in build(mixed, *without).stderr
    put(mixed, "30.png", "edited/5.png")
    home = mixed.parent / "home"
    assert json.loads(run_cli("sync", mixed, "--json", "--home", home, check=0).stdout)["added"] == 2
    assert {hit["label"] for hit in hits(mixed, "edited/5.png")} == {""}
    assert "up to date" in build(mixed, *without).stderr


def test_a_list_is_built_without_its_labels(mixed):
    rows = [f"mixed/{n}.png,{'a' if n < 3 else ''}" for n in range(20)]
    table = mixed.parent / "list.csv"
    table.write_text("\n".join(["path,label", *rows]))
    refused = build(table, check=2)
    assert "hint: --set dataset.labels=false builds without labels" in refused.stderr
    made = build(table, "--set", "dataset.labels=false")
    assert "building without labels, as dataset.labels = false says" in made.stderr
    assert report(table)["classes"] is None
    home = mixed.parent / "home"
    assert "up to date" in run_cli("sync", table, "--home", home, check=0).stderr


def test_labels_belong_to_folders_and_lists(tmp_path):
    refused = run_cli("build", "digits", "--set", "dataset.labels=false", "--home", tmp_path / "home", check=2)
    assert "dataset.labels is for folder:PATH and table:FILE" in refused.stderr


def null(tree):
    """Whether nothing but null stands in a tree of figures."""
    return all(map(null, tree.values())) if isinstance(tree, dict) else tree is None


@pytest.fixture
def catalog(tmp_path):
    return put(tmp_path / "catalog", *(f"{chr(97 + n)}{n:02d}/{n}.png" for n in range(15)))


def test_one_photo_of_each_label_is_searchable_without_figures(catalog):
    why = "each of 15 labels has one image"
    made = build(catalog)
    assert f"warning: no figures: {why}; searchable; put a second photo of a label there, or test/LABEL/" in made.stderr
    assert "Nothing is trained, as no label has two images to train on: the backbone's own features" in made.stderr
    assert f"No figures: {why}; the index returns" in " ".join(made.stderr.split())
    found = report(catalog)
    assert set(found["systems"]) == {
        "baseline/raw-l2", "baseline/raw-ip", "baseline/cosine",
        "recipe/raw-l2", "recipe/raw-ip", "recipe/cosine", "recipe/index",
    }  # fmt: skip
    assert null(found["systems"])
    assert (found["classes"], found["queries"], found["gallery"], found["unmeasured"]) == (15, 3, 15, why)
    assert set(found["reasons"].values()) == {why}
    page = (catalog.parent / "home/builds/catalog/report.html").read_text()
    assert f"This is not measured: {why}." in page
    assert "without labels" not in page
    best = hits(catalog, "c02/2.png", "-k", "1")[0]
    assert (best["image"], best["label"]) == ("c02/2.png", "c02")
    assert (best["false_accept_rate"], best["stranger_rate"]) == (None, None)
    assert "up to date" in build(catalog).stderr


def test_what_follows_a_build_without_figures(catalog, tmp_path):
    home = ["--home", tmp_path / "home"]
    build(catalog)
    build(catalog, "--name", "other", "--set", "index.factory=HNSW8")
    compared = run_cli("compare", "catalog", "other", *home, check=0).stdout
    assert "nothing to compare: no query with labels" in compared
    assert "epochs = 0" in run_cli("show", "catalog", *home, check=0).stdout
    run_cli("export", "catalog", "--format", "ann-benchmarks", "--out", tmp_path / "out.hdf5", *home, check=0)
    put(catalog, "new/1.png", "a00/7.png")
    done = json.loads(run_cli("sync", "--build", "catalog", "--json", *home, check=0).stdout)
    assert (done["added"], done["deleted"]) == (2, 0)
    assert hits(catalog, "new/1.png", "--build", "catalog", "-k", "1")[0]["label"] == "new"
    assert "is up to date, synced" in build(catalog).stderr, "it was not trained, and is not trained unasked"
    run_cli("index", "verify", "catalog", *home, check=0)


def test_a_training_or_seeds_of_one_photo_each_are_refused(catalog):
    refused = build(catalog, "--set", "training.epochs=2", check=2)
    assert "no image is left to train on" in refused.stderr
    assert "hint: --set training.epochs=0 searches by the backbone's own features" in refused.stderr
    assert "error: --seeds: nothing is trained" in build(catalog, "--seeds", "2", check=2).stderr
    forecast = json.loads(build(catalog, "--dry-run", "--json").stdout)
    assert forecast["labels"] == 15
    assert forecast["dim"] > 64, "the features are the backbone's own"


def test_one_catalogue_photo_and_field_photos_are_measured_on_test(tmp_path):
    names = [f"{chr(97 + n)}{n}" for n in range(5)]
    field = put(tmp_path / "field", *(f"train/{name}/1.png" for name in names))
    put(field, *(f"test/{name}/{n}.png" for name in names for n in (2, 3, 4)))
    made = build(field)
    assert "Nothing is trained, as no label has two images to train on" in made.stderr
    assert "Split         fit 5, val 0, gallery 5, query 15" in made.stderr
    assert "5 classes have one image" not in made.stderr, "they have more, in test"
    found = report(field)
    assert (found["queries"], found["gallery"], found["unanswerable"]) == (15, 5, 0)
    assert found["systems"]["recipe/index"]["recall"]["1"] > 0.9
    assert "unmeasured" not in found
    assert "up to date" in build(field).stderr
    trained = build(field, "--set", "training.epochs=1", "--name", "trained")
    assert "Trained" in trained.stderr, "it is, where it is asked for"


def test_masks_are_no_photos_and_one_label_makes_no_figures(tmp_path):
    names = [f"{part}/{n}.png" for part in ("train/good", "test/good", "test/broken") for n in range(6)]
    masks = [f"ground_truth/broken/{n}_mask.png" for n in range(6)]
    bottle = put(tmp_path / "bottle", *names, *masks)
    made = build(bottle)
    assert "bottle: 18 images, 2 labels\n6 images left aside, no photos: ground_truth\n" in made.stderr
    assert "1 class is only in the test split: searched with, never found" in made.stderr
    assert "warning: no figures: all images that are searched have one label, 'good'" in made.stderr
    found = report(bottle)
    assert null(found["systems"])
    assert (found["queries"], found["gallery"]) == (12, 6)
    assert {hit["label"] for hit in hits(bottle, "test/broken/1.png", "-k", "18")} == {"good", "broken"}
    refused = build(bottle, "--set", "training.epochs=1", check=2)
    assert "a loss needs at least 2 classes, the fit images have 1" in refused.stderr
    assert "own features: --set training.epochs=0" in refused.stderr


def test_a_test_folder_without_labels_does_not_stop_a_build(tmp_path):
    kaggle = put(tmp_path / "kaggle", *(f"train/{name}/{n}.png" for name in ("ant", "bee") for n in range(6)))
    put(kaggle, *(f"test/{n}.png" for n in range(4)))
    made = build(kaggle, "--set", "training.epochs=0")
    assert "kaggle: 12 images, 2 labels\ntest has no label folders: 4 images left aside (--set" in made.stderr
    assert report(kaggle)["classes"] == 2
    without = build(kaggle, "--set", "dataset.labels=false", "--name", "all")
    assert "kaggle: 16 images\n" in without.stderr
    assert "gallery 12, query 4" in without.stderr


def test_one_name_in_two_forms_is_one_label(tmp_path):
    forms = ["caf\u00e9", "cafe\u0301"]
    photos = put(tmp_path / "forms", *(f"train/{forms[0]}/{n}.png" for n in range(4)))
    put(photos, *(f"train/fig/{n}.png" for n in range(4)), *(f"test/{forms[1]}/{n}.png" for n in range(4, 6)))
    build(photos, "--set", "training.epochs=0")
    found = report(photos)
    assert (found["classes"], found["queries"], found["unanswerable"]) == (2, 2, 0)
    best = hits(photos, f"test/{forms[1]}/4.png", "-k", "1")[0]
    assert (best["image"], best["label"]) == (f"test/{forms[1]}/4.png", forms[0])


def test_a_folder_beside_the_splits_relabels_nothing_in_silence(tmp_path):
    photos = put(tmp_path / "p", *(f"{top}/{name}/{n}.png" for top in ("train", "test") for name in "ab"
                                   for n in range(3)))  # fmt: skip
    build(photos, "--set", "training.epochs=0")
    put(photos, "holdout/a/9.png")
    for dry in ([], ["--dry-run"]):
        refused = run_cli("sync", photos, *dry, "--home", tmp_path / "home", check=2).stderr
        assert "12 images of build p would have another label, as test/a/0.png (test, not a): folders" in refused
        assert "holdout, test, train look like splits" in refused
    (photos / "holdout").rename(photos / "valid")
    assert "1 added" in run_cli("sync", photos, "--home", tmp_path / "home", check=0).stderr
    assert hits(photos, "valid/a/9.png", "-k", "1")[0]["label"] == "a"


def test_folders_that_look_like_splits_are_warned_of(tmp_path):
    photos = put(tmp_path / "photos", *(f"{top}/{name}/{n}.png" for top in ("train", "holdout") for name in "ab"
                                        for n in range(3)))  # fmt: skip
    made = build(photos, "--set", "training.epochs=0")
    assert "warning: holdout, train look like splits of a data set and are taken as labels" in made.stderr
