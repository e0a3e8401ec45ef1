"""simsearch/images/splits.py: who is trained on, watched, searched in and searched with."""

import hashlib
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simsearch.errors import SourceError
from simsearch.images.limits import why_unmeasured, why_untrained
from simsearch.images.sources.source import SourceImage
from simsearch.images.splits import assign


def images(**sizes):
    return [SourceImage(f"{label}/{n:03d}.png", label, None) for label, size in sizes.items() for n in range(size)]


def run(rows, *, split="closed", test_classes=0.5, seed=0, labelled=True):
    hashes = [hashlib.sha256(row.image.rpartition("/")[2].encode()).hexdigest() for row in rows]
    return assign(rows, hashes, split=split, test_classes=test_classes, seed=seed, labelled=labelled)


def by_label(records, flag):
    return Counter(record.label for record in records if getattr(record, flag))


def test_counts_of_the_closed_split():
    records, notes = run(images(a=1, b=2, c=5, d=7, e=10, f=100))
    assert by_label(records, "query") == {"b": 1, "c": 1, "d": 1, "e": 2, "f": 20}
    assert by_label(records, "val") == {"d": 1, "e": 1, "f": 8}
    assert notes == ["1 class has one image: kept in the gallery, never searched with"]
    assert run(images(a=1, b=1, c=4, d=4))[1] == ["2 classes have one image: kept in the gallery, never searched with"]


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=8), seed=st.integers(0, 5))
def test_the_rules_of_the_closed_split(sizes, seed):
    rows = images(**{f"c{n}": size for n, size in enumerate(sizes)})
    records, _ = run(rows, seed=seed)
    if max(sizes) < 2:
        assert all(record.gallery and not record.fit for record in records), "each is searched with without itself"
        return
    assert [record.row for record in records] == list(range(len(rows)))
    assert sorted(record.image for record in records) == sorted(row.image for row in rows)
    for record in records:
        assert record.gallery == (record.fit or record.val) == (not record.query)
        assert not (record.fit and record.val)
    assert set(by_label(records, "fit")) == {row.label for row in rows}
    order = [(not record.gallery, record.image) for record in records]
    assert order == sorted(order)


def reasons(rows, **how):
    records, _ = run(rows, **how)
    why = why_unmeasured(records)
    return (why and why[0]), why_untrained(records)


def test_what_a_data_set_cannot_give():
    assert reasons(images(a=9, b=9)) == (None, None)
    none = "no label has two images to train on"
    assert reasons(images(a=1, b=1, c=1)) == ("each of 3 labels has one image", none)
    assert reasons(images(a=2, b=2)) == (None, none), "one of each is searched with"
    assert reasons(images(a=2, b=1)) == (None, none)
    assert reasons(images(a=3, b=1)) == (None, None)
    only = ["all images that are searched have one label, 'a', so that every answer would be right"]
    only.append("all images to train on have one label, 'a'")
    assert list(reasons(images(a=9))) == only
    good = [SourceImage(f"train/a/{n}", "a", "train") for n in range(3)]
    assert list(reasons([*good, SourceImage("t/a", "a", "test"), SourceImage("t/b", "b", "test")])) == only
    field = [SourceImage(f"{split}/{label}", label, split) for label in "abc" for split in ("train", "test")]
    assert reasons(field) == (None, none)
    apart = [*images(a=3, b=3), SourceImage("t/c", "c", "test")]
    assert reasons(apart) == ("no image that is searched with has another of its label to find", None)
    kept = [SourceImage(f"{split}/{label}", label, split) for label in "ab" for split in ("val", "test")]
    assert reasons(kept) == (None, "no image is left to train on")
    grouped = [SourceImage(f"{label}/{n}", label, None, group=label) for label in "ab" for n in range(4)]
    assert reasons(grouped) == ("each of 2 labels has one group of images", "no image is left to train on")


def test_where_no_label_has_two_images_a_fifth_is_searched_with():
    records, notes = run(images(**{f"c{n:02d}": 1 for n in range(20)}))
    assert notes == []
    assert all(record.gallery for record in records)
    assert sum(record.query for record in records) == 4
    assert not any(record.fit or record.val for record in records)
    assert sum(record.query for record in run(images(a=1, b=1))[0]) == 1
    assert not run(images(a=1))[0][0].query, "it would have nothing to search in"


def test_official_splits_are_followed():
    rows = [
        SourceImage(f"{split}/{label}/{n}", label, split)
        for split in ("train", "val", "test")
        for label in "ab"
        for n in range(3)
    ]
    records, notes = run(rows)
    for record in records:
        place = record.image.split("/")[0]
        assert (record.fit, record.val, record.gallery, record.query) == (
            place == "train",
            place == "val",
            place != "test",
            place == "test",
        )
    assert notes == []


def test_val_without_test_is_never_searched_with():
    rows = [
        SourceImage(f"{split}/{label}/{n}", label, split)
        for split in ("train", "val")
        for label in "ab"
        for n in range(5)
    ]
    records, _ = run(rows)
    assert {record.image.split("/")[0] for record in records if record.val} == {"val"}
    assert by_label(records, "query") == {"a": 1, "b": 1}
    assert {record.image.split("/")[0] for record in records if record.query} == {"train"}


def test_a_class_that_only_the_test_split_has_is_noted():
    rows = [*images(a=3, b=3), SourceImage("t/a", "a", "test"), SourceImage("t/z", "z", "test")]
    assert "1 class is only in the test split: searched with, never found" in run(rows)[1]
    with pytest.raises(SourceError, match="nothing is left to search in"):
        run([SourceImage(f"{label}{n}", label, "test") for label in "ab" for n in range(2)])


def flags(records):
    return {record.image: (record.fit, record.val, record.gallery, record.query) for record in records}


def test_adding_one_file_moves_next_to_nothing():
    rows = images(a=100, b=100)
    before = flags(run(rows)[0])
    after = flags(run([*rows, SourceImage("a/new.png", "a", None)])[0])
    assert sum(before[name] != after[name] for name in before) <= 3
    assert all(before[name] == after[name] for name in before if name.startswith("b/"))


def test_renaming_one_file_moves_next_to_nothing():
    rows = images(a=100, b=100)
    hashes = [hashlib.sha256(row.image.encode()).hexdigest() for row in rows]
    settings_ = {"split": "closed", "test_classes": 0.5, "seed": 0, "labelled": True}
    before = flags(assign(rows, hashes, **settings_)[0])
    rows[5] = SourceImage("a/zzz.png", "a", None)
    after = flags(assign(rows, hashes, **settings_)[0])
    assert sum(before[name] != after[name] for name in before.keys() & after.keys()) <= 3


def test_the_order_of_the_input_does_not_matter_but_the_seed_does():
    rows = images(a=50, b=50)
    assert run(rows)[0] == run(rows[::-1])[0]
    assert flags(run(rows)[0]) != flags(run(rows, seed=1)[0])


def test_disjoint():
    rows = images(a=3, b=20, c=2, d=5, e=5)
    records, notes = run(rows, split="disjoint", test_classes=2)
    test = [record for record in records if record.label in "de"]
    rest = [record for record in records if record.label in "abc"]
    assert all(record.gallery and record.query and not record.fit and not record.val for record in test)
    assert not any(record.gallery or record.query for record in rest)
    assert by_label(records, "val") == {"b": 2}
    assert [record.label for record in records[:10]] == ["d"] * 5 + ["e"] * 5
    assert notes == []
    assert {r.label for r in run(rows, split="disjoint", test_classes=0.5)[0] if r.gallery} == {"c", "d", "e"}


@pytest.mark.parametrize("count", [0, 1, 4, 5, -1, 0.0, 1.0, 0.1, 3.0, True])
def test_disjoint_needs_two_classes_on_both_sides(count):
    with pytest.raises(SourceError, match="the source has 5 classes"):
        run(images(a=3, b=3, c=3, d=3, e=3), split="disjoint", test_classes=count)


def test_disjoint_ignores_the_official_split_and_says_so():
    rows = [SourceImage(f"{n}/{label}", label, "test" if n else "train") for label in "abcd" for n in range(3)]
    records, notes = run(rows, split="disjoint", test_classes=2)
    assert notes == ["class-disjoint: the source's own split is not used"]
    assert {record.label for record in records if record.query} == {"c", "d"}
    with pytest.raises(SourceError, match="needs labels"):
        run(rows, split="disjoint", labelled=False)
    with pytest.raises(SourceError, match="test classes have two images"):
        run(images(a=3, b=3, c=1, d=1), split="disjoint", test_classes=2)


@pytest.mark.parametrize(("size", "queries"), [(1, 0), (2, 1), (4, 1), (50, 10)])
def test_unlabelled(size, queries):
    records, _ = run([SourceImage(f"{n:02d}.png", "", None) for n in range(size)], labelled=False)
    assert sum(record.query for record in records) == queries
    assert all(record.gallery != record.query and not record.fit and not record.val for record in records)


def test_wrong_use():
    with pytest.raises(SourceError, match="no image can be used"):
        run([])
    with pytest.raises(SourceError, match="expected closed or disjoint"):
        run(images(a=2, b=2), split="open")


def test_names_that_are_not_utf8_and_sorting_by_code_point():
    rows = [SourceImage(f"{label}/{name}", label, None) for label in "ab" for name in ("Z", "a", "ä", "\udcff", "é\n")]
    records, _ = assign(rows, [f"{n:064x}" for n in range(10)], split="closed", test_classes=0.5, seed=0, labelled=True)
    seen = defaultdict(list)
    for record in records:
        seen[record.gallery].append(record.image)
    assert all(names == sorted(names) for names in seen.values())


def test_a_disjoint_split_of_no_labels_names_both_settings():
    with pytest.raises(SourceError, match="needs labels") as caught:
        run([SourceImage("1.png", "", None)], labelled=False, split="disjoint")
    assert "dataset.split=closed" in caught.value.hint
    assert "dataset.labels = false" in caught.value.hint


def test_labels_that_stay_unseen_are_searched_with_and_nothing_else():
    rows = images(a=20, b=20, c=7)
    hashes = [hashlib.sha256(row.image.encode()).hexdigest() for row in rows]
    wanted = {"split": "closed", "test_classes": 0.5, "seed": 0, "labelled": True}
    plain, _ = assign(rows, hashes, **wanted)
    records, notes = assign(rows, hashes, **wanted, unseen=["c"])
    assert by_label(records, "query") == {"a": 4, "b": 4, "c": 7}
    assert by_label(records, "fit") + by_label(records, "val") == {"a": 16, "b": 16}
    assert by_label(records, "gallery") == {"a": 16, "b": 16}
    assert notes == ["c: 7 images are neither trained on nor searched in"]
    others = [{(r.image, r.fit, r.val, r.query) for r in one if r.label != "c"} for one in (plain, records)]
    assert others[0] == others[1], "the other labels are parted as they were"
    official = [SourceImage(row.image, row.label, "test" if row.image.endswith("1.png") else "train") for row in rows]
    assert by_label(assign(official, hashes, **wanted, unseen=["c"])[0], "query") == {"a": 2, "b": 2, "c": 7}


def test_what_shares_a_group_with_an_unseen_label_is_held_out_too():
    rows = [SourceImage(f"{label}/{n:03d}.png", label, None, group=str(n)) for label in "abc" for n in range(9)]
    rows += [SourceImage(f"{label}/x{n}.png", label, None, group=f"x{n}") for label in "ab" for n in range(9)]
    hashes = [hashlib.sha256(row.image.encode()).hexdigest() for row in rows]
    wanted = {"split": "closed", "test_classes": 0.5, "seed": 0, "labelled": True}
    records, notes = assign(rows, hashes, **wanted, unseen=["c"])
    assert notes[0] == "c and the groups of their images: 27 images are neither trained on nor searched in"
    assert not any(r.fit or r.val or r.gallery for r in records if r.group.isdigit())
    assert by_label(records, "query")["a"] > 9
    with pytest.raises(SourceError, match="leaves nothing to train on"):
        assign(rows, hashes, **wanted, unseen=["a", "b"])
    with pytest.raises(SourceError, match="no image has the label 'crak'; did you mean 'crack'"):
        assign(images(good=4, crack=4), [""] * 8, **wanted, unseen=["crak"])


def test_unseen_labels_are_of_the_closed_set_with_labels():
    rows = images(a=4, b=4, c=4)
    wanted = {"test_classes": 0.5, "seed": 0, "unseen": ["c"]}
    with pytest.raises(SourceError, match=r"disjoint.*and so does defects\.unseen = \['c'\]"):
        assign(rows, [""] * 12, split="disjoint", labelled=True, **wanted)
    flat = [SourceImage(row.image, "", None) for row in rows]
    with pytest.raises(SourceError, match=r"defects\.unseen: no image has the label 'c'"):
        assign(flat, [""] * 12, split="closed", labelled=False, **wanted)
