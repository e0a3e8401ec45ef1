"""Small pictures, a home, a finished build."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from commands import run_cli
from PIL import Image

# Started in the background, as `nohup make test &`, we and our children would ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)
# As the command line does, before anything imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SMALL = ["--set", "embedder.backbone=mnist_cnn", "--set", "embedder.weights=none", "--set", "training.epochs=1"]
SMALL += ["--set", "evaluation.map=false"]  # t-SNE takes a second to import

# What each EXIF orientation asks for, on (H, W, C) arrays.
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


def picture(label: int, number: int, size: int = 24) -> Image.Image:
    """A gray picture whose bright square tells the label, on seeded noise."""
    noise = np.random.default_rng([label, number]).integers(0, 90, (size, size)).astype(np.uint8)
    third = size // 3
    row, column = divmod(label, 3)
    noise[row * third : (row + 1) * third, column * third : (column + 1) * third] += 150
    return Image.fromarray(noise)


def write_folder(root: Path, labels: int = 3, each: int = 10) -> Path:
    """A folder class/x.png of `labels` labels."""
    for label in range(labels):
        folder = root / f"class {label}"
        folder.mkdir(parents=True)
        for number in range(each):
            picture(label, number).save(folder / f"{number:02d}.png")
    return root


@pytest.fixture
def photos(tmp_path):
    return write_folder(tmp_path / "photos")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """(folder, home) of a small finished build named `photos`; tests must not change it."""
    root = tmp_path_factory.mktemp("built")
    folder = write_folder(root / "photos")
    run_cli("build", folder, *SMALL, "--home", root / "home", check=0)
    return folder, root / "home"


@pytest.fixture(scope="session")
def mapped(tmp_path_factory):
    """(folder, home) of a build named `photos` with a map, and labels and pictures enough for verdicts."""
    root = tmp_path_factory.mktemp("mapped")
    folder = write_folder(root / "photos", labels=6, each=12)
    run_cli("build", folder, *SMALL[:-1], "evaluation.map=true", "--home", root / "home", check=0)
    return folder, root / "home"


@pytest.fixture
def copy_of_built(built, tmp_path):
    """(folder, home) as `built`, to be damaged."""
    import shutil

    shutil.copytree(built[1], tmp_path / "copy")
    return built[0], tmp_path / "copy"


@pytest.fixture
def ours(built, tmp_path):
    """(folder, home) as `built`, both to be changed: the build says that it was made from this folder."""
    from synced import moved_copy

    return moved_copy(built, tmp_path)


@pytest.fixture(scope="session")
def arguments():
    """What `render_page` takes, of a small report whose names are hostile; tests must not change it."""
    from pages import measure

    return measure()


@pytest.fixture(scope="session")
def page(arguments):
    """The report page made of `arguments`."""
    from simsearch.report.sections.document import render_page

    return render_page(**arguments)


def artifact_file(home: Path, stage: str, name: str) -> Path:
    """The one file of that name among a build's artifacts of a stage."""
    record = json.loads(next((home / "builds").glob("*.json")).read_bytes())
    return home / "artifacts" / stage / record["stages"][stage]["digest"] / name


def snapshot(home: Path) -> dict[str, str]:
    """Manifests of all finished artifacts: path -> text."""
    return {str(p.relative_to(home)): p.read_text() for p in home.glob("artifacts/*/[0-9a-f]*/manifest.json")}


def retrains(source, home, name="photos"):
    """A pattern of the command that trains a build again, by settings of its own."""
    return (
        rf"simsearch build {re.escape(str(source))} (--set \S+ )+--name {name} --retrain --home {re.escape(str(home))}"
    )
