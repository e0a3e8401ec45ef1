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
