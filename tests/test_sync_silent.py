"""What a sync says that changes no row: files that cannot be used, and labels that others take the place of."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest
from conftest import SMALL, picture, retrains, run_cli, write_folder
from synced import state_of, sync

from simsearch import hashing
from simsearch.images.formats.formats import EXTRA
from simsearch.images.quarantine import SetAside, told
from simsearch.stages.dataset import check_synced

FROZEN = [*SMALL, "--set", "training.epochs=0", "--set", "evaluation.baseline=false"]


@pytest.fixture
def refused(ours):
    """(folder, home), where a sync set an unreadable file aside."""
    folder, home = ours
    (folder / "class 1" / "broken.png").write_bytes(b"\x89PNG no more")
    assert sync(home).counts["set_aside"] == 1
    return folder, home


def lay_on_top(folder, count):
    for number in range(count):
        picture(number, number).save(folder / f"new{number}.png")


def test_what_is_refused_is_counted_at_every_sync(ours):
    folder, home = ours
    picture(7, 70).save(folder / "new.png")
    for _ in range(2):
        done = run_cli("sync", "--json", "--home", home, check=0)
        assert "photos is up to date (30 images" in done.stderr
        assert "1 set aside (no label: lies beside the class folders 1): new.png\n" in done.stderr
        said = json.loads(done.stdout)
        assert (said["up_to_date"], said["set_aside"], said["lists"]["set_aside"]) == (True, 1, ["new.png"])
        assert said["set_aside_reasons"] == {"no label: lies beside the class folders": 1}


def test_what_was_set_aside_before_is_counted_again_and_not_read_again(refused, monkeypatch):
    folder, home = refused
    done = run_cli("sync", "--json", "--home", home, check=0)
    assert "photos is up to date" in done.stderr
    assert "1 set aside (" in done.stderr
    assert "): class 1/broken.png\n" in done.stderr
    assert json.loads(done.stdout)["set_aside"] == 1
    monkeypatch.setattr(hashing, "RACY_NS", -(10**15))
    sync(home)
    real, read = hashing._hash, []
    monkeypatch.setattr(hashing, "_hash", lambda path: (read.append(str(path)), real(path))[1])
    assert sync(home).counts["set_aside"] == 1
    assert not [path for path in read if path.startswith(str(folder))]


def test_a_build_that_leaves_a_synced_one_counts_it(refused):
    folder, home = refused
    done = run_cli("build", folder, *SMALL, "--home", home, check=0)
    assert "photos is up to date, synced" in done.stderr
    assert "1 set aside (" in done.stderr
    assert "): class 1/broken.png" in done.stderr


@pytest.mark.parametrize("kind", ["on top", "broken links", "pipes"])
def test_too_many_that_are_refused_stop_a_sync_that_finds_nothing_else(ours, kind):
    folder, home = ours
    before = state_of(home)
    for number in range(12):
        path = folder / "class 1" / f"bad{number:02}.png"
        if kind == "broken links":
            path.symlink_to("nowhere")
        elif kind == "pipes":
            os.mkfifo(path)
    if kind == "on top":
        lay_on_top(folder, 12)
    done = run_cli("sync", "--home", home, check=2)
    assert "12 of 42 images cannot be used, more than max_bad_fraction = 0.05 allows" in done.stderr
    hint = done.stderr.partition("hint: ")[2]
    assert hint.startswith("mend or remove them and sync again (until then the build stays as it is), or simsearch b")
    again = retrains(folder, home)
    assert re.search(f"or {again} with another --set dataset.max_bad_fraction", hint)
    assert bool(re.search(f"{again} --set dataset.labels=false builds without labels", hint)) == (kind == "on top")
    assert state_of(home) == before
    said = run_cli("sync", "--dry-run", "--home", home, check=1).stderr
    assert "Before they are mended, sync stops here: 12 of 42 images cannot be used" in said


def test_rows_of_a_list_and_its_header(ours, tmp_path):
    folder, home = ours
    table = tmp_path / "list.csv"
    rows = [f"photos/{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.rglob("*.png"))]
    table.write_text("\n".join(["path,label", *rows]))
    run_cli("build", table, *FROZEN, "--home", home, check=0)
    table.write_text("\n".join(["path,label", *rows, rows[0]]))
    assert "1 set aside (listed twice 1): photos/" in run_cli("sync", table, "--home", home, check=0).stderr
    table.write_text("\n".join(["path,label", *rows, *(f"photos/none{n}.png,a" for n in range(9)), *rows[:3]]))
    done = run_cli("sync", table, "--home", home, check=2).stderr
    assert "12 of 42 images cannot be used" in done
    assert "hint: mend or remove these rows and sync again" in done
    table.write_text("\n".join(["where,label", *rows]))
    done = run_cli("sync", table, "--home", home, check=2).stderr
    assert "has no column path" in done
    assert "hint: mend the list and run the same command again" in done
    assert "bring the images back" not in done
    table.write_text("\n".join(["path,label", *rows]))
    shutil.move(folder, tmp_path / "away")
    assert "hint: bring the images back" in run_cli("sync", table, "--home", home, check=2).stderr


def test_a_list_that_names_a_new_image_twice_adds_it(ours, tmp_path):
    folder, home = ours
    table = tmp_path / "list.csv"
    rows = [f"photos/{path.relative_to(folder)},{path.parent.name}" for path in sorted(folder.rglob("*.png"))]
    table.write_text("\n".join(["path,label", *rows]))
    run_cli("build", table, *FROZEN, "--home", home, check=0)
    picture(7, 70).save(folder / "class 1" / "new.png")
    table.write_text("\n".join(["path,label", *rows, *["photos/class 1/new.png,class 1"] * 2]))
    done = sync(home, str(table))
    assert (done.counts["added"], done.counts["set_aside"]) == (1, 1)


def test_what_only_lacks_an_extra_is_no_reason_to_stop():
    bad = [SetAside(f"{number}.heic", f"HEIF needs what is not installed: {EXTRA}") for number in range(9)]
    check_synced(bad, 10, 0.05, listed=False)


def test_reasons_are_told_by_what_they_have_in_common():
    bad = [SetAside(f"{n}.png", f'not an image (first bytes: "{n}")') for n in range(4)]
    bad += [SetAside("a\n.png", "no label: lies beside the class folders"), SetAside("b", "too large: 7 bytes")]
    assert told(bad) == (
        "6 set aside (not an image 4, no label: lies beside the class folders 1, too large 1): 0.png, 1.png, 2.png "
        "and 3 more"
    )
    assert told(bad[4:5]).endswith(r": a\x0a.png")


def test_folders_that_are_moved_into_one_stop_a_sync(ours):
    folder, home = ours
    before = state_of(home)
    (folder / "all").mkdir()
    for label in ("class 0", "class 1", "class 2"):
        (folder / label).rename(folder / "all" / label)
    for more in ([], ["--dry-run"]):
        done = run_cli("sync", *more, "--home", home, check=2).stderr
        assert "3 labels of build photos would become one, all: class 0, class 1, class 2 (30 images moved" in done
        assert "nothing was changed" in done
        assert re.search(f"{retrains(folder, home)} makes it anew", done.partition("hint: ")[2])
    assert state_of(home) == before
    (folder / "all" / "class 2").rename(folder / "class 2")
    done = run_cli("sync", "--home", home, check=2).stderr
    assert "2 labels of build photos would become one, all: class 0, class 1 (20 images" in done


def test_another_name_for_a_label_is_said_and_so_are_doubts(ours):
    folder, home = ours
    (folder / "train").mkdir()
    (folder / "class 0").rename(folder / "train" / "class 0")
    (folder / "class 1" / "00.png").rename(folder / "class 2" / "other.png")
    done = run_cli("sync", "--json", "--home", home, check=0)
    assert "11 moved, 11 of them with another label now: class 0 -> train 10, class 1 -> class 2 1 (" in done.stderr
    assert "warning: train looks like a split of a data set and is taken as a label" in done.stderr
    said = json.loads(done.stdout)
    assert (said["moved"], said["relabelled"]) == (11, 11)
    done = run_cli("sync", "--json", "--home", home, check=0)
    assert "warning: train looks like a split" in done.stderr, "also when nothing changed"
    assert json.loads(done.stdout)["relabelled"] == 0


def test_a_link_that_takes_the_place_of_another_is_said(tmp_path):
    folder, home, away = tmp_path / "p", tmp_path / "home", tmp_path / "away"
    write_folder(folder)
    write_folder(away)
    (folder / "k1").symlink_to(away / "class 1")
    picture(90, 90).save(away / "class 1" / "own.png")
    run_cli("build", folder, *FROZEN, "--set", "dataset.follow_links=true", "--home", home, check=0)
    (folder / "aaa").symlink_to(away / "class 1")
    done = run_cli("sync", "--home", home, check=0).stderr
    assert "11 of them with another label now: k1 -> aaa 11" in done
    assert "leads to what is read already (first: k1)" in done


def test_a_few_pictures_of_several_labels_may_move(ours):
    """Two labels are emptied, picture by picture, into both of the others that are left."""
    folder, home = ours
    (folder / "class 3").mkdir()
    for number, path in enumerate(sorted((folder / "class 0").glob("*.png"))):
        path.rename(folder / ("class 2" if number % 2 else "class 3") / f"moved{number}.png")
    done = run_cli("sync", "--home", home, check=0).stderr
    assert "10 moved, 10 of them with another label now: class 0 -> class 2 5, class 0 -> class 3 5" in done
