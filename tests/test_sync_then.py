"""What verify, export and search make of a build that was synced: rows that are gone stay gone."""

from __future__ import annotations

import csv
import json
import re
import shutil

import numpy as np
import pytest
from conftest import SMALL, picture, retrains, run_cli
from synced import moved_copy, sync

import simsearch
from simsearch.console import Shown
from simsearch.errors import ArtifactError
from simsearch.exchange.vectors_out import export
from simsearch.home import Home
from simsearch.integrity.repairing import repair_build
from simsearch.integrity.verifying import verify_build
from simsearch.pipeline.run import run_build
from simsearch.recipe.files import find_recipe
from simsearch.report.reading import report_of


def changed(folder, home):
    """A picture of each of three kinds of change, synced; returns the names that are there now."""
    picture(1, 77).save(folder / "class 1" / "new.png")
    (folder / "class 0" / "00.png").unlink()
    shutil.move(folder / "class 2" / "03.png", folder / "class 1" / "moved.png")
    done = sync(home)
    assert not done.compacted, "deleted rows are only masked"
    return {str(path.relative_to(folder)) for path in folder.rglob("*.png")}


def test_verify_finds_a_synced_build_sound(ours):
    changed(*ours)
    found = verify_build(Home(ours[1]).build("photos"))
    assert found.sound, [check for check in found.checks if check.ok is False]


def test_export_has_what_a_query_can_find(ours, tmp_path):
    names = changed(*ours)
    build = Home(ours[1]).build("photos")
    out = export(build, "npy", str(tmp_path / "out"))
    vectors = np.load(out / "img_emb" / "img_emb_0.npy")
    (table,) = (out / "metadata").iterdir()
    if table.suffix == ".csv":
        with table.open() as file:
            assert {row["image"] for row in csv.DictReader(file)} == names
    assert len(vectors) == len(names)
    hits = simsearch.open(build).search([ours[0] / "class 1" / "new.png"], k=1000)[0]
    assert {hit.image for hit in hits} == names
    np.testing.assert_allclose(
        sorted(hit.score for hit in hits), np.sort(vectors @ vectors[_row(out, "class 1/new.png")]), atol=1e-5
    )


def _row(out, name):
    """Where an image stands in the export; its vector is the only one that is as near to itself as that."""
    table = out / "metadata" / "metadata_0.csv"
    if table.exists():
        with table.open() as file:
            return [row["image"] for row in csv.DictReader(file)].index(name)
    import pyarrow.parquet as parquet

    return parquet.read_table(out / "metadata" / "metadata_0.parquet")["image"].to_pylist().index(name)


def test_gallery_and_queries_are_exported_as_they_were_measured(ours, tmp_path):
    before = export(Home(ours[1]).build("photos"), "fvecs", str(tmp_path / "before"))
    changed(*ours)
    after = export(Home(ours[1]).build("photos"), "fvecs", str(tmp_path / "after"))
    for name in ("base.fvecs", "query.fvecs", "groundtruth.ivecs"):
        assert (before / name).read_bytes() == (after / name).read_bytes()


def test_a_vector_of_a_deleted_image_is_not_found(ours, tmp_path):
    build = Home(ours[1]).build("photos")
    vectors = np.load(export(build, "npy", str(tmp_path / "out")) / "img_emb" / "img_emb_0.npy")
    np.save(tmp_path / "q.npy", vectors)
    names = changed(*ours)
    done = run_cli("query", "--vectors", tmp_path / "q.npy", "-k", "100", "--home", ours[1], check=0)
    assert "class 0/00.png" not in done.stdout
    assert "moved.png" in done.stdout
    assert len(names) == 30


def damage(path):
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("kind", "stage", "file"),
    [
        ("stages", "index", "index.faiss"),
        ("stages", "index", "masked.npy"),
        ("stages", "index", "manifest.json"),
        ("built", "index", "index.faiss"),
        ("stages", "evaluate", "report.json"),
    ],
)
def test_a_damaged_synced_build_is_mended_from_its_features(ours, kind, stage, file):
    folder, home = ours
    names = changed(folder, home)
    place = Home(home)
    build = place.build("photos")
    measured = report_of(build)["systems"]
    damage(place.store.path(stage, getattr(build.record, kind)[stage]["digest"]) / file)
    assert f"{'built/' if kind == 'built' else ''}{stage}" in verify_build(build).said_no()
    build, found = repair_build(build, place)
    assert found.sound, found.said_no()
    assert report_of(build)["systems"] == measured
    assert build.record.synced
    assert build.page_path.is_file()
    hits = simsearch.open("photos", home=str(home)).search([folder / "class 1" / "new.png"], k=100)[0]
    assert {hit.image for hit in hits} == names
    picture(1, 79).save(folder / "class 1" / "newer.png")
    assert sync(home).counts["added"] == 1, "a sync goes on from what was mended"
    assert verify_build(place.build("photos")).sound


def test_a_synced_index_of_the_gallery_alone_is_mended_as_one(built, tmp_path):
    folder, home = moved_copy(built, tmp_path)
    record_path = home / "builds" / "photos.json"
    run_build(find_recipe(str(folder), [*SMALL[1::2], "index.corpus=gallery"]), Home(home), name="photos")
    changed(folder, home)
    place = Home(home)
    build = place.build("photos")
    damage(place.store.path("index", build.record.stages["index"]["digest"]) / "index.faiss")
    build, found = repair_build(build, place)
    assert found.sound, found.said_no()
    searched = simsearch.open("photos", home=str(home)).search([folder / "class 1" / "new.png"], k=100)[0]
    assert len(searched) == json.loads(record_path.read_bytes())["images"]


def test_a_build_that_was_only_renamed_is_mended(ours):
    folder, home = ours
    shutil.move(folder / "class 2" / "03.png", folder / "class 1" / "moved.png")
    sync(home)
    place = Home(home)
    build = place.build("photos")
    damage(place.store.path("index", build.record.stages["index"]["digest"]) / "index.faiss")
    assert repair_build(build, place)[1].sound


def test_what_features_cannot_give_back_is_said_with_a_command_that_helps(ours, capsys):
    folder, home = ours
    changed(folder, home)
    place = Home(home)
    build = place.build("photos")
    damage(place.store.path("dataset", build.record.stages["dataset"]["digest"]) / "images.csv")
    assert repair_build(build, place, Shown())[1].said_no() == {"dataset"}
    assert "with --retrain" in capsys.readouterr().err
    for refused in (lambda: sync(home), lambda: simsearch.open("photos", home=str(home))):
        with pytest.raises(ArtifactError, match=r"images.csv is damaged") as caught:
            refused()
        assert re.search(retrains(folder, home), caught.value.hint)
