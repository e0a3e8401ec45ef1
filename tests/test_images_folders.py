"""simsearch/images/sources/folders.py, digits.py and source.py: what counts, what is refused, what is said."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from simsearch.errors import ImageError, SourceError
from simsearch.hashing import HashMemory, sha256_file
from simsearch.images.sources.folders import open_folder, query_files
from simsearch.images.sources.layout import NO_LABEL
from simsearch.images.sources.opening import open_source
from simsearch.images.sources.source import SourceImage


def put(root, *names):
    for name in names:
        path = os.path.join(os.fsencode(root), name if isinstance(name, bytes) else os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            Image.new("L", (2, 2), len(path) % 256).save(file, "PNG")


def opened(path, home=None, **changes):
    given = {"memory": HashMemory(None), "options": {}, "exclude": [], "root": None, "base": path.parent, **changes}
    spec = given.pop("spec", f"folder:{path}")
    return open_source(spec, home_datasets=home or path / "unused", **given)


def names(source):
    return [image.image for image in source.images]


def test_classes_at_any_depth(tmp_path):
    put(tmp_path / "photos", "b/2.JPG", "a/1.png", "a/deep/er/3.tiff", "b/c.webp")
    source = opened(tmp_path / "photos")
    assert source.images == [
        SourceImage("a/1.png", "a", None),
        SourceImage("a/deep/er/3.tiff", "a", None),
        SourceImage("b/2.JPG", "b", None),
        SourceImage("b/c.webp", "b", None),
    ]
    assert source.labelled
    assert (source.title, source.root) == ("photos", str(tmp_path / "photos"))
    assert source.identity == f"folder:{tmp_path / 'photos'}"
    assert source.rejected == source.notes == []


def test_relative_paths_start_at_base(tmp_path):
    put(tmp_path / "photos", "a/1.png")
    assert opened(tmp_path / "photos", spec="folder:photos").root == str(tmp_path / "photos")


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_split_layout(tmp_path, val):
    put(tmp_path / "p", "train/7/1.png", f"{val}/7/1.png", "test/8/x/1.png", ".git/a.png", "train/top.png")
    source = opened(tmp_path / "p")
    assert [(image.image, image.label, image.split) for image in source.images] == [
        ("test/8/x/1.png", "8", "test"),
        ("train/7/1.png", "7", "train"),
        (f"{val}/7/1.png", "7", "val"),
    ]
    assert source.rejected == [("train/top.png", NO_LABEL)]


def test_other_names_on_top_are_classes(tmp_path):
    put(tmp_path / "p", "train/a/1.png", "apples/1.png")
    assert {image.split for image in opened(tmp_path / "p").images} == {None}


def test_excluding_what_spoils_the_split_layout(tmp_path):
    put(tmp_path / "p", "train/a/1.png", "test/a/1.png", "masks/a/1.png", "train/a/skip_1.png")
    source = opened(tmp_path / "p", exclude=["masks/**", "*skip*"])
    assert names(source) == ["test/a/1.png", "train/a/1.png"]
    assert {image.split for image in source.images} == {"train", "test"}
    assert source.left_out.words() == ["2 left out by dataset.exclude"]


def test_flat_folder_is_unlabelled(tmp_path):
    put(tmp_path / "p", "2.png", "1.png")
    source = opened(tmp_path / "p")
    assert source.images == [SourceImage("1.png", "", None), SourceImage("2.png", "", None)]
    assert not source.labelled
    assert source.notes[0].startswith("flat folder: building without labels")


def test_images_beside_class_folders_are_refused(tmp_path):
    put(tmp_path / "p", "a/1.png", "loose.png")
    source = opened(tmp_path / "p")
    assert source.rejected == [("loose.png", NO_LABEL)]


def test_other_files_are_counted_and_not_bad(tmp_path):
    put(tmp_path / "p", "a/1.png", "a/.hidden.png", ".DS_Store", "x.csv", "a/y.CSV", "LICENSE", ".git/1.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "p" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "p" / "a" / "loop.png").symlink_to(tmp_path / "p")
    source = opened(tmp_path / "p")
    assert names(source) == ["a/1.png"]
    assert source.rejected == []
    assert source.left_out.words() == [
        "6 other files ignored (csv 2, no suffix 1, hidden 3)",
        "2 linked folders not followed: --set dataset.follow_links=true follows them",
    ]


def test_links_pipes_and_folders_with_image_names(tmp_path):
    put(tmp_path / "p", "a/1.png", "a/folder.png/2.png")
    put(tmp_path, "outside.png")
    (tmp_path / "p/a/link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "p/a/broken.png").symlink_to("nowhere.png")
    (tmp_path / "p/a/ring.png").symlink_to("ring.png")
    os.mkfifo(tmp_path / "p/a/pipe.jpg")
    source = opened(tmp_path / "p")
    assert names(source) == ["a/1.png", "a/folder.png/2.png", "a/link.png"]
    assert source.rejected == [
        ("a/broken.png", "leads nowhere (broken link)"),
        ("a/pipe.jpg", "not a regular file"),
        ("a/ring.png", "leads nowhere (broken link)"),
    ]
    assert source.reader().array("a/link.png").shape == (2, 2)


STRANGE = [
    "with space",
    "ünïcödé 😀",
    "[brackets]*?",
    '"quotes" \'n',
    "new\nline",
    "\x1b[31mred\x07",
    b"\xff\xfe",
    "a=b;c,d",
]


def test_strange_names_survive(tmp_path):
    for name in STRANGE:
        raw = name if isinstance(name, bytes) else name.encode()
        put(tmp_path / "p", raw + b"/" + raw + b".png")
    source = opened(tmp_path / "p")
    wanted = [name if isinstance(name, str) else os.fsdecode(name) for name in STRANGE]
    assert sorted(image.label for image in source.images) == sorted(wanted)
    with HashMemory(tmp_path / "memory") as memory:
        entries = source.fingerprint(memory)
    reader = source.reader()
    for name, size, digest in entries:
        assert len(reader.data(name)) == size
        assert reader.sha256(name) == digest
        assert reader.array(name, sha256=digest).shape == (2, 2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: None, "no such folder"),
        (lambda p: p.write_bytes(b""), "it is a file"),
        (lambda p: p.mkdir(), "the folder is empty"),
        (lambda p: put(p, "a/x.txt", "y.csv"), "1 folder; 2 other files ignored (csv 1, txt 1)"),
        (lambda p: put(p, ".x/1.png"), "1 other file ignored (hidden 1)"),
    ],
)
def test_without_images_it_says_what_was_seen(tmp_path, make, said):
    make(tmp_path / "p")
    with pytest.raises(SourceError) as caught:
        opened(tmp_path / "p")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_fingerprint_follows_content_names_and_refusals_only(tmp_path):
    def taken(folder):
        with HashMemory(None) as memory:
            return opened(folder).fingerprint(memory)

    put(tmp_path / "p", "a/1.png", "b/1.png")
    first = taken(tmp_path / "p")
    assert [entry[0] for entry in first] == ["a/1.png", "b/1.png"]
    assert first[0][1:] == (os.path.getsize(tmp_path / "p/a/1.png"), sha256_file(tmp_path / "p/a/1.png"))
    (tmp_path / "p").rename(tmp_path / "q")
    assert taken(tmp_path / "q") == first
    (tmp_path / "q/notes.txt").write_text("x")
    assert taken(tmp_path / "q") == first
    put(tmp_path / "q", "loose.png")
    assert ("loose.png", -1, "rejected") in taken(tmp_path / "q")


def test_a_file_that_vanishes_or_changes(tmp_path):
    put(tmp_path / "p", "a/1.png", "b/1.png")
    source = opened(tmp_path / "p")
    reader = source.reader()
    digest = reader.sha256("a/1.png")
    Image.new("L", (3, 3)).save(tmp_path / "p/a/1.png")
    with pytest.raises(SourceError, match="changed while it was being read"):
        reader.array("a/1.png", sha256=digest)
    (tmp_path / "p/a/1.png").unlink()
    with pytest.raises(ImageError, match="no such file"):
        reader.array("a/1.png")
    with HashMemory(None) as memory:
        assert source.fingerprint(memory)[0] == ("a/1.png", -1, "unreadable")


def test_query_files(tmp_path):
    put(tmp_path / "p", "b.png", "a/x.jpg", "note.txt")
    lines = iter(["one.png", "", "two.png"])
    folder = str(tmp_path / "p")
    seen = list(query_files(["q.png", folder, "-"], lines))
    assert seen == ["q.png", f"{folder}/a/x.jpg", f"{folder}/b.png", "one.png", "two.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no images"):
        list(query_files([str(tmp_path / "empty")], []))


@pytest.mark.parametrize(
    ("spec", "changes", "said"),
    [
        ("photos", {}, "expected digits, torchvision:NAME, folder:PATH or table:FILE"),
        ("folder:", {}, "expected digits"),
        ("digits:x", {}, "expected digits"),
        ("digits", {"options": {"split": "x"}}, "dataset.options is for torchvision:NAME"),
        ("folder:x", {"root": "y"}, "dataset.root is for table:FILE"),
        ("torchvision:MNIST", {"exclude": ["y"]}, "dataset.exclude is for folder:PATH"),
    ],
)
def test_specs_that_make_no_sense(tmp_path, spec, changes, said):
    with pytest.raises(SourceError, match=said):
        opened(tmp_path, spec=spec, **changes)


def test_digits(tmp_path):
    home = tmp_path / "datasets"
    source = opened(tmp_path, home, spec="digits")
    assert len(source.images) == 1797
    assert source.images[0] == SourceImage("0/0000.png", "0", None)
    assert (source.title, source.identity, source.root) == ("Digits", "digits", str(home / "digits"))
    assert (source.notes, source.rejected, source.labelled) == ([], [], True)
    assert source.words() == []
    with HashMemory(None) as memory:
        first = source.fingerprint(memory)
    pixels = source.reader().array("0/0000.png")
    assert pixels.shape == (8, 8)
    assert pixels.max() <= 255
    assert pixels.max() >= 200
    before = (home / "digits/0/0000.png").stat().st_ino

    for damage in (
        lambda: (home / "digits/3/0003.png").unlink(),
        lambda: (home / "digits/3/0003.png").write_bytes(b"broken"),
        lambda: put(home / "digits", "3/9999.png"),
        lambda: (home / "digits/.complete.json").write_text("{"),
    ):
        assert (home / "digits/0/0000.png").stat().st_ino == before  # sound: not written again
        damage()
        source = opened(tmp_path, home, spec="digits")
        with HashMemory(None) as memory:
            assert source.fingerprint(memory) == first
        before = (home / "digits/0/0000.png").stat().st_ino
        assert sorted(os.listdir(home)) == ["digits"]


def test_digits_in_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "datasets").write_bytes(b"")
    with pytest.raises(SourceError, match="cannot write the digits"):
        opened(tmp_path, tmp_path / "datasets", spec="digits")


def test_digits_pixels_are_those_of_scikit_learn(tmp_path):
    from sklearn.datasets import load_digits

    reader = opened(tmp_path, tmp_path / "d", spec="digits").reader()
    digits = load_digits()
    for number in (0, 700, 1796):
        wanted = np.rint(digits.images[number] * 255 / 16)
        assert (reader.array(f"{digits.target[number]}/{number:04d}.png") == wanted).all()


def test_nothing_heavy_is_imported(tmp_path):
    opened(tmp_path, tmp_path / "d", spec="digits")
    code = (
        "import sys; from pathlib import Path; from simsearch.images import loading, montage, splits\n"
        "from simsearch.images.sources import opening\n"
        "from simsearch.hashing import HashMemory\n"
        f"p = Path({str(tmp_path)!r})\n"
        "rest = dict(options={}, exclude=[], root=None, base=p, memory=HashMemory(None))\n"
        "s = opening.open_source('digits', home_datasets=p / 'd', **rest)\n"
        "list(loading.survey(s, s.reader(), threads=2))\n"
        "print(sorted({'torch', 'torchvision', 'pydantic', 'rich', 'sklearn', 'faiss', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_without_images_does_not_hide_the_splits(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "test/a/2.png", "test/b/2.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(path)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "x.txt").write_text("x")
    source = open_folder(str(tmp_path), spec="folder:x")
    assert {(image.label, image.split) for image in source.images} == {
        (label, split) for label in "ab" for split in ("train", "test")
    }
