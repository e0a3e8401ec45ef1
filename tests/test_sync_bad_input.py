"""What sync refuses: one clear line, exit 2, and the build as it was."""

from __future__ import annotations

import os
import shutil

import pytest
from conftest import artifact_file, picture, run_cli
from remade import remade
from sealing import seal
from synced import record, state_of, sync

import simsearch
import simsearch.stages.sync
from simsearch.changes import fresh
from simsearch.errors import ArtifactError, RecipeError, SourceError
from simsearch.home import Home
from simsearch.images import loading
from simsearch.search import Searcher


@pytest.fixture
def unharmed(ours):
    """(folder, home); afterwards every file that anybody reads must be as it was."""
    before = state_of(ours[1])
    yield ours
    now = state_of(ours[1])
    assert {path: data for path, data in now.items() if path in before} == before
    assert not {path for path in now.keys() - before.keys() if path.startswith("builds/")}


def test_a_folder_that_is_not_there(unharmed, tmp_path):
    folder, home = unharmed
    folder.rename(tmp_path / "away")
    for arguments in ([], [folder], ["--dry-run"]):
        done = run_cli("sync", *arguments, "--home", home, check=2)
        assert "no such folder; nothing was deleted from build photos" in done.stderr
        assert "hint: bring the images back, or, when they moved, simsearch sync FOLDER --build photos" in done.stderr
    folder.mkdir()
    with pytest.raises(SourceError, match=r"no images in .*the folder is empty; nothing was deleted"):
        sync(home)
    picture(9, 9).save(folder / "x.png")
    with pytest.raises(SourceError, match="no labels now, and had some when build photos was made; nothing was delet"):
        sync(home)
    (folder / "class 0").mkdir()
    (folder / "x.png").rename(folder / "class 0" / "x.png")
    with pytest.raises(SourceError, match="holds none of the 30 images of build photos; nothing was deleted"):
        sync(home)


def test_a_folder_that_vanishes_while_it_is_read(unharmed, tmp_path, monkeypatch):
    folder, home = unharmed
    picture(7, 70).save(folder / "class 1" / "new.png")
    real = loading.survey

    def survey(*arguments, **options):
        yield from real(*arguments, **options)
        if folder.exists():
            shutil.rmtree(folder)

    monkeypatch.setattr(fresh, "survey", survey)
    with pytest.raises(SourceError, match="vanished while it was being read; nothing was deleted"):
        sync(home)


def test_a_disk_that_goes_after_the_last_read(unharmed, monkeypatch):
    folder, home = unharmed
    (folder / "class 0" / "00.png").unlink()
    real = simsearch.stages.sync.sync_index

    def vanish(*arguments, **options):
        shutil.rmtree(folder)
        return real(*arguments, **options)

    monkeypatch.setattr(simsearch.stages.sync, "sync_index", vanish)
    with pytest.raises(SourceError, match="vanished while it was being read; nothing was deleted"):
        sync(home)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_no_deletion(unharmed):
    folder, home = unharmed
    (folder / "class 1").chmod(0)
    try:
        with pytest.raises(SourceError, match="Permission denied; 10 images of build photos lie in it"):
            sync(home)
    finally:
        (folder / "class 1").chmod(0o755)


def test_a_folder_that_cannot_be_listed_is_no_deletion(unharmed, monkeypatch):
    _, home = unharmed
    real = os.scandir

    def scandir(path):
        if str(path).rstrip("/").endswith("class 1"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SourceError, match="Permission denied; 10 images of build photos lie in it"):
        sync(home)


def test_too_many_bad_images(unharmed):
    folder, home = unharmed
    for number in range(3):
        (folder / "class 1" / f"broken {number}.png").write_bytes(b"GIF" * number)
    done = run_cli("sync", "--home", home, check=2)
    assert "3 of 33 images cannot be used, more than max_bad_fraction = 0.05 allows" in done.stderr
    assert f"--name photos --retrain --home {home} with another --set dataset.max_bad_fraction" in done.stderr


def test_which_build(unharmed, tmp_path):
    folder, home = unharmed
    done = run_cli("sync", folder, "--build", "photo", "--home", home, check=2)
    assert "did you mean 'photos'" in done.stderr
    with pytest.raises(RecipeError, match=r"no build in .* was made from"):
        sync(home, str(tmp_path / "never"))
    with pytest.raises(ArtifactError, match="no build in"):
        sync(tmp_path / "empty home")
    path = home / "builds" / "digits.json"
    recipe = {**record(home)["recipe"], "dataset": {**record(home)["recipe"]["dataset"], "source": "digits"}}
    seal(path, {**record(home), "source": "digits", "recipe": recipe})
    with pytest.raises(RecipeError, match="build digits was made from digits, whose images do not change"):
        sync(home, name="digits")
    path.unlink()


def test_a_damaged_artifact_is_not_gone_on_from(ours):
    folder, home = ours
    picture(7, 70).save(folder / "class 1" / "new.png")
    path = artifact_file(home, "embed", "features.h5")
    path.chmod(0o644)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = record(home)
    with pytest.raises(ArtifactError, match=r"features.h5 is damaged"):
        sync(home)
    assert record(home) == before


def test_a_damaged_sync_is_mended_by_retraining(ours):
    folder, home = ours
    (folder / "class 0" / "00.png").unlink()
    sync(home)
    artifact_file(home, "dataset", "deleted.npy").unlink()
    from simsearch.pipeline.run import run_build
    from simsearch.recipe.files import find_recipe

    settings = ["embedder.backbone=mnist_cnn", "embedder.weights=none", "training.epochs=1", "evaluation.map=false"]
    with pytest.raises(ArtifactError, match="missing") as caught:
        run_build(find_recipe(str(folder), settings), Home(home))
    assert "--retrain makes all of it anew" in caught.value.hint


def test_another_embedder_is_refused_by_query_and_sync(ours):
    """The weights of the baseline have the same shape; only the fingerprint tells them apart."""
    folder, home = ours
    whole = record(home)
    assert Home(home).store.open("index", **whole["stages"]["index"]).facts["embedder"]
    other = {**whole, "stages": {**whole["stages"], "train": whole["stages"]["baseline/train"]}}
    seal(home / "builds" / "photos.json", other)
    done = run_cli("query", folder / "class 0" / "00.png", "--home", home, check=2)
    assert "the index of build photos come" in done.stderr
    assert "hint: simsearch build --retrain" in done.stderr
    done = run_cli("index", "verify", "--home", home, check=1)
    assert "no  inputs" in done.stdout
    picture(7, 70).save(folder / "class 1" / "new.png")
    with pytest.raises(ArtifactError, match="another embedder"):
        sync(home)


def test_another_version_of_preprocessing_is_refused(ours, monkeypatch):
    folder, home = ours
    picture(7, 70).save(folder / "class 1" / "new.png")
    monkeypatch.setattr("simsearch.sync.sync.known", lambda values: False)
    with pytest.raises(ArtifactError, match="preprocessing version 2, this simsearch knows 1 to 3") as caught:
        sync(home)
    assert "--name photos --retrain" in caught.value.hint
    monkeypatch.setattr("simsearch.search.opening.known", lambda values: False)
    with pytest.raises(ArtifactError, match="preprocessing version 2, this simsearch knows"):
        Searcher(Home(home).build("photos"))


def test_builds_of_an_earlier_version_still_open(ours):
    """Without fingerprint, and with a quarantine that knows no digests."""
    folder, home = ours
    remade(home, "photos", {"quarantine.csv": b"image,reason\r\n"}, stage="dataset")
    store = Home(home).store
    for stage in ("embed", "index"):
        old = store.open(stage, **record(home)["stages"][stage])
        kept = {key: old.manifest[key] for key in ("settings", "inputs", "facts", "versions", "seconds", "device")}
        kept["facts"] = {key: value for key, value in kept["facts"].items() if key != "embedder"}
        space = store.workspace(stage, "0" * 64)
        for name in old.manifest["files"]:
            shutil.copyfile(old.file(name), space.out / name)
        whole = record(home)
        whole["stages"][stage] = store.commit(stage, "0" * 64, space, kept).reference
        seal(home / "builds" / "photos.json", whole)
    picture(7, 70).save(folder / "class 1" / "new.png")
    assert sync(home).counts["added"] == 1
    hit = simsearch.open("photos", home=str(home)).search([folder / "class 1" / "new.png"], k=1)[0][0]
    assert hit.image == "class 1/new.png"


@pytest.mark.parametrize(
    "change",
    [
        {"search": {"nprobe": "x", "efSearch": None}},
        {"search": {"nprobe": None, "efSearch": None, "k_factor": "2"}},
        {"synced": {"when": "now"}},
        {"synced": {"when": "now", "added": 0, "changed": 0, "moved": 0, "deleted": 0}, "built": {}},
    ],
)
def test_a_build_file_that_was_meddled_with_is_refused(ours, change):
    path = ours[1] / "builds" / "photos.json"
    seal(path, {**record(ours[1]), **change})
    for place in (lambda: Home(ours[1]).build("photos"), lambda: sync(ours[1])):
        with pytest.raises(ArtifactError, match=r"photos.json is damaged or of another version"):
            place()


def test_a_recipe_that_is_not_whole_is_no_traceback(unharmed):
    home = unharmed[1]
    path = home / "builds" / "photos.json"
    before = path.read_text()
    whole = record(home)
    dataset = {"source": whole["recipe"]["dataset"]["source"]}
    seal(path, {**whole, "recipe": {**whole["recipe"], "dataset": dataset}})
    with pytest.raises(ArtifactError, match="its recipe is not whole"):
        sync(home)
    path.write_text(before)


def test_settings_of_every_kind_of_index_are_taken(ours):
    path = ours[1] / "builds" / "photos.json"
    seal(path, {**record(ours[1]), "search": {"nprobe": 4, "efSearch": None, "k_factor": 2.5}})
    assert Home(ours[1]).build("photos").record.search.k_factor == 2.5
