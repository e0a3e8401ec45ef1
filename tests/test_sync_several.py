"""Several builds of one folder, and a look that counts what cannot be read as the sync will."""

from __future__ import annotations

import json
import shutil

import pytest
from commands import run_cli
from conftest import picture
from sealing import seal
from synced import record, state_of

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


@pytest.fixture
def two(ours):
    """(folder, home) with a second, older build of the folder, and one of elsewhere."""
    folder, home = ours
    first = record(home)
    for name, more in (("other", {}), ("elsewhere", {"source": f"folder:{folder}-not"}), ("hidden", {"listed": False})):
        seal(home / "builds" / f"{name}.json", {**first, "when": "2020-01-01T00:00:00+00:00", **more})
        shutil.copytree(home / "builds" / "photos", home / "builds" / name)
    picture(1, 70).save(folder / "class 1" / "new.png")
    return folder, home


def test_the_other_builds_of_a_folder_are_named(two):
    folder, home = two
    done = run_cli("sync", folder, "--home", home, check=0)
    assert f"other was made from it too: simsearch sync {folder} --all --home {home}" in done.stderr.splitlines()
    assert "synced" not in record(home, "other")
    bare = run_cli("sync", "--home", home, check=0)
    assert f"other was made from it too: simsearch sync {folder} --all --home {home}" in bare.stderr.splitlines()
    assert "made from it" not in run_cli("sync", "--build", "photos", "--home", home, check=0).stderr


def test_all_of_them_are_synced(two):
    folder, home = two
    done = run_cli("sync", folder, "--all", "--json", "--home", home, check=0)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["build"], one["added"], one["images"]) for one in told] == [("photos", 1, 31), ("other", 1, 31)]
    assert record(home, "photos")["stages"]["index"] == record(home, "other")["stages"]["index"]
    assert not {"elsewhere", "hidden"} & {name for name in ("elsewhere", "hidden") if "synced" in record(home, name)}
    assert "made from it" not in done.stderr
    again = run_cli("sync", folder, "--all", "--home", home, check=0)
    assert [line.partition(" (")[0] for line in again.stderr.splitlines()[:2]] == [
        "photos is up to date",
        "other is up to date",
    ]


def test_one_that_cannot_be_synced_does_not_keep_back_the_others(two):
    folder, home = two
    broken = record(home)
    broken["stages"] = {**broken["stages"], "index": {"digest": "0" * 64, "content": "0" * 64}}
    seal(home / "builds" / "photos.json", broken)
    done = run_cli("sync", folder, "--all", "--json", "--home", home, check=2)
    bad, good = map(json.loads, done.stdout.splitlines())
    assert set(bad) == {"build", "error"}
    assert (bad["build"], good["build"], good["added"]) == ("photos", "other", 1)
    assert "error: photos: " in done.stderr


def test_a_damaged_build_of_elsewhere_keeps_back_none(two):
    folder, home = two
    broken = home / "builds" / "elsewhere.json"
    broken.write_bytes(broken.read_bytes()[:-9])
    done = run_cli("sync", folder, "--json", "--home", home, check=0)
    assert json.loads(done.stdout)["added"] == 1
    assert f"warning: {broken} is damaged or of another version, so that it is left as it is" in done.stderr
    done = run_cli("sync", folder, "--all", "--json", "--home", home, check=2)
    *good, bad = map(json.loads, done.stdout.splitlines())
    assert [one["build"] for one in good] == ["photos", "other"]
    assert bad == {"build": "elsewhere", "error": f"{broken} is damaged or of another version"}
    assert f"error: elsewhere: {broken} is damaged" in done.stderr
    for name in ("photos", "other"):
        (home / "builds" / f"{name}.json").unlink()
    none = run_cli("sync", folder, "--home", home, check=2).stderr
    assert f"was made from {folder}, as far as can be seen: {broken} is damaged" in none


def test_a_folder_that_was_moved_behind_a_link_is_the_same_one(two):
    folder, home = two
    folder.rename(folder.with_name("new place"))
    folder.symlink_to(folder.with_name("new place"))
    for words in ([], [folder], [folder.with_name("new place")]):
        done = run_cli("sync", *words, "--dry-run", "--home", home, check=0)
        assert "photos: 1 added" in done.stderr
        assert "other was made from it too" in done.stderr


def test_which_build_is_synced_is_said_before_the_work_where_another_may_be_meant(two):
    folder, home = two
    assert "Syncing" not in run_cli("sync", folder, "--dry-run", "--home", home, check=0).stderr
    path = home / "builds" / "other.json"
    seal(path, {**record(home, "other"), "when": "2099-01-01T00:00:00+00:00"})
    first = run_cli("sync", folder, "--home", home, check=0).stderr.splitlines()[0]
    assert first == (
        f"Syncing other, the newest build of {folder}; left as they were: photos. For photos: "
        f"simsearch sync {folder} --build photos --home {home}"
    )
    assert "synced" not in record(home)
    assert "synced" in record(home, "other")


@pytest.mark.parametrize("words", [["--all"], ["photos", "--all", "--build", "other"]])
def test_all_goes_with_a_folder_alone(words, home):
    done = run_cli("sync", *words, "--home", home, check=2)
    assert "--all syncs every build of a FOLDER: simsearch sync FOLDER --all, without --build" in done.stderr


def damage(folder):
    """New, changed and moved images, sound ones and such that cannot be read, for different reasons."""
    picture(0, 80).save(folder / "class 0" / "new.png")
    whole = (folder / "class 0" / "new.png").read_bytes()
    (folder / "class 0" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "class 0" / "text.jpg").write_bytes(b"<html>not found</html>")
    (folder / "class 1" / "cut.jpg").write_bytes(JPEG)
    (folder / "class 1" / "empty.png").touch()
    (folder / "class 2" / "03.png").write_bytes(b"junk")  # was sound
    (folder / "class 2" / "04.png").unlink()
    picture(2, 81).save(folder / "class 2" / "05.png")
    (folder / "class 2" / "06.png").rename(folder / "class 2" / "moved.png")


@pytest.mark.parametrize("share", [0.5, 0.05], ids=["few", "too many"])
def test_a_look_counts_what_cannot_be_read_as_the_sync_will(ours, share):
    folder, home = ours
    changed = record(home)
    changed["recipe"]["dataset"]["max_bad_fraction"] = share
    seal(home / "builds" / "photos.json", changed)
    damage(folder)
    before = state_of(home)
    look = run_cli("sync", folder, "--dry-run", "--json", "--home", home, check=0 if share == 0.5 else 1)
    assert state_of(home) == before
    seen = json.loads(look.stdout)
    assert (seen["added"], seen["changed"], seen["moved"], seen["deleted"], seen["set_aside"]) == (1, 1, 1, 2, 5)
    if share < 0.5:
        done = run_cli("sync", folder, "--home", home, check=2)
        (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
        assert f"Before they are mended, sync stops here: {error.removeprefix('error: ')}" in look.stderr
        return
    done = run_cli("sync", folder, "--json", "--home", home, check=0)
    made = json.loads(done.stdout)
    for key in ("seconds", "dry_run", "compacted"):
        del made[key], seen[key]
    assert made == seen
    said = [line for line in done.stderr.splitlines() if "set aside (" in line]
    assert [line for line in look.stderr.splitlines() if "set aside (" in line] == said != []
    after = json.loads(run_cli("sync", folder, "--dry-run", "--json", "--home", home, check=0).stdout)
    assert (after["up_to_date"], after["set_aside"]) == (True, 5), "what is known is not looked at again"
