"""Groups: told by a pattern over paths, kept whole by every split, carried through a sync."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from conftest import SMALL, picture, run_cli
from hypothesis import given, settings
from hypothesis import strategies as st
from synced import record, sync

from simsearch.changes.compare import compare
from simsearch.changes.state import State
from simsearch.errors import SourceError
from simsearch.images.choosing import share_of
from simsearch.images.records import RecordTable, extend_records, read_names, read_records, write_records
from simsearch.images.sources.groups import by_pattern, told
from simsearch.images.sources.source import SourceImage
from simsearch.images.sources.tables import open_table
from simsearch.images.splits import assign


def images(*names, split=None):
    return [SourceImage(name, name.split("/")[-2], split) for name in names]


def groups(pattern, *names, split=None):
    return [image.group for image in by_pattern(images(*names, split=split), pattern)]


def test_the_first_parenthesis_is_the_group_else_all_that_matches():
    assert groups(r"(.*)_exp\d+", "a/x_exp1.png", "a/x_exp2.png", "b/x_exp1.png", "b/y.png") == [
        "a/x",
        "a/x",
        "b/x",
        "",
    ]
    assert groups(r"([^/]*)_exp\d+", "a/x_exp1.png", "b/x_exp1.png") == ["x", "x"], "the file's name alone, if asked"
    assert groups(r"^[^_]*", "a/x_1.png", "a/x_2.png", "a/y_1.png") == ["a/x", "a/x", "a/y"]
    assert groups(r"(\d)?x", "a/1x.png", "a/x.png") == ["1", ""], "a parenthesis that takes no part finds nothing"


def test_a_split_folder_is_no_part_of_the_group():
    both = [*images("train/a/1_exp1.png", split="train"), *images("Test/a/1_exp2.png", split="test")]
    assert {image.group for image in by_pattern(both, r"(.*)_exp\d")} == {"a/1"}
    below = [SourceImage(f"a/{split}/1_exp{n}.png", "a", split) for n, split in enumerate(("train", "test"))]
    assert {image.group for image in by_pattern(below, r"(.*)_exp\d")} == {"a/1"}
    assert groups(r"(.*)_exp\d", "train/a/1_exp1.png") == ["train/a/1"], "no split, no split folder"


def test_composed_and_decomposed_names_are_one_group():
    assert len(set(groups("(.*)_", "a/e\u0301_1.png", "a/\u00e9_2.png"))) == 1


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "no regular expression: missing )"),
        ("[a-", "no regular expression: unterminated character set"),
        ("*x", "no regular expression: nothing to repeat"),
        ("(?P<1>x)", "no regular expression: bad character in group name"),
        ("zzz", "matches none of 2 images, as 'a/1.png'"),
        ("z*", "matches none of 2 images"),
        ("()", "matches none of 2 images"),
    ],
)
def test_a_pattern_that_finds_nothing_is_refused(pattern, words):
    with pytest.raises(SourceError, match=re.escape(words)) as caught:
        groups(pattern, "a/1.png", "a/2.png")
    assert "regular expression" in caught.value.hint


def test_what_is_said_of_groups():
    def said(pattern, *names):
        return told(by_pattern(images(*names), pattern), "here")

    assert said("(.)_", "a/1_1", "a/1_2", "b/2_1") == ["2 groups of 3 images, the largest of 2, by here"]
    assert said("(.)_", "a/1_1", "a/2_1") == ["here finds no two images of one group: it changes nothing"]
    assert said("(.)_", "a/1_1", "a/1_2", "b/x")[1] == "1 image is without a group, as 'b/x': each is one of its own"
    assert said("(.)_", "a/1_1", "b/1_2", "b/2_2")[1].startswith("1 group has images of several labels, as '1' (a, b)")
    with pytest.raises(SourceError, match="all 2 images into one group, '1'"):
        said("(1)_", "a/1_1", "b/1_2")


ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 9)), min_size=6, max_size=60)


def made(rows, splits=()):
    found = []
    for number, (label, group) in enumerate(rows):
        split = splits[number % len(splits)] if splits else None
        found.append(SourceImage(f"{label}/{number:02d}", str(label), split, "" if group < 0 else f"g{group}"))
    return found


def run(found, *, split="closed", seed=0, labelled=True, test_classes=0.5):
    hashes = [hashlib.sha256(image.image.encode()).hexdigest() for image in found]
    return assign(found, hashes, split=split, test_classes=test_classes, seed=seed, labelled=labelled)


def together(records):
    """The records of each group of two or more."""
    whole = defaultdict(list)
    for one in records:
        if one.group:
            whole[one.group].append(one)
    return whole.values()


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 3), reach=st.integers(1, 3))
def test_no_group_is_on_two_sides(rows, seed, reach):
    """Groups within a label (reach 1) or over labels, smaller and larger than its share, or all of a label."""
    rows = [
        (label, group if group < 0 else group // reach * 10 + (label if reach == 1 else 0)) for label, group in rows
    ]
    found = made(rows)
    several = Counter(label for label, _ in {(i.label, i.group or i.image) for i in found})
    records, _ = run(found, seed=seed)
    if not any(one.query and not one.gallery for one in records):  # no label can be parted: all are searched in
        assert reach > 1 or max(several.values()) < 2
        assert all(one.gallery and not one.fit for one in records)
        return
    assert sorted((one.image, one.group) for one in records) == sorted((one.image, one.group) for one in found)
    for members in together(records):
        assert len({(one.fit, one.val, one.gallery, one.query) for one in members}) == 1
    for one in records:
        assert one.gallery == (one.fit or one.val) == (not one.query)
    sides = defaultdict(set)
    for one in records:
        sides[one.label].add("fit" if one.fit else "query" if one.query else "val")
    assert all("fit" in seen for seen in sides.values()), "every label has something left to find and to train on"
    if reach == 1:  # nothing but its own label decides
        for label, count in several.items():
            assert ("query" in sides[label]) == (count >= 2)


def test_the_share_is_kept_with_groups():
    rows = [(label, 20 * label + number // 6) for label in range(4) for number in range(120)]
    records, _ = run(made(rows))
    assert all(20 <= count <= 28 for count in Counter(one.label for one in records if one.query).values())
    assert 24 <= sum(one.val for one in records) <= 50
    small = [(label, 20 * label + number // 6) for label in range(60) for number in range(12)]
    records, _ = run(made(small))
    assert set(Counter(one.label for one in records if one.query).values()) == {6}
    # No group of six is a tenth of the six that are left to train on, and one group is always left.
    assert not any(one.val for one in records)
    middle = [(label, 20 * label + number // 6) for label in range(60) for number in range(18)]
    assert 36 <= sum(one.val for one in run(made(middle))[0]) <= 120, "a tenth of 720, in whole groups of 6"


def test_a_group_larger_than_its_share_and_a_label_of_one_group():
    rows = [(0, 1)] * 9 + [(0, -1)] * 2 + [(1, 2)] * 5 + [(1, 3)] * 6 + [(2, 4)] * 7
    records, notes = run(made(rows))
    queries = [one for one in records if one.query]
    assert {one.group for one in queries if one.label == "0"} == {""}, "two of eleven, the large group stays"
    assert {one.group for one in queries if one.label == "1"} == {"g2"}, "the smaller of two that are both too large"
    assert not [one for one in queries if one.label == "2"]
    assert notes == ["1 class has one group: kept in the gallery, never searched with"]


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 3))
def test_disjoint_and_unlabelled_splits_keep_groups_whole(rows, seed):
    found = [SourceImage(one.image, "", None, one.group) for one in made(rows)]
    records, _ = run(found, labelled=False, seed=seed)
    for members in together(records):
        assert len({(one.gallery, one.query) for one in members}) == 1
    assert len({one.group or one.image for one in found}) < 2 or any(one.query for one in records)
    try:
        records, notes = run(made(rows), split="disjoint", test_classes=2, seed=seed)
    except SourceError:
        return
    for members in together(records):
        used = [one for one in members if one.fit or one.val or one.gallery]
        assert len({(one.fit, one.val, one.gallery) for one in used}) < 2
    aside = sum(not (one.fit or one.val or one.gallery) for one in records)
    assert (f"{aside} image" in notes[0] and "not trained on" in notes[0]) if aside else not notes


def test_an_official_split_that_parts_a_group_is_kept_and_said():
    rows = [(label, 10 * label + number // 2) for label in range(3) for number in range(8)]
    found = made(rows, splits=["train"])
    parted = [
        SourceImage(one.image, one.label, "test" if i % 8 in (1, 6, 7) else "train", one.group)
        for i, one in enumerate(found)
    ]
    records, notes = run(parted)
    assert {one.image for one in records if one.query} == {one.image for one in parted if one.split == "test"}
    assert notes == [
        "3 groups are on both sides of the split (6 images, as 'g0'): kept as the source splits them; no query finds "
        "its own group in evaluation"
    ]
    whole = [
        SourceImage(i.image, i.label, "test" if n % 8 in (6, 7) else "train", i.group) for n, i in enumerate(found)
    ]
    assert run(whole)[1] == []
    watched = [SourceImage(i.image, i.label, "val" if n % 8 == 1 else "train", i.group) for n, i in enumerate(found)]
    records, notes = run(watched)
    assert not [one for one in records if one.query and one.group in {"g0", "g10", "g20"}]
    assert notes[0].startswith("3 groups are on both sides of the split")


def test_groups_of_one_are_no_groups():
    """The split of images that all are groups of their own is that without groups."""
    rows = made([(n % 5, -1) for n in range(200)])
    records, _ = run(rows)
    assert Counter(one.label for one in records if one.query) == dict.fromkeys("01234", share_of(0.2, 40))


def test_adding_an_image_to_a_group_moves_next_to_nothing():
    rows = [(label, 50 * label + number // 4) for label in range(2) for number in range(160)]
    before = {one.image: one.query for one in run(made(rows))[0]}
    after = {one.image: one.query for one in run([*made(rows), SourceImage("0/zz", "0", None, "g3")])[0]}
    assert sum(before[name] != after[name] for name in before) <= 8


def test_the_table_has_a_column_of_groups_only_where_they_are_in_use(tmp_path):
    records, _ = run(made([(n % 2, n // 4) for n in range(40)]))
    for name, grouped in (("with", True), ("without", False)):
        (tmp_path / name).mkdir()
        write_records(tmp_path / name, records, groups=grouped)
    assert (tmp_path / "with" / "images.csv").read_text().splitlines()[0].endswith("sha256,group")
    assert (tmp_path / "without" / "images.csv").read_text().splitlines()[0].endswith("sha256")
    assert list(read_records(tmp_path / "with")) == records
    assert [one.group for one in read_records(tmp_path / "without")] == [""] * 40
    table = RecordTable(tmp_path / "with")
    assert table[7] == records[7]
    assert read_names(tmp_path / "with")[3] == [one.group for one in records]
    assert read_names(tmp_path / "without")[3] is None
    (tmp_path / "more").mkdir()
    more = [records[0].__class__(40, "9/x", "9", False, False, False, False, records[0].sha256, "new")]
    extend_records(tmp_path / "with", tmp_path / "more", {}, more)
    assert list(read_records(tmp_path / "more")) == [*records, *more]


def write_bursts(root, labels=3, bursts=4, shots=4):
    """class/B_N.png: shots of a burst are the same picture but for a little noise that is their own."""
    for label in range(labels):
        (root / f"class {label}").mkdir(parents=True)
        for burst in range(bursts):
            for shot in range(shots):
                one = picture(label, burst)
                one.putpixel((shot, 0), 255 - shot)
                one.save(root / f"class {label}" / f"{burst}_{shot}.png")
    return root


def table_of(home, name="photos"):
    digest = record(home, name)["stages"]["dataset"]["digest"]
    with (home / "artifacts" / "dataset" / digest / "images.csv").open(newline="") as file:
        return list(csv.DictReader(file))


PATTERN = r"dataset.group=(.*)_\d"


@pytest.mark.slow
def test_a_build_with_groups_and_its_syncs(tmp_path):
    folder, home = write_bursts(tmp_path / "photos"), tmp_path / "home"
    args = ["build", folder, *SMALL, "--set", "evaluation.baseline=false", "--home", home]
    done = run_cli(*args, "--set", PATTERN, check=0)
    assert "12 groups of 48 images, the largest of 4, by dataset.group '(.*)_\\d'" in done.stderr
    rows = table_of(home)
    assert {row["group"] for row in rows} == {f"class {label}/{burst}" for label in range(3) for burst in range(4)}
    for members in {row["group"]: [one for one in rows if one["group"] == row["group"]] for row in rows}.values():
        assert len({(one["fit"], one["val"], one["query"]) for one in members}) == 1
    assert "is up to date" in run_cli(*args, "--set", PATTERN, check=0).stderr

    picture(1, 77).save(folder / "class 1" / "9_0.png")
    (folder / "class 0" / "0_1.png").rename(folder / "class 2" / "8_1.png")
    (folder / "class 0" / "1_1.png").unlink()
    sync(home)
    after = {row["image"]: row["group"] for row in table_of(home)}
    assert after["class 1/9_0.png"] == "class 1/9"
    assert after["class 2/8_1.png"] == "class 2/8"
    assert "class 0/0_1.png" not in after
    assert run_cli("sync", "--home", home, check=0).stderr.count("up to date") == 1
    for burst in range(4):  # more than a fifth: written anew as a compaction
        for shot in range(4):
            picture(2, 100 + 4 * burst + shot).save(folder / "class 2" / f"{20 + burst}_{shot}.png")
    assert sync(home).compacted
    rows = table_of(home)
    assert {row["group"] for row in rows if "/2" in row["image"]} >= {f"class 2/{20 + burst}" for burst in range(4)}
    assert len({row["group"] for row in rows}) == 12 + 2 + 4
    plain = run_cli(*args, "--name", "plain", check=0)
    assert "groups of" not in plain.stderr
    assert "group" not in table_of(home, "plain")[0]


def test_a_bad_group_is_one_line_and_nothing_is_built(photos, home):
    for pattern, words in (("(", "no regular expression"), ("zz", "matches none"), ("(.)", "into one group, 'c'")):
        done = run_cli("build", photos, "--set", f"dataset.group={pattern}", "--home", home, check=2)
        assert words in done.stderr
        assert not (home / "builds").exists() or not list((home / "builds").glob("*.json"))
    for value in ('""', "3", "[]"):
        done = run_cli("build", photos, "--set", f"dataset.group={value}", "--home", home, check=2)
        assert "[dataset] group" in done.stderr
    done = run_cli("build", photos, "--set", "dataset.group=class (.)", *SMALL, "--home", home, check=2)
    assert "no image is left to train on" in done.stderr
    done = run_cli("build", "mnist", "--set", "dataset.group=(.)", "--home", home, check=2)
    assert "dataset.group is for folder:PATH and table:FILE" in done.stderr


def listed(root, text, **options):
    for name in re.findall(r"^[^,\n]+\.png", text, re.MULTILINE):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(0, len(name)).save(root / name)
    (root / "list.csv").write_text(text)
    return open_table(str(root / "list.csv"), spec="table:list.csv", root=None, base=str(root), **options)


LIST = "path,label,Serial No\n1.png,a,7\n2.png,a, 7 \n3.png,b,e\u0301\n4.png,b,\u00e9\n5.png,b,\n"


def test_a_column_of_a_list_tells_the_groups(tmp_path):
    source = listed(tmp_path, LIST, group="serial no")
    assert [image.group for image in source.images] == ["7", "7", "\u00e9", "\u00e9", ""]
    assert source.notes == [
        "3 groups of 5 images, the largest of 2, by the column serial no",
        "1 image is without a group, as '5.png': each is one of its own",
    ]
    without = listed(tmp_path, LIST)
    assert [image.group for image in without.images] == [""] * 5
    assert without.rows != source.rows
    assert without.rows == listed(tmp_path, LIST.replace(",7\n", ",8\n")).rows, "a column that is not asked for is none"
    assert source.rows != listed(tmp_path, LIST.replace(",7\n", ",8\n"), group="Serial No").rows


def test_a_list_takes_a_pattern_too_and_says_which_columns_it_has(tmp_path):
    text = "path,label\n" + "".join(f"{label}/{n}_{s}.png,{label}\n" for label in "ab" for n in (1, 2) for s in (1, 2))
    source = listed(tmp_path, text, group=r"(.*)_\d")
    assert sorted({image.group for image in source.images}) == ["a/1", "a/2", "b/1", "b/2"]
    assert source.notes[0].endswith(r"by dataset.group '(.*)_\d'")
    with pytest.raises(SourceError, match=r"'serial', and .* has no such column \(seen: path, label\)"):
        listed(tmp_path, text, group="serial")
    with pytest.raises(SourceError, match="all 8 images into one group, 'x'"):
        listed(
            tmp_path,
            text.replace("label\n", "label,of\n", 1).replace(",a\n", ",a,x\n").replace(",b\n", ",b,x\n"),
            group="of",
        )


def test_a_column_of_a_parquet_list_may_be_one_that_is_read_anyway(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for number in range(4):
        picture(0, number).save(tmp_path / f"{number}.png")
    columns = {"path": [f"{n}.png" for n in range(4)], "label": ["a", "a", "b", "b"], "of": [1, 1, 2, None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "list.parquet")
    for column, expected in (("of", ["1", "1", "2", ""]), ("label", ["a", "a", "b", "b"])):
        source = open_table(str(tmp_path / "list.parquet"), spec="x", root=None, base=str(tmp_path), group=column)
        assert [image.group for image in source.images] == expected


def test_another_group_of_the_same_picture_is_a_change():
    state = State(["a", "b"], ["x", "x"], ["0", "1"], np.empty(0, np.int64), {}, ["g", "h"])
    now = [(SourceImage("a", "x", None, "g"), "0"), (SourceImage("b", "x", None, "new"), "1")]
    found = compare(now, [], state)
    assert [(move.row, move.now.group) for move in found.moved] == [(1, "new")]
    other = compare([now[0], (SourceImage("b", "x", None, "newer"), "1")], [], state)
    assert other.digest() != found.digest()
    unknown = State(["a", "b"], ["x", "x"], ["0", "1"], np.empty(0, np.int64), {})
    assert compare(now, [], unknown).count == 0, "a build without groups knows none"


@pytest.mark.slow
def test_a_list_with_groups_is_built_and_synced(tmp_path):
    folder, home = write_bursts(tmp_path / "photos"), tmp_path / "home"
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    rows = [f"{name},{name.split('/')[0]},{name.split('_')[0]}" for name in names]
    (folder / "list.csv").write_text("\n".join(["path,label,of", *rows]))
    args = [
        "build",
        folder / "list.csv",
        *SMALL,
        "--set",
        "training.epochs=0",
        "--home",
        home,
        "--set",
        "dataset.group=of",
    ]
    run_cli(*args, "--name", "photos", check=0)
    whole = {row["image"]: row["group"] for row in table_of(home)}
    assert whole == {name: name.split("_")[0] for name in names}
    (folder / "list.csv").write_text("\n".join(["path,label,of", *rows[:-1], rows[-1] + "x"]))
    assert (
        "1 moved" in run_cli("sync", "--home", home, check=0).stderr + run_cli("show", "photos", "--home", home).stdout
    )
    assert {row["image"]: row["group"] for row in table_of(home)} == {**whole, names[-1]: whole[names[-1]] + "x"}
