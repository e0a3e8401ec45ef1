"""dataset.labels = FILE: labels that win over folder and list, at build and at sync, without touching a photo."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from conftest import SMALL, picture, run_cli, write_folder
from synced import moved_copy, record, state_of, sync

import simsearch
from simsearch.errors import LabelsError
from simsearch.images.sources.mending import mended, read_labels
from simsearch.images.sources.opening import open_source
from simsearch.images.sources.source import FileSource, SourceImage

FROZEN = [*SMALL, "--set", "training.epochs=0", "--set", "evaluation.baseline=false"]
ONE = "image,label\nclass 0/05.png,class 1\n"


def labels_of(folder, home, name="photos"):
    """What a query says of each image."""
    hits = simsearch.open(name, home=str(home)).search([folder / "class 2" / "05.png"], k=1000)[0]
    return {hit.image: hit.label for hit in hits}


def source_of(*names):
    images = [SourceImage(name, name.split("/")[0], None) for name in names]
    return FileSource(spec="", title="photos", root="/photos", identity="", images=images, labelled=True)


def write(path, text, **options):
    path.write_text(text, **options)
    return path


def test_the_labels_of_the_file_win_and_taking_a_line_out_undoes_it(ours, tmp_path):
    folder, home = ours
    before, file = labels_of(folder, home), write(tmp_path / "mended.csv", ONE)
    held = {stage: record(home)["stages"][stage] for stage in ("train", "embed", "index")}
    os.chmod(folder, 0o555)
    try:
        done = run_cli("sync", folder, "--labels", file, "--home", home, check=0)
    finally:
        os.chmod(folder, 0o755)
    assert "photos: 1 moved, 1 of them with another label now: class 0 -> class 1 1" in done.stderr
    assert labels_of(folder, home) == before | {"class 0/05.png": "class 1"}
    assert record(home)["recipe"]["dataset"]["labels"] == str(file)
    assert {stage: record(home)["stages"][stage] for stage in held} == held, "nothing was embedded again"
    assert sync(home).changes.count == 0, "it is read again from where it was named"
    file.write_text("image,label\nclass 0/06.png,class 2\n")
    assert labels_of(folder, sync(home).build.home) == before | {"class 0/06.png": "class 2"}
    file.write_text("image,label\n")
    assert sync(home).counts["moved"] == 1
    assert labels_of(folder, home) == before


def test_a_whole_label_may_be_mended_away_and_two_become_one(ours, tmp_path):
    folder, home = ours
    lines = [f"{image},class 2" for image in labels_of(folder, home) if not image.startswith("class 2")]
    file = write(tmp_path / "all.csv", "\n".join(["image,label", *lines]))
    assert sync(home, labels=str(file)).counts["moved"] == 20
    assert set(labels_of(folder, home).values()) == {"class 2"}


def test_folders_that_mean_something_else_are_still_refused(ours, tmp_path):
    folder, home = ours
    sync(home, labels=str(write(tmp_path / "mended.csv", ONE)))
    (folder / "train").mkdir()
    for label in range(3):
        shutil.move(folder / f"class {label}", folder / "train" / f"class {label}")
    before = state_of(home)
    refused = run_cli("sync", "--home", home, check=2)
    assert "there is no image 'class 0/05.png'; did you mean 'train/class 0/05.png'?" in refused.stderr
    assert state_of(home) == before


def test_build_and_sync_with_the_file_come_to_the_same_and_the_file_may_lie_anywhere(photos, tmp_path):
    home = tmp_path / "home"
    build = ["build", photos, *FROZEN, "--home", home]
    run_cli(*build, "--name", "plain", check=0)
    idle = write(tmp_path / "idle.csv", "image,label\nclass 0/05.png,class 0\n")
    run_cli(*build, "--name", "idle", "--set", f"dataset.labels={idle}", check=0)
    (tmp_path / "other").mkdir()
    one, two = write(tmp_path / "one.csv", ONE), write(tmp_path / "other" / "two.tsv", ONE.replace(",", "\t"))
    run_cli(*build, "--name", "one", "--set", f"dataset.labels={one}", check=0)
    run_cli(*build, "--name", "two", "--set", f"dataset.labels={two}", check=0)
    of = {name: record(home, name)["stages"]["dataset"] for name in ("plain", "idle", "one", "two")}
    assert of["plain"] == of["idle"], "it enters the digest by what it changes"
    assert of["one"] == of["two"] != of["plain"]
    assert labels_of(photos, home, "one")["class 0/05.png"] == "class 1"
    one.write_text("image,label\n")
    assert sync(home, name="one").counts["moved"] == 1, "also of a build that was made with it"
    assert labels_of(photos, home, "one") == labels_of(photos, home, "plain")


def test_the_next_training_keeps_what_a_sync_was_given(photos, tmp_path):
    home, file = tmp_path / "home", write(tmp_path / "mended.csv", ONE)
    run_cli("build", photos, *FROZEN, "--home", home, check=0)
    run_cli("sync", photos, "--labels", file, "--home", home, check=0)
    stands = run_cli("build", photos, *FROZEN, "--home", home, check=0)
    assert "up to date, synced" in stands.stderr + stands.stdout
    again = run_cli("build", photos, *FROZEN, "--home", home, "--retrain", check=0)
    assert f"The labels of {file} win, as before" in again.stderr
    assert labels_of(photos, home)["class 0/05.png"] == "class 1"
    run_cli("build", photos, *FROZEN, "--home", home, "--set", "dataset.labels=true", check=0)
    assert labels_of(photos, home)["class 0/05.png"] == "class 0"


def test_a_list_is_mended_as_a_folder_is(photos, tmp_path):
    rows = [f"{p.relative_to(photos)},{p.parent.name}" for p in sorted(photos.rglob("*.png"))]
    table, home = write(photos / "list.csv", "\n".join(["path,label", *rows])), tmp_path / "home"
    run_cli("build", table, *FROZEN, "--home", home, check=0)
    run_cli("sync", table, "--labels", write(tmp_path / "mended.csv", ONE), "--home", home, check=0)
    assert labels_of(photos, home, "list")["class 0/05.png"] == "class 1"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("image,label\nclass 0/5.png,x\n", "line 2: there is no image 'class 0/5.png'; did you mean 'class 0/", "path"),
        ("image,label,lable\n", "has a column 'lable', and a file of labels has image, label, says, sc", "take the"),
        ("picture,label\na,b\n", "has a column 'picture'", "take the column out"),
        ("image,says\na,b\n", "has no column label (seen: image, says)", "its first line is image,label"),
        ("", "has no column image (seen: nothing)", "its first line is image,label"),
        ("image,label\nclass 0/05.png,a\nclass 0/05.png,a\n", "line 3: 'class 0/05.png' stands in line 2 too", "one"),
        ("image,label\nclass 0/05.png, \n", "line 2: 'class 0/05.png' has no label", "or take the line out"),
        ("image,label\nloose.png,a\n", "line 2: 'loose.png' is set aside (no label", "put it into a folder"),
        ('image,label\n"class 0/05.png,a\n', "line 2: unexpected end of data", "UTF-8"),
        (None, "cannot be read: No such file or directory; nothing was changed in build photos", "bring it back"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(built, tmp_path, text, said, hint):
    folder, home = moved_copy(built, tmp_path)
    picture(0, 99).save(folder / "loose.png")
    before, file = state_of(home), tmp_path / "mended.csv"
    if text is not None:
        file.write_text(text)
    refused = run_cli("sync", "--labels", file, "--home", home, check=2)
    assert "Traceback" not in refused.stderr
    error, then = (next(x for x in refused.stderr.splitlines() if x.startswith(w)) for w in ("error:", "hint:"))
    assert said in error
    assert hint in then
    assert state_of(home) == before


def test_a_file_that_is_gone_later_stops_the_sync_and_not_the_search(ours, tmp_path):
    folder, home = ours
    file = write(tmp_path / "mended.csv", ONE)
    sync(home, labels=str(file))
    after = labels_of(folder, home)
    file.unlink()
    refused = run_cli("sync", "--home", home, check=2)
    assert f"error: the labels in '{file}' cannot be read: No such file" in refused.stderr
    assert "hint: bring it back, or give another: one that holds the line image,label alone mends" in refused.stderr
    assert labels_of(folder, home) == after


def test_what_is_no_file_of_labels_is_refused(tmp_path, photos):
    for setting, said in [
        ("dataset.labels=no", "expected true, false or a file of labels (.csv), seen 'no'"),
        ("dataset.labels=nowhere.csv", "nowhere.csv' cannot be read: No such file or directory"),
    ]:
        refused = run_cli("build", photos, "--set", setting, "--home", tmp_path / "home", check=2)
        assert said in refused.stderr
    refused = run_cli("build", "digits", "--set", f"dataset.labels={photos}/x.csv", "--home", tmp_path / "h", check=2)
    assert "cannot be read" in refused.stderr
    write(tmp_path / "x.csv", "image,label\n")
    refused = run_cli("build", "digits", "--set", f"dataset.labels={tmp_path}/x.csv", "--home", tmp_path / "h", check=2)
    assert "dataset.labels is for folder:PATH and table:FILE" in refused.stderr
    flat = write_folder(tmp_path / "flat", labels=1)
    flat = (flat / "class 0").rename(tmp_path / "flat 2")
    refused = run_cli("build", flat, "--set", f"dataset.labels={tmp_path}/x.csv", "--home", tmp_path / "h", check=2)
    assert "has no labels that" in refused.stderr


def test_names_and_labels_are_the_same_however_accents_are_coded(tmp_path):
    source = source_of("pe\u0301ra/1.png", "apple/1.png", "apple/2.png")
    file = write(tmp_path / "x.csv", "image,label\np\u00e9ra/1.png,apple\napple/1.png,p\u00e9ra\n", encoding="utf-8")
    found = mended(source, str(file), read_labels(str(file)))
    assert found.mended == {"pe\u0301ra/1.png": "apple", "apple/1.png": "pe\u0301ra"}
    assert [image.label for image in found.images] == ["apple", "pe\u0301ra", "apple"]


def test_a_label_that_no_image_had_is_said(tmp_path):
    file = write(tmp_path / "x.csv", "image,label\napple/1.png,paer\n")
    found = mended(source_of("apple/1.png", "pear/1.png"), str(file), read_labels(str(file)))
    assert found.notes == [f"{file} gives a label that no folder or list has: paer; did you mean 'pear'?"]


def test_opening_without_a_file_mends_nothing(photos, tmp_path):
    with pytest.raises(LabelsError):
        open_source(f"folder:{photos}", home_datasets=tmp_path, options={}, exclude=[], root=None, base=tmp_path,
                    memory=None, labels=str(tmp_path / "no.csv"))  # fmt: skip


def test_every_build_of_a_folder_takes_the_file(ours, tmp_path):
    folder, home = ours
    file = write(tmp_path / "mended.csv", ONE)
    done = run_cli("sync", folder, "--all", "--labels", file, "--json", "--home", home, check=0)
    assert [json.loads(line)["relabelled"] for line in done.stdout.splitlines()] == [1]
