"""simsearch/images/sources/walk.py: machine folders, linked folders, files of other kinds."""

from __future__ import annotations

import json
import os

import pytest
from conftest import SMALL, artifact_file, picture, run_cli, write_folder
from synced import record
from test_images_folders import opened, put

from simsearch.errors import SourceError
from simsearch.images.formats.decoding import FIRST
from simsearch.images.formats.formats import EXTRA
from simsearch.images.sources.folders import query_files
from simsearch.images.sources.left_out import LeftOut
from simsearch.images.sources.machine import FOLDERS
from simsearch.images.sources.walk import Picking, walk

FAST = [*SMALL, "--set", "training.epochs=0", "--set", "evaluation.baseline=false"]


def images(root, **how):
    return sorted(walk(str(root), Picking(**how)).images)


@pytest.mark.parametrize("name", [*sorted(FOLDERS), "@EADIR", "#RECYCLE", "$Recycle.Bin", "Cat.LRDATA", "FOUND.000"])
def test_machine_folders_are_left_out_and_counted_by_name(tmp_path, name):
    put(tmp_path, "apple/1.png", f"apple/{name}/1.png/SYNOPHOTO_THUMB_M.jpg", f"{name}/x/2.png")
    scan = walk(str(tmp_path), Picking())
    assert scan.images == ["apple/1.png"]
    assert scan.left.machine.total() == 2
    assert len(scan.left.words()) == 1
    assert "2 machine folders or files left out" in scan.left.words()[0]
    for how in ({"machine_folders": True}, {"rules": 1}):
        assert len(images(tmp_path, **how)) == 3


@pytest.mark.parametrize(
    "name", ["tmp", "recycle", "eaDir", "snapshot", "thumbs", "originals", "lost and found", "found"]
)
def test_labels_that_only_sound_like_machines_are_labels(tmp_path, name):
    put(tmp_path, f"{name}/1.png", f"a/{name}/2.png", "a/album.jpg", "a/SYNO.jpg", "a/albumart.png")
    assert len(images(tmp_path)) == 5


def test_a_machine_folder_may_be_built_itself(tmp_path):
    put(tmp_path / "#recycle", "apple/1.png", "pear/1.png", "pear/@eaDir/1.png")
    source = opened(tmp_path / "#recycle")
    assert [image.label for image in source.images] == ["apple", "pear"]


def test_of_a_photo_library_the_photos_are_read(tmp_path):
    put(tmp_path / "My.photoslibrary", "originals/A/1.jpg", "resources/derivatives/A/1_1.jpg", "private/x/1.jpg")
    assert images(tmp_path) == ["My.photoslibrary/originals/A/1.jpg"]
    assert images(tmp_path / "My.photoslibrary") == ["originals/A/1.jpg"]


def test_loose_previews_are_machine_files(tmp_path):
    put(tmp_path, "a/SYNOPHOTO_THUMB_XL.jpg", "a/AlbumArtSmall.jpg", "a/~$1.jpg", "a/folder.jpg")
    put(tmp_path, "a/AlbumArt_{5FA05D35-A682-4AF6-96F7-0773E42D4D16}_Large.jpg")
    scan = walk(str(tmp_path), Picking())
    assert scan.images == ["a/folder.jpg"]
    assert dict(scan.left.machine) == {"SYNOPHOTO_*": 1, "AlbumArt*": 2, "~$*": 1}


def test_where_only_machine_folders_hold_images_the_setting_is_named(tmp_path):
    put(tmp_path / "p", "@eaDir/1.png")
    with pytest.raises(SourceError) as caught:
        opened(tmp_path / "p")
    assert "@eaDir 1" in caught.value.message
    assert "--set dataset.machine_folders=true" in str(caught.value.hint)
    assert len(opened(tmp_path / "p", machine_folders=True).images) == 1


@pytest.mark.parametrize("key", ["follow_links", "machine_folders"])
def test_only_folders_are_walked_through(tmp_path, key):
    with pytest.raises(SourceError, match=f"dataset.{key} is for folder:PATH"):
        opened(tmp_path, spec="digits", **{key: True})


@pytest.fixture
def linked(tmp_path):
    """(root, store): class folders that are links to folders outside, and links of every unhappy kind."""
    root, store = tmp_path / "linked", tmp_path / "store"
    put(store, "apples/1.png", "apples/deep/2.png", "pears/1.png", "more/plums/1.png")
    root.mkdir()
    (root / "apple").symlink_to(store / "apples")
    (root / "pear").symlink_to(store / "pears")
    return root, store


def test_linked_folders_are_followed_when_that_is_asked(linked):
    root, store = linked
    with pytest.raises(SourceError) as caught:
        opened(root)
    assert "2 linked folders not followed" in caught.value.message
    assert caught.value.hint == "--set dataset.follow_links=true follows linked folders"
    source = opened(root, follow_links=True)
    assert [(image.image, image.label) for image in source.images] == [
        ("apple/1.png", "apple"),
        ("apple/deep/2.png", "apple"),
        ("pear/1.png", "pear"),
    ]
    assert source.left_out.words() == [
        f"2 linked folders lead outside of the folder (first: apple -> {store / 'apples'})"
    ]
    assert source.reader().array("apple/deep/2.png").shape == (2, 2)


def test_no_link_leads_around_in_circles_and_nothing_is_read_twice(linked, tmp_path):
    root, store = linked
    put(root, "fig/1.png", "fig/in/2.png")
    for link, target in (
        ("fig/self", "self"),
        ("fig/here", "."),
        ("fig/up", ".."),
        ("fig/above", tmp_path),
        ("fig/slash", "/"),
        ("twice", "fig/in"),
        ("again", store / "apples" / "deep"),
        ("zz", store),
    ):
        (root / link).symlink_to(target)
    (store / "pears" / "back").symlink_to(root)
    (store / "apples" / "pears").symlink_to(store / "pears")
    scan = walk(str(root), Picking(follow_links=True))
    # By the first link in the order of names: "again" comes before "apple", which would have held it too.
    names = ["again/2.png", "apple/1.png", "apple/pears/1.png", "fig/1.png", "fig/in/2.png", "zz/more/plums/1.png"]
    assert sorted(scan.images) == names
    assert scan.rejected == [("fig/self", "folder cannot be read: its link leads nowhere")]
    assert "lead to what is read already (first: apple/deep)" in scan.left.words()[-1]
    assert scan.left.linked == 0


def test_links_follow_the_other_rules_too(linked):
    root, store = linked
    put(store, "bin/1.png", "apples/@eaDir/1.png")
    (root / "#recycle").symlink_to(store / "bin")
    (root / ".hidden").symlink_to(store / "bin")
    scan = walk(str(root), Picking(("pear/**",), follow_links=True))
    assert sorted(scan.images) == ["apple/1.png", "apple/deep/2.png"]
    assert (scan.left.excluded, scan.left.hidden, dict(scan.left.machine)) == (1, 1, {"#recycle": 1, "@eaDir": 1})


def test_a_linked_file_outside_is_read_and_said(tmp_path):
    put(tmp_path, "out.png", "p/a/1.png")
    (tmp_path / "p/a/2.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "p/a/3.png").symlink_to("1.png")
    (tmp_path / "p/a/4.png").symlink_to("../../out.png")
    (tmp_path / "p/a/5.png").symlink_to("../a/1.png")
    (tmp_path / "p/a/6.png").symlink_to(tmp_path / "p/a/1.png")
    source = opened(tmp_path / "p")
    assert len(source.images) == 6
    assert source.left_out.words() == [
        f"2 linked files lead outside of the folder (first: a/2.png -> {tmp_path / 'out.png'})"
    ]
    assert opened(tmp_path / "p", decoding=FIRST).left_out.words() == []


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    put(tmp_path / "p", "a/1.png", "b/1.png")
    real = os.scandir

    def refusing(path):
        if str(path).rstrip("/").endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert opened(tmp_path / "p").rejected == [("b", "folder cannot be read: Permission denied")]


def test_a_folder_to_query_with_gives_what_a_build_would_read(tmp_path, monkeypatch):
    put(tmp_path / "p", "a/1.jfif", "a/@eaDir/1.png", "b.heic")
    monkeypatch.chdir(tmp_path)
    assert list(query_files(["p"], [])) == ["p/a/1.jfif", "p/b.heic"]


def test_what_was_left_out_is_counted_by_kind_and_kept_short():
    left = LeftOut(hidden=1)
    left.others.update({f"s{number:03}": 1 for number in range(100)} | {"heic": 2, "txt": 7, "\udcff": 1})
    assert left.words() == ["111 other files ignored (heic 2, txt 7, s000 1, s001 1, s002 1, s003 1, ...)"]
    kept = left.to_json()
    assert (len(kept["others"]), sum(kept["others"].values())) == (41, 110)
    json.dumps(kept).encode()
    assert LeftOut().to_json() == {}


def said(*words, home):
    return run_cli(*words, "--home", home, check=0).stderr


def test_what_was_left_out_is_said_at_every_build_and_sync_and_reported(photos, home):
    put(photos, "class 0/@eaDir/00.png/SYNOPHOTO_THUMB_M.jpg", "class 1/a.txt", "class 1/b.txt", "class 2/.c.png")
    files = "3 other files ignored (txt 2, hidden 1)"
    folders = "1 machine folder or file left out (@eaDir 1): --set dataset.machine_folders=true takes them in"
    for _ in range(2):
        lines = said("build", photos, *FAST, home=home)
        assert (lines.count(files), lines.count(folders)) == (1, 1), lines
    wanted = {"others": {"txt": 2}, "hidden": 1, "machine": {"@eaDir": 1}}
    assert json.loads(artifact_file(home, "dataset", "manifest.json").read_bytes())["facts"]["left_out"] == wanted
    report = json.loads((home / "builds" / "photos" / "report.json").read_bytes())
    assert report["left_out"] == wanted
    page = (home / "builds" / "photos" / "report.html").read_text()
    assert "@eaDir" in page
    picture(1, 99).save(photos / "class 1" / "new.png")
    put(photos, "class 1/new.heics.txt")
    files = files.replace("3 other", "4 other").replace("txt 2", "txt 3")
    for words in (["sync", "--dry-run"], ["sync"], ["sync"], ["build", photos, *FAST]):
        lines = said(*words, home=home)
        assert (lines.count(files), lines.count(folders)) == (1, 1), (words, lines)
    done = json.loads(run_cli("sync", "--json", "--home", home, check=0).stdout)
    assert done["left_out"] == {**wanted, "others": {"txt": 3}}
    more = run_cli("build", photos, *FAST, "--set", "dataset.machine_folders=true", "--home", home, check=0)
    assert record(home)["images"] == 32
    assert "machine" not in more.stderr


def test_pictures_that_only_an_extra_reads_are_set_aside_named_and_no_reason_to_stop(photos, home, monkeypatch):
    pytest.importorskip("pillow_heif")
    import sys

    import pillow_heif

    from simsearch.images.formats import formats

    def add(number):
        heif = pillow_heif.from_pillow(picture(1, number, 64).convert("RGB"))
        heif.save(photos / "class 1" / f"IMG_{number}.HEIC", quality=90)

    for number in range(10):
        add(number)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pillow_heif", None)
        without.setattr(formats, "find_spec", lambda name: None)
        lines = [said("build", photos, *FAST, home=home) for _ in range(2)]
        assert all(f"10 pictures that nothing here reads (heic 10): {EXTRA}" in one for one in lines), lines
        assert "up to date" in lines[1]
        add(10)
        lines = [said("sync", home=home) for _ in range(2)]
        assert all(f"11 pictures that nothing here reads (heic 11): {EXTRA}" in one for one in lines), lines
        assert record(home)["images"] == 30
        only = photos.parent / "only"
        only.mkdir()
        (photos / "class 1" / "IMG_0.HEIC").rename(only / "x.heic")
        done = run_cli("build", only, *FAST, "--home", home, check=2)
        assert EXTRA in done.stderr
    assert "10 added" in said("sync", home=home)


def test_a_build_with_an_extra_stands_where_it_is_not_installed(photos, home, monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    from simsearch.images.formats import formats

    pillow_heif.from_pillow(picture(1, 3, 64).convert("RGB")).save(photos / "class 1" / "x.heic", quality=90)
    said("build", photos, *FAST, home=home)
    before = record(home)
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    lines = said("build", photos, *FAST, home=home)
    assert "1 picture that nothing here reads (heic 1)" in lines
    assert "up to date" in lines
    assert "up to date" in said("sync", home=home)
    assert record(home) == before


def test_images_that_a_layout_leaves_aside_are_counted_and_said_each_time(tmp_path):
    put(tmp_path / "p", "train/good/1.png", "train/bad/1.png", "test/good/2.png", "ground_truth/bad/1.png", "val/x.png")
    source = opened(tmp_path / "p")
    assert source.notes == []
    assert source.left_out.to_json() == {"aside": {"ground_truth": 1, "val": 1}}
    assert len(source.left_out.words()) == 2


def test_linked_class_folders_are_built_synced_queried_and_verified(tmp_path, home):
    store, root = write_folder(tmp_path / "store"), tmp_path / "photos"
    root.mkdir()
    for folder in store.iterdir():
        (root / folder.name).symlink_to(folder)
    refused = run_cli("build", root, *FAST, "--home", home, check=2).stderr
    assert "--set dataset.follow_links=true" in refused
    follow = ["--set", "dataset.follow_links=true"]
    assert "3 linked folders lead outside of the folder (first: class 0 -> " in said(
        "build", root, *FAST, *follow, home=home
    )
    assert "up to date" in said("build", root, *FAST, *follow, home=home)
    picture(2, 55).save(store / "class 2" / "new.png")
    lines = said("sync", home=home)
    assert "1 added" in lines
    assert "3 linked folders lead outside of the folder (first: class 0 -> " in lines
    own = root / "class 2" / "new.png"
    found = json.loads(run_cli("query", own, "-k", "1", "--json", "--home", home, check=0).stdout)["hits"][0]
    assert (found["image"], found["path"]) == ("class 2/new.png", str(own))
    run_cli("index", "verify", "photos", "--home", home, check=0)
    montage = tmp_path / "m.png"
    run_cli("query", own, "--montage", montage, "--home", home, check=0)
    assert montage.exists()
    (store / "class 1").rename(store / "away")
    done = run_cli("sync", "--home", home, check=2).stderr
    assert "10 images of build photos lie in it, nothing was deleted" in done
