"""Canaries: pictures kept as they were prepared, embedded again by sync, a night and index verify."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from commands import run_cli, run_process
from conftest import picture, retrains, write_folder
from nights import run_night, write_job, write_table
from test_backbone_stage import sets as given
from test_backbone_stage import stages
from test_embedder_onnx_files import model

from simsearch.bench.measuring.standing import changed_embedders
from simsearch.console import Progress
from simsearch.embedder.bundle import canaries
from simsearch.embedder.bundle.canaries import Canaries, count, kept, least_cosine
from simsearch.embedder.bundle.trained import preprocess_of
from simsearch.embedder.networks.session import Session
from simsearch.errors import ArtifactError
from simsearch.home import Home
from simsearch.images.formats.decode import decode
from simsearch.images.records import RecordTable
from simsearch.vectors.features import FeatureFile


def another_runtime(monkeypatch):
    """From now on networks give other features than before, as another ONNX Runtime or CPU might."""
    run = Session.run
    monkeypatch.setattr(Session, "run", lambda *arguments: run(*arguments) + np.float32(0.5))


def test_every_embed_artifact_keeps_prepared_pictures_and_their_features(built):
    folder, home = built
    found = stages(home)
    embedded = [name for name in found if name.rpartition("/")[2] == "embed"]
    assert len(embedded) == 3
    table = RecordTable(found["dataset"].path)
    for name in embedded:
        canary, preprocess = kept(found[name]), preprocess_of(found[name.replace("embed", "train")])
        assert (len(canary.rows), canary.rows[0], canary.rows[-1]) == (16, 0, 29)
        with FeatureFile(found[name].file("features.h5")) as file:
            for row, pixels, feature in zip(canary.rows, canary.pixels, canary.features, strict=True):
                assert (file.read(row, row + 1)[0] == feature).all()
                data = (folder / table[int(row)].image).read_bytes()
                assert (preprocess.fit(decode(data, preprocess.at_least)) == pixels).all()
        assert least_cosine(found[name], found[name.replace("embed", "train")]) == pytest.approx(1, abs=1e-6)
        assert not canary.flat


def test_heads_take_the_pictures_of_their_backbone(tmp_path, home, photos):
    path = tmp_path / "model.onnx"
    path.write_bytes(model(side=16).SerializeToString())
    keys = given(f"embedder.backbone=onnx:{path}", "embedder.dim=6", "training.epochs=2", "evaluation.map=false",
                 "images.mean=[0.5,0.5,0.5]", "images.std=[0.25,0.25,0.25]")  # fmt: skip
    run_cli("build", photos, *keys, "--home", home, check=0)
    found = stages(home)
    of_backbone = kept(found["frozen/embed"])
    for name in ("embed", "baseline/embed", "reference/embed"):
        canary = kept(found[name])
        assert (canary.pixels == of_backbone.pixels).all()
        assert canary.features.shape == (16, 6)
        assert least_cosine(found[name], found[name.replace("embed", "train")]) > 0.999999


def test_the_same_build_keeps_the_same_bytes(tmp_path):
    canary = Canaries(np.arange(3), np.zeros((3, 4, 4, 1), np.uint8), np.ones((3, 2), np.float32))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        canaries.keep(tmp_path / name, canary)
    assert (tmp_path / "a" / canaries.FILE).read_bytes() == (tmp_path / "b" / canaries.FILE).read_bytes()


@pytest.mark.parametrize(
    ("size", "channels", "wanted"), [(28, 1, 16), (224, 3, 16), (518, 3, 16), (1024, 3, 5), (4096, 3, 1)]
)
def test_large_pictures_are_fewer(size, channels, wanted):
    assert count(size, channels) == wanted


def test_rows_follow_a_compaction():
    canary = Canaries(np.array([0, 3, 5, 9]), np.zeros((4, 1, 1, 1), np.uint8), np.ones((4, 2), np.float32))
    assert canary.at(np.array([0, 2, 5, 8])).rows.tolist() == [0, -1, 2, -1]
    assert canary.at(np.array([0, 2, 5, 8])).at(np.array([0, 2])).rows.tolist() == [0, -1, 1, -1]
    assert canary.at(np.arange(10)).rows.tolist() == [0, 3, 5, 9]


def test_pictures_are_flat_where_they_are_nearly_the_same():
    pixels = np.full((4, 8, 8, 3), 100, np.uint8)
    assert Canaries(np.arange(4), pixels, np.ones((4, 2), np.float32)).flat
    pixels[2, :, :4] += 3
    assert not Canaries(np.arange(4), pixels, np.ones((4, 2), np.float32)).flat


def test_sync_refuses_to_mix_features_of_two_kinds(ours, monkeypatch):
    folder, home = ours
    before = (home / "builds" / "photos.json").read_bytes()
    picture(1, 77).save(folder / "class 1" / "77.png")
    another_runtime(monkeypatch)
    said = run_cli("sync", folder, "--home", home, check=2).stderr
    assert "the embedder of build photos gives other features on this machine" in said
    assert "least cosine 0." in said
    assert "ONNX Runtime" in said
    assert f"move {home}" in said
    assert re.search(retrains(folder, home), said)
    assert (home / "builds" / "photos.json").read_bytes() == before
    (folder / "class 1" / "77.png").unlink()
    (folder / "class 1" / "00.png").unlink()
    run_cli("sync", folder, "--home", home, check=0)  # nothing is embedded
    monkeypatch.undo()
    picture(1, 77).save(folder / "class 1" / "77.png")
    run_process("sync", folder, "--home", home, without=("torch",), check=0)
    found = stages(home)
    assert kept(found["embed"]).rows.tolist() == kept(found["embed"]).at(np.arange(31)).rows.tolist()
    assert least_cosine(found["embed"], found["train"]) > 0.999999


def test_a_compaction_keeps_the_pictures_of_rows_that_are_gone(ours):
    folder, home = ours
    old = kept(stages(home)["embed"])
    for number in range(10):
        (folder / "class 0" / f"{number:02d}.png").unlink()
    picture(1, 77).save(folder / "class 1" / "77.png")
    run_cli("sync", folder, "--allow-deletes", "--home", home, check=0)
    found = stages(home)
    canary = kept(found["embed"])
    assert (canary.pixels == old.pixels).all()
    gone = int((canary.rows < 0).sum())
    assert 0 < gone < 16
    with FeatureFile(found["embed"].file("features.h5")) as file:
        for row, feature in zip(canary.rows, canary.features, strict=True):
            assert row < 0 or (file.read(row, row + 1)[0] == feature).all()


def test_index_verify_says_so_and_names_what_to_do(built, monkeypatch):
    folder, home = built
    assert "canaries" in run_cli("index", "verify", "photos", "--home", home, check=0).stdout
    another_runtime(monkeypatch)
    done = run_cli("index", "verify", "photos", "--json", "--home", home, check=1)
    (line,) = (one for one in map(json.loads, done.stdout.splitlines()) if one["check"] == "canaries")
    assert line["ok"] is False
    assert "least cosine" in line["detail"]
    assert re.search(f"{retrains(folder, home)} makes it anew", done.stderr)


def test_an_artifact_without_them_stays_valid(copy_of_built, monkeypatch):
    _, home = copy_of_built
    monkeypatch.setattr(canaries, "FILE", "nothing.npz")
    found = stages(home)
    assert canaries.check_canaries(found["embed"], found["train"], "photos") is None
    assert "canaries" not in run_cli("index", "verify", "photos", "--home", home, check=0).stdout


def test_another_version_of_the_runtime_is_named(built, monkeypatch):
    found = stages(built[1])
    another_runtime(monkeypatch)
    monkeypatch.setattr(canaries, "versions", lambda: {"onnxruntime": "9.9"})
    with pytest.raises(ArtifactError, match=r"ONNX Runtime \S+ then, 9.9 here"):
        canaries.check_canaries(found["embed"], found["train"], "photos")


def test_all_builds_of_a_home_are_asked(copy_of_built, monkeypatch):
    _, home = copy_of_built
    assert changed_embedders(Home(home), Progress()) == ([], [])
    another_runtime(monkeypatch)
    (wrong,), _ = changed_embedders(Home(home), Progress())
    assert "build photos" in wrong
    assert "--name photos --retrain --home" in wrong
    shutil.rmtree(next((home / "artifacts" / "embed").glob("[0-9a-f]*")).parent)
    wrong, notes = changed_embedders(Home(home), Progress())
    assert not wrong
    assert "could not be looked at" in notes[0]


@pytest.mark.slow
def test_a_night_is_red_where_a_standing_build_answers_otherwise(copy_of_built, tmp_path, monkeypatch):
    _, home = copy_of_built
    write_table(tmp_path)
    write_job(tmp_path, epochs=1)
    another_runtime(monkeypatch)
    story = run_night(tmp_path, home)
    assert story.verdict.outcome == "regression"
    assert "build photos gives other features" in story.verdict.notes[0]
    monkeypatch.undo()
    assert run_night(tmp_path, home).verdict.outcome == "pass"


def test_a_folder_of_few_pictures_keeps_them_all(tmp_path, home):
    folder = write_folder(tmp_path / "few", labels=2, each=4)
    run_cli("build", folder, *given("embedder.backbone=mnist_cnn", "embedder.weights=none", "training.epochs=1",
            "evaluation.map=false", "evaluation.baseline=false"), "--home", home, check=0)  # fmt: skip
    assert kept(stages(home, "few")["embed"]).rows.tolist() == list(range(8))
