"""simsearch/images/sources/layout.py: which labels and splits folders mean, what is left aside, and what is said."""

from collections import Counter

import pytest

from simsearch.images.sources.layout import NO_LABEL, label
from simsearch.images.sources.source import split_of


def read(*paths, **how):
    """What folders say, as Counter of (label, split)."""
    found = label(paths, **how)
    return Counter((image.label, image.split) for image in found.images), found


def said(*paths, **how):
    return " | ".join(label(paths, **how).notes)


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "valid", "test"),
        ("Train", "VAL", "Testing"),
        ("TRAINING", "Validation", "TEST"),
        ("train_set", "dev", "eval"),
        ("Train Images", "val-images", "test_images"),
        ("gallery", "validation", "query"),
    ],
)
def test_split_folders_of_the_usual_names_in_any_case(train, val, test):
    counted, found = read(f"{train}/a/1.png", f"{train}/b/c/2.png", f"{val}/a/3.png", f"{test}/b/4.png")
    assert counted == {("a", "train"): 1, ("b", "train"): 1, ("a", "val"): 1, ("b", "test"): 1}
    assert found.notes == found.rejected == []


def test_masks_beside_the_splits_are_left_aside_and_counted():
    paths = ["train/good/0.png", "test/good/0.png", "test/broken/0.png", "test/broken/1.png"]
    masks = ["ground_truth/broken/0_mask.png", "ground_truth/broken/1_mask.png"]
    counted, found = read(*paths, *masks)
    assert counted == {("good", "train"): 1, ("good", "test"): 1, ("broken", "test"): 2}
    assert found.notes == ["2 images left aside, no photos: ground_truth"]
    assert found.rejected == []
    assert read(*paths)[0] == counted, "ground_truth may be missing"
    assert sum(read(*paths, *masks, labels=False)[0].values()) == 4, "a mask is no photo without labels either"
    assert "no photos: Masks, annotations" in said(*paths, "Masks/a/1.png", "annotations/1.png")


def test_splits_below_the_labels():
    paths = [f"{name}/{split}/{n}.png" for name in ("ant", "bee") for split in ("train", "Test") for n in range(2)]
    counted, found = read(*paths)
    assert counted == {(name, split): 2 for name in ("ant", "bee") for split in ("train", "test")}
    assert found.notes == []


def test_a_folder_of_several_such_sets():
    paths = [f"{what}/{rest}" for what in ("bottle", "cable") for rest in ("train/good/0.png", "test/broken/0.png")]
    counted, found = read(*paths, "bottle/ground_truth/broken/0.png")
    assert counted == {("bottle", "train"): 1, ("bottle", "test"): 1, ("cable", "train"): 1, ("cable", "test"): 1}
    assert "labels are the folders above the splits (bottle, cable), not those below: build bottle" in found.notes
    assert label([*paths, "bottle/ground_truth/broken/0.png", "loose.png"]).rejected == [("loose.png", NO_LABEL)]


def test_one_folder_that_holds_all_is_looked_into():
    counted, _ = read("archive/train/a/1.png", "archive/train/b/1.png", "archive/test/a/1.png")
    assert counted == {("a", "train"): 1, ("b", "train"): 1, ("a", "test"): 1}
    assert "to take its 2 folders as labels, build photos" in said("photos/a/1.png", "photos/b/1.png")
    assert said("photos/1.png", "photos/2.png") == ""


def test_a_test_folder_without_labels_is_left_aside():
    train = ["Train/a/1.png", "Train/b/2.png"]
    counted, found = read(*train, "test/1.png", "test/2.png", "val/1.png")
    assert counted == {("a", "train"): 1, ("b", "train"): 1}
    assert found.notes == [
        "test has no label folders: 2 images left aside (--set dataset.labels=false takes all images, without labels)",
        "val has no label folders: 1 image left aside (--set dataset.labels=false takes all images, without labels)",
    ]
    assert found.rejected == []
    assert read(*train, "test/1.png", labels=False)[0] == {("", "train"): 2, ("", "test"): 1}
    # What lies beside label folders has lost its own, and flat images to train on are no oversight.
    assert label([*train, "test/a/1.png", "test/2.png"]).rejected == [("test/2.png", NO_LABEL)]
    assert label(["train/1.png", "test/a/2.png"]).rejected == [("train/1.png", NO_LABEL)]


def test_flat_folders_have_no_labels_but_their_splits():
    counted, found = read("train/1.png", "train/2.png", "test/3.png")
    assert counted == {("", "train"): 2, ("", "test"): 1}
    assert not found.labelled
    assert found.notes[0].startswith("flat folder: building without labels")


def test_without_labels_all_images_are_used():
    counted, found = read("1.png", "2.png", "edited/1.png", labels=False)
    assert counted == {("", None): 3}
    assert (found.labelled, found.rejected) == (False, [])
    assert found.notes == ["building without labels, as dataset.labels = false says"]
    assert label(["1.png", "2.png", "edited/1.png"]).rejected == [("1.png", NO_LABEL), ("2.png", NO_LABEL)]


@pytest.mark.parametrize("alone", ["test", "Validation"])
def test_a_split_alone_is_set_apart_from_nothing(alone):
    counted, found = read(f"{alone}/a/1.png", f"{alone}/b/1.png")
    assert counted == {("a", None): 1, ("b", None): 1}
    assert found.notes == [f"{alone} is the only split: searched with its own images"]
    assert read("train/a/1.png", "train/test/1.png")[0] == {("a", "train"): 1, ("test", "train"): 1}
    assert said("train/a/1.png") == ""


@pytest.mark.parametrize(
    ("top", "words"),
    [
        (["train", "holdout"], "warning: holdout, train look like splits of a data set and are taken as labels: "),
        (["fold1", "fold2"], "'dataset.exclude=[\"fold1/**\"]'"),
        (["train", "test_2"], "test_2, train look like splits"),
        (["train", "bus", "car"], "train looks like a split of a data set and is taken as a label, beside bus, car: "),
        (["images", "ground_truth"], "warning: ground_truth may hold masks and is taken as a label: "),
        (["train", "other", "masks"], "masks may hold masks and is taken as a label"),
    ],
)
def test_what_looks_like_a_split_and_is_taken_as_a_label_is_said(top, words):
    paths = [f"{name}/a/1.png" for name in top]
    counted, found = read(*paths)
    assert set(counted) == {(name, None) for name in top}
    assert words in " ".join(found.notes)
    assert label([*paths, "loose.png"]).notes == found.notes


@pytest.mark.parametrize("top", [["apple", "pear"], ["part", "whole"], ["parting", "tester"], ["0", "1"], ["goldfish"]])
def test_ordinary_labels_are_not_doubted(top):
    assert said(*(f"{name}/1.png" for name in top)) == ""


def test_labels_are_compared_composed_and_names_are_not():
    composed, apart = "caf\u00e9", "cafe\u0301"
    counted, found = read(f"train/{composed}/1.png", f"train/{apart}/2.png", f"test/{apart}/{apart}.png")
    assert counted == {(composed, "train"): 2, (composed, "test"): 1}
    assert [image.image for image in found.images][1:] == [f"train/{apart}/2.png", f"test/{apart}/{apart}.png"]
    assert found.notes == [f"written in two forms of Unicode, and taken as one label each: {composed}"]
    assert len(read(f"a/{composed}.png", f"a/{apart}.png")[1].images) == 2
    assert read(f"{apart}/1.png")[0] == {(composed, None): 1}
    assert read("caf\udce9/1.png")[0] == {("caf\udce9", None): 1}, "a name that is no UTF-8 stays as it is"


def test_labels_that_differ_in_case_alone_are_two_and_said():
    counted, found = read("Apple/1.png", "apple/1.png", "pear/1.png")
    assert len(counted) == 3
    assert found.notes == ["differ in upper and lower case alone, and are labels of their own: Apple and apple"]


def test_labels_that_differ_in_what_nobody_sees_are_said():
    counted, found = read("apple/1.png", "apple /1.png", "pe\u200bar/1.png", "pear/1.png", "a b/1.png", "ab/1.png")
    assert len(counted) == 6
    assert found.notes == [
        "differ in spaces or invisible characters alone, and are labels of their own: "
        "'apple' and 'apple ', 'pear' and 'pe\\u200bar'"
    ]


def test_by_rules_1_everything_means_what_it_did():
    old = {"rules": 1}
    assert read("train/a/1.png", "Valid/a/1.png", **old)[0] == {("a", "train"): 1, ("a", "val"): 1}
    for paths in (
        ["train/good/0.png", "test/broken/0.png", "ground_truth/broken/0.png"],
        ["training/a/0.png", "testing/a/0.png"],
        ["test/a/0.png", "val/a/0.png"],
        ["ant/train/0.png", "ant/test/0.png"],
    ):
        counted, found = read(*paths, **old)
        assert set(counted) == {(path.split("/")[0], None) for path in paths}
        assert found.notes == []
    counted, found = read("train/a/1.png", "test/2.png", **old)
    assert (counted, found.rejected) == ({("a", "train"): 1}, [("test/2.png", NO_LABEL)])
    assert read("cafe\u0301/1.png", "caf\u00e9/1.png", **old)[0].total() == 2
    assert len(read("cafe\u0301/1.png", "caf\u00e9/1.png", **old)[0]) == 2


def test_names_of_splits():
    assert [split_of(name) for name in ("Train-Set", "val", "EVALUATION", "trains", "holdout")] == [
        "train",
        "val",
        "test",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (
            ["train/images/1", "train/masks/1", "test/images/1", "test/masks/1"],
            "masks may hold masks and is taken as a label: where that is wrong, leave it out, as --set "
            "'dataset.exclude=[\"*/masks/**\"]', and --set dataset.labels=false where images is no label either",
        ),
        (
            ["images/train/1", "labels/train/1", "images/val/2", "labels/val/2"],
            "'dataset.exclude=[\"labels/**\"]', and",
        ),
        (["train/cat/1", "train/masks/1", "test/cat/1"], "'dataset.exclude=[\"*/masks/**\"]'"),
        (["cat/images/1", "cat/masks/1", "dog/images/1"], "masks may hold masks and is taken as photos: where"),
        (["images/train/1", "images/val/2"], "all images have one label, images, which may be the photos of a set"),
        (
            ["bottle/train/a/1", "bottle/test/a/1", "bottle/ground_truth/a/1", "cable/train/a/1", "cable/extra/a/1"],
            "test, train below the labels are not taken for splits, as extra is beside them: to have them, leave that "
            "out, as --set 'dataset.exclude=[\"*/extra/**\"]' | warning: ground_truth may hold masks and is taken as "
            "photos",
        ),
        (["a/train/1", "a/test/1", "b/train/1", "b/2"], "not taken for splits, as images lie beside them"),
        (
            ["train/a/1", "test/a/1", "unlabeled/1"],
            "out unlabeled, as --set 'dataset.exclude=[\"unlabeled/**\"]'",
        ),
        (["train/a/1", "test/a/1", "misc/1"], "leave out misc, as --set 'dataset.exclude=[\"misc/**\"]', or give it"),
    ],
)
def test_layouts_of_other_tasks_are_warned_of_with_what_helps(paths, words):
    heard = said(*(f"{path}.png" for path in paths))
    assert words in heard
    assert heard.startswith("warning: ")


@pytest.mark.parametrize("top", ["train/{}/1.png", "{}/train/1.png"])
def test_masks_are_warned_of_without_labels_too(top):
    paths = [top.format(name) for name in ("images", "masks", "labels")]
    assert "labels, masks may hold masks and are taken as photos" in said(*paths, labels=False)
    assert "hold masks" not in said(*paths[:1], labels=False)


def test_a_wrapper_in_a_wrapper_is_named():
    paths = ["x/data/train/a/1.png", "x/data/train/b/1.png", "x/data/test/a/1.png"]
    assert said(*paths) == "all images have one label, x; to take its 2 folders as splits, build x/data"
    assert "2 folders as labels, build x/y/z" in said("x/y/z/a/1.png", "x/y/z/b/1.png")
