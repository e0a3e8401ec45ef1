"""What verify, export and search make of a build that was synced: rows that are gone stay gone."""

from __future__ import annotations

import csv
import shutil

import numpy as np
from conftest import picture, run_cli
from synced import sync

import simsearch
from simsearch.exporting import export
from simsearch.home import Home
from simsearch.verifying import verify_build


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
