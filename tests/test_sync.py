"""simsearch sync: what it does to a build, what it leaves alone, what it says."""

from __future__ import annotations

import json
import os
import shutil
import time

import numpy as np
import pytest
from conftest import SMALL, picture, run_cli
from synced import moved_copy, record, state_of, sync

import simsearch
from simsearch.changes.state import DELETED, MASKED, rows_of
from simsearch.cli.building import say_outcome
from simsearch.home import Home
from simsearch.images.records import read_records
from simsearch.images.thumbnails import ThumbnailReader, encode_thumbnail
from simsearch.pipeline.run import run_build
from simsearch.recipe.files import find_recipe
from simsearch.search import Question, Searcher
from simsearch.vectors.features import FeatureFile


def change_some(folder):
    """One added, one changed, one moved, one deleted."""
    picture(7, 70).save(folder / "class 1" / "new.png")
    picture(8, 80).save(folder / "class 0" / "04.png")
    (folder / "class 0" / "02.png").rename(folder / "class 2" / "moved.png")
    (folder / "class 0" / "03.png").unlink()


def artifacts(home):
    store = Home(home).store
    return {stage: store.open(stage, **which) for stage, which in record(home)["stages"].items() if "/" not in stage}


def live(home):
    """image -> (label, row) of what may be found."""
    made = artifacts(home)
    gone = set(rows_of(made["index"], MASKED).tolist())
    return {r.image: (r.label, r.row) for r in read_records(made["dataset"].path) if r.row not in gone}


def on_disk(folder):
    return {str(p.relative_to(folder)): p.parent.name for p in folder.rglob("*.png")}


def hits(home, image, k=5):
    return simsearch.open("photos", home=str(home)).search([image], k=k)[0]


def test_added_changed_moved_and_deleted(ours):
    folder, home = ours
    before, first = record(home), artifacts(home)
    change_some(folder)
    done = sync(home, str(folder))
    assert done.counts == {"added": 1, "changed": 1, "moved": 1, "deleted": 1, "set_aside": 0}
    assert not done.compacted
    assert {image: label for image, (label, _) in live(home).items()} == on_disk(folder)
    now, made = record(home), artifacts(home)
    assert now["images"] == done.images == len(on_disk(folder)) == 30
    # Pinned: the embedder, the figures, the report.
    for stage in now["stages"]:
        same = now["stages"][stage] == before["stages"][stage]
        assert same == (stage not in {"dataset", "embed", "index"}), stage
    assert now["built"] == {stage: before["stages"][stage] for stage in ("dataset", "embed", "index")}
    assert now["when"] == before["when"]
    # Two rows were appended, as the build's own embedder sees them, and are neither trained on nor searched with.
    records = list(read_records(made["dataset"].path))
    assert [r.row for r in records] == list(range(32))
    assert {r.image for r in records[30:]} == {"class 1/new.png", "class 0/04.png"}
    assert not any(r.fit or r.val or r.gallery or r.query for r in records[30:])
    with FeatureFile(made["embed"].file("features.h5")) as new, FeatureFile(first["embed"].file("features.h5")) as old:
        np.testing.assert_array_equal(new.read(0, 30), old.read(0, 30))
    assert len(rows_of(made["dataset"], DELETED)) == 2
    with ThumbnailReader(made["dataset"].path) as new, ThumbnailReader(first["dataset"].path) as old:
        assert [new[row] for row in range(30)] == [old[row] for row in range(30)]
        assert new[30] == encode_thumbnail(np.asarray(picture(8, 80)))
    # What queries see.
    assert hits(home, folder / "class 1" / "new.png")[0].image == "class 1/new.png"
    moved = hits(home, folder / "class 2" / "moved.png")[0]
    assert (moved.image, moved.label, moved.row) == ("class 2/moved.png", "class 2", live(home)[moved.image][1])
    everything = {hit.image for hit in hits(home, folder / "class 1" / "00.png", k=1000)}
    assert everything == set(on_disk(folder))


def test_a_synced_score_is_that_of_a_fresh_embedding(ours):
    folder, home = ours
    change_some(folder)
    sync(home)
    searcher = Searcher(Home(home).build("photos"))
    for path in ("class 1/new.png", "class 0/04.png"):
        hit = searcher.search([folder / path], 1)[0][0]
        assert (hit.image, hit.same_file) == (path, True)
        assert hit.score == pytest.approx(1, abs=1e-6)
    # Its own score comes from the stored embedding; a pair of files is embedded anew.
    found = {hit.image: hit.score for hit in searcher.search([folder / "class 1" / "00.png"], 30)[0]}
    for path in ("class 1/new.png", "class 2/moved.png"):
        assert found[path] == pytest.approx(searcher.same(folder / "class 1" / "00.png", folder / path).score, abs=1e-5)


def test_nothing_to_do_writes_nothing(ours):
    folder, home = ours
    before = state_of(home)
    done = run_cli("sync", folder, "--home", home, check=0)
    assert "photos is up to date (30 images" in done.stderr
    assert done.stdout == ""
    os.utime(folder / "class 0" / "00.png")
    (folder / "class 0" / "notes.txt").write_text("no image")
    assert not sync(home).changes.count
    assert state_of(home) == before


def test_a_dry_run_lists_and_writes_nothing(ours):
    folder, home = ours
    change_some(folder)
    before = state_of(home)
    done = run_cli("sync", folder, "--dry-run", "--home", home, check=0)
    assert done.stdout.splitlines() == [
        "added    class 1/new.png",
        "changed  class 0/04.png",
        "moved    class 0/02.png -> class 2/moved.png, now of label class 2",
        "deleted  class 0/03.png",
    ]
    assert "1 added, 1 changed, 1 moved, 1 deleted, 1 of the moved with another label now: class 0" in done.stderr
    assert "class 2 1; nothing was changed" in done.stderr
    told = json.loads(run_cli("sync", "--dry-run", "--json", "--home", home, check=0).stdout)
    assert told["lists"]["moved"] == [
        {"from": "class 0/02.png", "to": "class 2/moved.png", "old_label": "class 0", "label": "class 2"}
    ]
    assert (told["dry_run"], told["up_to_date"], told["added"], told["images"]) == (True, False, 1, 30)
    assert state_of(home) == before
    told = json.loads(run_cli("sync", "--json", "--home", home, check=0).stdout)
    assert (told["build"], told["dry_run"], told["changed"], told["deleted"]) == ("photos", False, 1, 1)


def test_a_second_sync_goes_on_from_the_first(ours):
    folder, home = ours
    change_some(folder)
    before = record(home)
    sync(home)
    (folder / "class 1" / "new.png").unlink()
    (folder / "class 2" / "moved.png").rename(folder / "class 0" / "02.png")
    done = sync(home)
    assert done.counts == {"added": 0, "changed": 0, "moved": 1, "deleted": 1, "set_aside": 0}
    assert {image: label for image, (label, _) in live(home).items()} == on_disk(folder)
    now = record(home)
    assert now["built"] == {stage: before["stages"][stage] for stage in now["built"]}, "not what the first sync made"
    assert now["when"] == before["when"]
    counts = {kind: now["synced"][kind] for kind in ("added", "changed", "moved", "deleted")}
    assert counts == {"added": 1, "changed": 1, "moved": 2, "deleted": 2}
    lines = run_cli("show", "photos", "--home", home, check=0).stdout.splitlines()
    assert "1 added, 1 changed, 2 moved, 2 deleted since it was built" in lines[1]
    said = run_cli("query", folder / "class 0" / "02.png", "--k", 1, "--home", home, check=0).stderr
    assert "photos: 29 images, built" in said
    assert ", synced " in said


def test_more_than_a_fifth_changed_compacts(ours):
    folder, home = ours
    for number in range(3):
        (folder / "class 0" / f"0{number}.png").unlink()
        picture(6, number).save(folder / "class 2" / f"new {number}.png")
    assert not sync(home).compacted, "6 of 30 are a fifth, not more"
    assert len(rows_of(artifacts(home)["index"], MASKED)) == 3
    kept = {hit.image: hit.score for hit in hits(home, folder / "class 1" / "05.png", k=100)}
    (folder / "class 1" / "09.png").unlink()
    done = run_cli("sync", "--home", home, check=0)
    assert "photos: 1 deleted; compacted (29 images" in done.stderr
    made = artifacts(home)
    assert made["index"].facts["ntotal"] == made["embed"].facts["rows"] == 29
    assert not len(rows_of(made["index"], MASKED)) + len(rows_of(made["dataset"], DELETED))
    records = list(read_records(made["dataset"].path))
    assert [r.row for r in records] == list(range(29))
    assert sum(r.gallery for r in records) == made["dataset"].facts["gallery"]
    now = {hit.image: hit.score for hit in hits(home, folder / "class 1" / "05.png", k=100)}
    del kept["class 1/09.png"]
    assert now == pytest.approx(kept, abs=1e-6)
    with ThumbnailReader(made["dataset"].path) as thumbnails:
        row = live(home)["class 2/new 1.png"][1]
        assert thumbnails[row] == encode_thumbnail(np.asarray(picture(6, 1)))
    picture(6, 9).save(folder / "class 2" / "one more.png")
    assert not sync(home).compacted, "counted anew from the compaction on"
    assert hits(home, folder / "class 2" / "one more.png")[0].image == "class 2/one more.png"


def test_an_index_of_the_gallery_alone_stays_one(built, tmp_path):
    folder, home = moved_copy(built, tmp_path)
    run_cli("build", folder, *SMALL, "--set", "index.corpus=gallery", "--home", home, check=0)
    outside = {r.image for r in read_records(artifacts(home)["dataset"].path) if not r.gallery}
    assert len(outside) == 6
    picture(7, 70).save(folder / "class 1" / "new.png")
    sync(home)
    expected = set(on_disk(folder)) - outside
    assert {hit.image for hit in hits(home, folder / "class 1" / "new.png", k=100)} == expected
    for number in range(6):
        picture(5, number).save(folder / "class 2" / f"new {number}.png")
    assert sync(home).compacted
    expected = set(on_disk(folder)) - outside
    assert {hit.image for hit in hits(home, folder / "class 1" / "new.png", k=100)} == expected
    assert record(home)["images"] == len(expected)


def test_too_few_rows_for_the_factory_are_left_masked(built, tmp_path):
    """A compaction would train 20 lists on 18 rows; the index of before goes on serving."""
    folder, home = moved_copy(built, tmp_path)
    kind = ["--set", "index.factory=IVF20,Flat", "--set", "index.nprobe=1"]
    run_cli("build", folder, *SMALL, *kind, "--home", home, check=0)
    for path in sorted((folder / "class 0").iterdir()) + sorted((folder / "class 1").iterdir())[:2]:
        path.unlink()
    done = sync(home, allow_deletes=True)
    assert (done.counts["deleted"], done.compacted, done.images) == (12, False, 18)
    searcher = simsearch.open("photos", home=str(home))
    found = searcher.ask(folder / "class 1" / "05.png", Question(100))
    assert {hit.image for hit in found.hits} == set(on_disk(folder))
    assert found.widened


def test_figures_and_comparisons_stay_those_of_the_build(ours):
    folder, home = ours
    shutil.copy(home / "builds" / "photos.json", home / "builds" / "before.json")
    files = [home / "builds" / "photos" / name for name in ("report.json", "report.html")]
    before = [path.read_bytes() for path in files]
    for path in sorted((folder / "class 1").iterdir())[:8]:
        path.unlink()
    assert sync(home, name="photos", allow_deletes=True).compacted
    assert [path.read_bytes() for path in files] == before
    told = run_cli("compare", "before", "photos", "--json", "--home", home, check=0)
    assert json.loads(told.stdout)["shared"] == 6


def test_unreadable_new_images_are_set_aside(ours):
    folder, home = ours
    (folder / "class 1" / "broken.png").write_bytes(b"\x89PNG no more")
    picture(7, 70).save(folder / "class 1" / "new.png")
    done = sync(home)
    assert done.counts == {"added": 1, "changed": 0, "moved": 0, "deleted": 0, "set_aside": 1}
    lists = done.to_json()["lists"]
    assert (lists["added"], lists["set_aside"]) == (["class 1/new.png"], ["class 1/broken.png"])
    quarantine = artifacts(home)["dataset"].file("quarantine.csv").read_text()
    assert "class 1/broken.png" in quarantine
    assert not sync(home).changes.count, "not looked at again while its bytes are the same"
    picture(7, 71).save(folder / "class 1" / "broken.png")
    assert sync(home).counts["added"] == 1
    (folder / "class 0" / "00.png").write_bytes(b"\x89PNG no more")
    done = sync(home)
    assert done.to_json()["lists"]["deleted"] == ["class 0/00.png"], "what a broken file replaced is gone"
    assert done.counts == {"added": 0, "changed": 0, "moved": 0, "deleted": 1, "set_aside": 1}


def test_a_build_of_a_table(tmp_path, built):
    folder, home = moved_copy(built, tmp_path)
    table = tmp_path / "list.csv"
    names = sorted(on_disk(folder))
    rows = [f"photos/{name},{name.split('/')[0]}" for name in names]
    table.write_text("\n".join(["path,label", *rows]))
    run_cli("build", table, *SMALL, "--set", "training.epochs=0", "--set", "evaluation.baseline=false",
            "--home", home, check=0)  # fmt: skip
    assert not sync(home, str(table)).changes.count
    table.write_text("\n".join(["path,label", f"photos/{names[0]},other", *rows[2:]]))
    told = run_cli("sync", table, "--dry-run", "--home", home, check=0).stdout
    assert told.splitlines() == [f"moved    photos/{names[0]}, now of label other", f"deleted  photos/{names[1]}"]
    done = sync(home, str(table))
    assert done.build.name == "list"
    assert done.counts == {"added": 0, "changed": 0, "moved": 1, "deleted": 1, "set_aside": 0}
    found = simsearch.open("list", home=str(home)).search([folder / names[0]], k=1)[0][0]
    assert (found.image, found.label) == (f"photos/{names[0]}", "other")


def test_the_folder_was_moved(ours, tmp_path):
    folder, home = ours
    folder.rename(tmp_path / "elsewhere")
    assert run_cli("sync", tmp_path / "elsewhere", "--home", home, check=2).stderr.count("--build NAME") == 1
    done = sync(home, str(tmp_path / "elsewhere"), "photos")
    assert not done.changes.count
    assert record(home)["root"] == str(tmp_path / "elsewhere")
    assert not sync(home, str(tmp_path / "elsewhere")).changes.count, "it is known by its folder from now on"
    assert hits(home, tmp_path / "elsewhere" / "class 0" / "00.png")[0].path.startswith(str(tmp_path / "elsewhere"))


def test_build_does_not_throw_a_sync_away(ours):
    folder, home = ours
    change_some(folder)
    sync(home)
    before = state_of(home)
    done = run_cli("build", folder, *SMALL, "--home", home, check=0)
    assert "photos is up to date, synced" in done.stderr
    assert "--set embedder.backbone=mnist_cnn" in done.stderr, "without, it would train another recipe"
    assert "--retrain trains on everything" in done.stderr
    assert done.stdout.splitlines() == [str(home / "builds" / "photos" / "report.html")]
    for number in range(2):
        picture(5, number).save(folder / "class 2" / f"new {number}.png")
    done = run_cli("build", folder, *SMALL, "--home", home, check=0)
    assert "2 images changed since photos was synced: simsearch sync --build photos (about " in done.stderr
    assert state_of(home) == before
    (home / "builds" / "photos" / "report.html").unlink()
    run_cli("build", folder, *SMALL, "--home", home, check=0)
    assert "photos" in (home / "builds" / "photos" / "report.html").read_text()
    done = run_cli("build", folder, *SMALL, "--seeds", 2, "--home", home, check=2)
    assert "--retrain --seeds 2" in done.stderr


def test_a_target_that_was_missed_is_still_missed_after_a_sync(ours, monkeypatch, capsys):
    folder, home = ours
    measured = record(home)["stages"]["index"]
    change_some(folder)
    sync(home)
    missed = {measured["digest"]: "No index of 24 rows reaches 1.0"}
    monkeypatch.setattr("simsearch.pipeline.run.missed_target", lambda index: missed.get(index.digest))
    outcome = run_build(find_recipe(str(folder), SMALL[1::2]), Home(home))
    assert outcome.missed == "No index of 24 rows reaches 1.0", (
        "of the index that was measured, which --strict asks for"
    )
    say_outcome(outcome)
    said = capsys.readouterr().err.splitlines()
    assert "photos is up to date" in said[0]
    assert said[1] == "warning: No index of 24 rows reaches 1.0"


@pytest.mark.slow
def test_retraining_takes_everything_and_ends_the_sync(ours):
    folder, home = ours
    change_some(folder)
    sync(home)
    quick = [*SMALL, "--set", "training.epochs=0", "--set", "evaluation.baseline=false"]
    run_cli("build", folder, *quick, "--retrain", "--home", home, check=0)
    now = record(home)
    assert not {"synced", "built"} & now.keys()
    assert now["images"] == 30
    assert {r.image for r in read_records(artifacts(home)["dataset"].path)} == set(on_disk(folder))
    (folder / "class 0" / "00.png").unlink()
    sync(home)
    assert "is up to date, synced" in run_cli("build", folder, *quick, "--home", home, check=0).stderr
    run_cli("build", folder, *quick, "--set", "evaluation.k=[1]", "--home", home, check=0)
    assert "synced" not in record(home), "another recipe is another build, which nobody takes for the synced one"


def test_remains_of_syncs_are_removed_after_a_day_and_nothing_else(ours):
    folder, home = ours
    finished = set(home.glob("artifacts/*/[0-9a-f]*"))
    old = time.time() - 200_000
    for path in finished:
        os.utime(path, (old, old))
    remains = []
    for number in range(3):
        picture(5, number).save(folder / "class 2" / f"new {number}.png")
        sync(home)
        remains.append(set(home.glob("artifacts/*/[0-9a-f]*")) - finished)
    first = remains[0]
    assert len(first) == 3
    assert first <= remains[2], "let go less than a day ago"
    for path in first:
        os.utime(path, (old, old))
    sync(home)
    assert not any(path.exists() for path in first)
    assert all(path.exists() for path in finished | (remains[2] - remains[1])), "of builds, and named ones"
    assert hits(home, folder / "class 2" / "new 2.png")[0].image == "class 2/new 2.png"


def test_an_open_searcher_goes_on_with_what_it_opened(ours):
    folder, home = ours
    searcher = simsearch.open("photos", home=str(home))
    query = folder / "class 1" / "05.png"
    before = searcher.search([query], k=100)
    change_some(folder)
    sync(home)
    after = searcher.search([query], k=100)
    assert [(h.image, h.score) for h in after[0]] == [(h.image, h.score) for h in before[0]]
