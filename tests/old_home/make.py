"""Make the old home: small pictures, recipes, builds, an import and a night, by a checkout of simsearch.

    python tests/old_home/make.py CHECKOUT

CHECKOUT is a checkout of commit 9ad3b34, whose code makes everything; home.tar.xz beside this file is written. It was
made once and is kept: what later code must still read is what that code wrote. All is made at PLACE, which therefore
stands in the files; `unpack` of old_home/golden.py puts another folder in its place.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

PLACE = Path("/tmp/simsearch-old-home")
ARCHIVE = Path(__file__).parent / "home.tar.xz"

SMALL = """
[images]
size = {size}
resize = "squash"
[embedder]
backbone = "mnist_cnn"
weights = "{weights}"
"""
RECIPES = {
    # Every system, the map, a file that is no picture, copies; a l2_softmax whose alpha is learned.
    "softmax": """
[dataset]
source = "folder:photos"
{small}
dim = 8
[loss]
name = "l2_softmax"
alpha = 8.0
learn_alpha = true
[training]
epochs = 3
batch_size = 16
""",
    # Shares data, baseline and reference with it; an index of lists.
    "triplet": """
[dataset]
source = "folder:photos"
{small}
dim = 8
[loss]
name = "triplet"
margin = 0.3
images_per_class = 4
[training]
epochs = 3
batch_size = 16
[index]
factory = "IVF4,Flat"
nprobe = 2
[evaluation]
map = false
""",
    # Labels that nobody trained on, a table, the third loss.
    "unseen": """
[dataset]
source = "table:signs.csv"
split = "disjoint"
test_classes = 20
{small}
dim = 4
[loss]
name = "quadruplet"
images_per_class = 3
[augmentation]
shift = 1
[training]
epochs = 2
batch_size = 12
rotate_classes = true
[evaluation]
k = [1, 3]
map = false
""",
    # The backbone's own features, official splits, a graph, the gallery alone as corpus.
    "split": """
[dataset]
source = "folder:split"
{small}
[training]
epochs = 0
[index]
factory = "HNSW8"
efSearch = 24
corpus = "gallery"
[evaluation]
map = false
""",
    # A head on frozen features, over two seeds, an index chosen by measuring.
    "head": """
[dataset]
source = "folder:photos"
exclude = ["fir/**"]
seed = 1
{small}
dim = 6
train = "head"
[training]
epochs = 4
[index]
target_recall = 0.9
[evaluation]
map = false
""",
    # The backbone too, from a trained head.
    "tuned": """
[dataset]
source = "folder:photos"
{small}
dim = 6
train = "all"
[augmentation]
crop = 0.8
[training]
epochs = 1
head_first = true
[evaluation]
baseline = false
map = false
""",
}
SIZES = {"unseen": 8, "split": 8, "head": 8, "tuned": 8}
NIGHT = """
[matrix]
recipes = ["split.toml"]
factories = ["HNSW8"]
search = [{ efSearch = 24 }, { efSearch = 4 }]
[gate]
speed = false
[gate.least]
recall = 0.5
cross_boundary_error = 0.5
map_at_r = 0.5
ann_recall = 0.5
"""


def picture(kind: int, number: int, size: int, noise: int) -> Image.Image:
    """A gray picture: two bright squares whose places tell the kind, more or less bright, on seeded noise."""
    random = np.random.default_rng([kind, number, size])
    pixels = random.integers(0, noise, (size, size))
    third, bright = size // 3, random.integers(20, 110)
    for place in (kind % 9, (kind * 5 + 3 + kind // 9) % 9):
        row, column = divmod(place, 3)
        pixels[row * third : (row + 1) * third, column * third : (column + 1) * third] += bright
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def make_photos(root: Path) -> None:
    """Four labels of thirty pictures; a copy, a near copy, a bitmap, colour, and a file that is no picture."""
    for kind, label in enumerate(("ash", "birch", "elm & oak", "fir")):
        (root / label).mkdir(parents=True)
        for number in range(30):
            suffix = "bmp" if number == 29 else "png"
            found = picture(kind, number, 24, 140)
            found = found.convert("RGB") if number == 28 else found
            found.save(root / label / f"{number:02d}.{suffix}")
    shutil.copy(root / "ash" / "00.png", root / "ash" / "copy.png")
    near = np.asarray(picture(1, 0, 24, 140)).astype(int) + 1
    Image.fromarray(np.clip(near, 0, 255).astype(np.uint8)).save(root / "birch" / "near.png")
    (root / "birch" / "broken.png").write_bytes(b"no picture")


def make_split(root: Path) -> None:
    """Three labels in train, val and test."""
    for part, count in (("train", 9), ("val", 3), ("test", 4)):
        for kind, label in enumerate(("cat", "dog", "eel")):
            folder = root / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                picture(kind, 100 * len(part) + number, 20, 150).save(folder / f"{number}.png")


def make_signs(root: Path) -> None:
    """signs.csv of 26 labels of four pictures."""
    (root / "signs").mkdir(parents=True)
    with (root / "signs.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "label"))
        for kind in range(26):
            for number in range(4):
                name = f"signs/{kind:02d}-{number}.png"
                picture(kind, number, 16, 90).save(root / name)
                writer.writerow((name, f"sign {chr(65 + kind)}"))


def make_vectors(root: Path) -> None:
    """Two parts of 60 vectors with names and labels; q.npy to search with."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(5, 8))
    kinds = random.integers(0, 5, 120)
    rows = (centres[kinds] + 0.7 * random.normal(size=(120, 8))).astype(np.float32)
    (root / "img_emb").mkdir(parents=True)
    (root / "metadata").mkdir()
    for part in range(2):
        mine = range(60 * part, 60 * part + 60)
        np.save(root / "img_emb" / f"img_emb_{part}.npy", rows[mine.start : mine.stop])
        with (root / "metadata" / f"metadata_{part}.csv").open("w", newline="") as file:
            found = csv.writer(file, lineterminator="\n")
            found.writerows([("image", "label"), *((f"{row}.jpg", f"kind {kinds[row]}") for row in mine)])
    np.save(root.parent / "q.npy", (centres[:3] + 0.7 * random.normal(size=(3, 8))).astype(np.float32))


def main(checkout: str) -> None:
    """Make everything at PLACE, and pack it."""
    shutil.rmtree(PLACE, ignore_errors=True)
    make_photos(PLACE / "photos")
    make_split(PLACE / "split")
    make_signs(PLACE)
    make_vectors(PLACE / "vectors")
    for name, text in RECIPES.items():
        weights = "weights.safetensors" if name in ("split", "head", "tuned") else "none"
        small = SMALL.format(size=SIZES.get(name, 12), weights=weights)
        (PLACE / f"{name}.toml").write_text(text.format(small=small.strip()).lstrip())
    (PLACE / "night.toml").write_text(NIGHT.lstrip())

    environment = {**os.environ, "PYTHONPATH": os.path.abspath(checkout), "PYTHONDONTWRITEBYTECODE": "1"}

    def simsearch(*words: str) -> None:
        code = "from simsearch.cli import main; main()"
        subprocess.run([sys.executable, "-c", code, *words, "--home", "home"], cwd=PLACE, env=environment, check=True)

    simsearch("build", "softmax.toml")
    trained = next((PLACE / "home" / "artifacts" / "train").glob("*/weights.safetensors"))
    _backbone(trained, PLACE / "weights.safetensors")
    for name in ("triplet", "unseen", "split", "tuned"):
        simsearch("build", f"{name}.toml")
    simsearch("build", "head.toml", "--seeds", "2")
    simsearch("index", "import", "vectors", "--name", "vectors", "--factory", "IVF4,Flat")
    simsearch("bench", "night.toml")
    _pack()


def _backbone(trained: Path, to: Path) -> None:
    """The weights of a backbone alone, which say nothing of size, mean and std."""
    from safetensors.numpy import load_file, save_file

    save_file({key: value for key, value in load_file(trained).items() if key.startswith("backbone.")}, to)


def _pack() -> None:
    """Write the archive: by name, without times and owners; caches and locks stay out."""
    shutil.rmtree(PLACE / "home" / "datasets", ignore_errors=True)
    paths = [path for path in PLACE.rglob("*") if not path.name.startswith(".") and path.is_file()]
    # Files of one kind beside each other pack best.
    paths.sort(key=lambda path: (path.suffix, path.name, str(path)))
    with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
        for path in paths:
            member = tarfile.TarInfo(path.relative_to(PLACE).as_posix())
            member.size, member.mode = path.stat().st_size, path.stat().st_mode & 0o777
            archive.addfile(member, io.BytesIO(path.read_bytes()))
    print(f"{ARCHIVE.name}: {len(paths)} files, {ARCHIVE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
