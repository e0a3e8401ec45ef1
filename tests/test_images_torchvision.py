"""simsearch/images/sources/torchvision_sets.py and unpacked.py, on sets of a few images in torchvision's own layout."""

import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simsearch.errors import ImageError, SourceError
from simsearch.hashing import HashMemory
from simsearch.images.sources import torchvision_sets
from simsearch.images.sources.opening import open_source
from simsearch.images.sources.source import SourceImage


def opened(home, name="MNIST", offline=True, **options):
    given = {"exclude": [], "root": None, "base": home, "memory": HashMemory(None)}
    return open_source(f"torchvision:{name}", home_datasets=home, options=options, offline=offline, **given)


def write_idx(folder, stem, labels, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
    head = struct.pack(">IIII", 2051, len(labels), 28, 28)
    (folder / f"{stem}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
    (folder / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, len(labels)) + bytes(labels))
    return pixels


@pytest.fixture
def mnist(tmp_path):
    train = write_idx(tmp_path / "MNIST/raw", "train", [3, 1, 3, 0])
    test = write_idx(tmp_path / "MNIST/raw", "t10k", [1, 9], seed=1)
    return tmp_path, train, test


def test_mnist(mnist):
    home, train, test = mnist
    source = opened(home)
    assert source.images == [
        SourceImage("test/1/00000", "1", "test"),
        SourceImage("test/9/00001", "9", "test"),
        SourceImage("train/0/00003", "0", "train"),
        SourceImage("train/1/00001", "1", "train"),
        SourceImage("train/3/00000", "3", "train"),
        SourceImage("train/3/00002", "3", "train"),
    ]
    assert (source.title, source.root, source.labelled) == ("MNIST", None, True)
    reader = source.reader()
    assert (reader.array("train/3/00002") == train[2]).all()
    assert (reader.array("test/9/00001") == test[1]).all()
    assert reader.sha256("test/9/00001") == hashlib.sha256(test[1].tobytes()).hexdigest()
    assert reader.array("test/9/00001", sha256=reader.sha256("test/9/00001")).shape == (28, 28)
    with pytest.raises(SourceError, match="changed"):
        reader.array("test/9/00001", sha256="0" * 64)
    for name in ("train/3/00004", "val/3/00000", "train", "", "train/3/-1", "train/3/²"):
        with pytest.raises(ImageError, match="no image of that name"):
            reader.data(name)
    with HashMemory(None) as memory:
        entries = source.fingerprint(memory)
    assert [entry[0] for entry in entries] == sorted(
        f"MNIST/raw/{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    )
    assert sorted(os.listdir(home)) == [".unpacked", "MNIST"]


def test_later_runs_import_neither_torch_nor_torchvision(mnist):
    home = mnist[0]
    opened(home)
    code = (
        "import sys; from pathlib import Path; from simsearch.images.sources.opening import open_source\n"
        "from simsearch.hashing import HashMemory\n"
        f"p = Path({str(home)!r})\n"
        "rest = dict(options={}, exclude=[], root=None, base=p, offline=True, memory=HashMemory(None))\n"
        "s = open_source('torchvision:MNIST', home_datasets=p, **rest)\n"
        "print(len(s.images), s.reader().array(s.images[0].image).shape, {'torch', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "6 (28, 28) set()"


def test_changed_or_damaged_files_are_unpacked_again(mnist):
    home = mnist[0]
    first = opened(home)
    changed = write_idx(home / "MNIST/raw", "train", [3, 1, 3, 0], seed=7)
    second = opened(home)
    assert second.folder != first.folder
    assert (second.reader().array("train/3/00000") == changed[0]).all()
    data = bytearray((second.folder / "images.bin").read_bytes())
    data[5] ^= 1
    (second.folder / "images.bin").write_bytes(data)
    third = opened(home)
    assert (third.reader().array("train/3/00000") == changed[0]).all()
    shutil.rmtree(third.folder / "labels.npy", ignore_errors=True)
    (third.folder / "labels.npy").unlink()
    assert len(opened(home).images) == 6
    assert len(os.listdir(home / ".unpacked")) == 2


@pytest.mark.parametrize("name", ["MNIST", "CIFAR10", "Omniglot"])
def test_offline_says_in_one_line_which_files_it_wants(tmp_path, name):
    with pytest.raises(SourceError) as caught:
        opened(tmp_path / "home", name)
    wanted = {"MNIST": "MNIST/raw/t10k-labels-idx1-ubyte", "CIFAR10": "cifar-10-batches-py/data_batch_1"}
    assert wanted.get(name, "omniglot-py/images_background") in caught.value.message
    assert str(tmp_path / "home") in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint


def test_only_what_is_missing_is_named_and_failed_downloads_too(mnist, monkeypatch):
    from torchvision import datasets

    def no_network(self):
        print("downloading")
        raise OSError("no network here\n<at all>")

    monkeypatch.setattr(datasets.MNIST, "download", no_network)
    home = mnist[0]
    (home / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(SourceError) as caught:
        opened(home, offline=False)
    assert "it wants MNIST/raw/t10k-labels-idx1-ubyte (download failed: no network here" in caught.value.message
    assert "train-images" not in caught.value.message
    assert "\n" not in caught.value.message


def test_nothing_goes_to_stdout(mnist, monkeypatch, capsys):
    from torchvision import datasets

    home = mnist[0]
    (home / "MNIST/raw").rename(home / "later")

    def download(self):
        print("downloading")
        if not (home / "MNIST/raw").exists():
            (home / "later").rename(home / "MNIST/raw")

    monkeypatch.setattr(datasets.MNIST, "download", download)
    assert len(opened(home, offline=False).images) == 6
    assert capsys.readouterr().out == ""


def test_damaged_raw_files(mnist):
    home = mnist[0]
    (home / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"short")
    with pytest.raises(SourceError, match="its files are damaged"):
        opened(home)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("SVHN", {}, "expected one of MNIST, FashionMNIST, KMNIST, EMNIST, CIFAR10, CIFAR100, Omniglot"),
        ("MNIST", {"splt": 1}, "unknown option 'splt' of torchvision:MNIST: it takes none"),
        ("EMNIST", {"splt": 1}, "it takes split"),
        ("EMNIST", {}, "needs the option split, seen nothing: expected one of byclass"),
        ("EMNIST", {"split": "../.."}, "seen '../..'"),
    ],
)
def test_unknown_names_and_options(tmp_path, name, options, said):
    with pytest.raises(SourceError) as caught:
        opened(tmp_path, name, **options)
    assert said in caught.value.message


def test_fashion_mnist_and_emnist_use_their_class_names(tmp_path):
    for part in ("train", "t10k"):
        write_idx(tmp_path / "FashionMNIST/raw", part, [0, 9])
    for part in ("train", "test"):
        write_idx(tmp_path / "EMNIST/raw", f"emnist-letters-{part}", [1, 26])
    fashion = opened(tmp_path, "FashionMNIST")
    assert {image.label for image in fashion.images} == {"T-shirt/top", "Ankle boot"}
    for image in fashion.images:
        assert fashion.reader().array(image.image).shape == (28, 28)
    letters = opened(tmp_path, "EMNIST", split="letters")
    assert {image.label for image in letters.images} == {"a", "z"}
    assert letters.identity == "torchvision:EMNIST split=letters"


def test_cifar_in_colour(tmp_path, monkeypatch):
    from torchvision import datasets

    class Fake:
        classes = ("cat", "dog")

        def __init__(self, root, train, download):
            self.data = np.full((2, 32, 32, 3), 7 if train else 9, dtype=np.uint8)
            self.targets = [1, 0]

    monkeypatch.setattr(datasets, "CIFAR10", Fake)
    source = opened(tmp_path, "CIFAR10")
    assert [image.image for image in source.images] == [
        "test/cat/00001",
        "test/dog/00000",
        "train/cat/00001",
        "train/dog/00000",
    ]
    seen = source.reader().array("test/dog/00000")
    assert seen.shape == (32, 32, 3)
    assert (seen == 9).all()


def test_omniglot_with_one_half(tmp_path, monkeypatch):
    from torchvision import datasets

    for number in range(3):
        path = tmp_path / f"omniglot-py/images_background/Greek/character0{1 + number % 2}/000{number}_01.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        ink = np.zeros((105, 105), dtype=bool)
        ink[number] = True
        Image.fromarray(ink).save(path)

    def half_there(self):
        return self.background

    monkeypatch.setattr(datasets.Omniglot, "_check_integrity", half_there)
    source = opened(tmp_path, "Omniglot")
    assert {image.label for image in source.images} == {"Greek/character01", "Greek/character02"}
    assert {image.split for image in source.images} == {"train"}
    rows = sorted(int(source.reader().array(image.image).argmax() // 105) for image in source.images)
    assert rows == [0, 1, 2]
    with HashMemory(None) as memory:
        assert len(source.fingerprint(memory)) == 3


def test_patterns_find_files_level_by_level(tmp_path):
    (tmp_path / "a/x").mkdir(parents=True)
    (tmp_path / "a/x/1.png").write_bytes(b"")
    (tmp_path / "a/x/1.txt").write_bytes(b"")
    assert torchvision_sets._present(tmp_path, ["a/*/*.png", "b/*/*.png", "a/x/1.txt", "a/x"]) == [
        "a/x/1.png",
        "a/x/1.txt",
    ]


def test_the_real_mnist(tmp_path):
    data = os.environ.get("SIMSEARCH_TEST_DATA")
    if not data or not (Path(data) / "mnist").is_dir():
        pytest.skip("SIMSEARCH_TEST_DATA/mnist is not there")
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    for path in (Path(data) / "mnist").glob("*.gz"):
        with gzip.open(path) as packed, (tmp_path / "MNIST/raw" / path.stem).open("wb") as out:
            shutil.copyfileobj(packed, out)
    source = opened(tmp_path)
    assert len(source.images) == 70_000
    assert sum(image.split == "test" for image in source.images) == 10_000
    assert sum(image.label == "0" for image in source.images) == 5923 + 980
    assert source.reader().array("test/" + source.images[0].image[5:]).shape == (28, 28)
