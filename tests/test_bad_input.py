"""Bad input: one clear line and a hint, exit 2, never a traceback, and what was finished is still there."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from commands import ENTRY
from conftest import SMALL, artifact_file, run_cli, snapshot, write_folder


def refused(*arguments, words=(), **options):
    done = run_cli(*arguments, check=2, **options)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    hints = [line for line in done.stderr.splitlines() if line.startswith("hint: ")]
    assert len(errors) == 1, done.stderr
    assert len(hints) == 1, done.stderr
    for word in words:
        assert str(word) in errors[0] + hints[0], done.stderr
    return done


def writable(path):
    path.chmod(0o644)
    return path


def test_missing_recipe_or_folder(home):
    refused("build", "digitz", "--home", home, words=["digitz", "'digits'"])
    refused("build", "no/such/folder", "--home", home)
    assert not home.exists(), "nothing is written for a mistake in the command"


def test_a_folder_without_images(tmp_path, home):
    (tmp_path / "empty").mkdir()
    refused("build", tmp_path / "empty", "--home", home, words=["empty"])
    (tmp_path / "empty" / "x.txt").write_text("x")
    refused("build", tmp_path / "empty", "--home", home, words=["txt"])


def test_a_picture_is_not_a_recipe(photos, home):
    refused("build", photos / "class 0" / "00.png", "--home", home, words=["is a picture", "simsearch query"])


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("training.epoch=3", "'epochs'"),
        ("training.epochs=many", "many"),
        ("trainin.epochs=3", "'training'"),
        ("epochs=3", "table.key=value"),
        ("index.factory=NoSuch", "NoSuch"),
        ("index.factory=IVF4096,Flat", "IVF4096"),
        ("index.efSearch=5", "efSearch"),
        ("embedder.backbone=torchvision:vgg16", "vgg16"),
        ("images.mean=[1, 2, 3]", "mean"),
        ("dataset.options={x = 1}", "options"),
    ],
)
def test_wrong_settings(copy_of_built, setting, word):
    folder, home = copy_of_built
    before = snapshot(home)
    refused("build", folder, *SMALL, "--set", setting, "--home", home, words=[word])
    after = snapshot(home)
    assert before.items() <= after.items()
    run_cli("query", folder / "class 0" / "00.png", "--home", home, check=0)


def test_one_class_or_classes_of_one(tmp_path, home):
    disjoint = [*SMALL, "--set", "dataset.split=disjoint", "--home", home]
    refused("build", write_folder(tmp_path / "one", labels=1), *disjoint, words=["both sides need"])
    refused("build", write_folder(tmp_path / "single", labels=4, each=1), *disjoint, words=["dataset.split=closed"])
    refused("build", tmp_path / "single", *SMALL, "--home", home, words=["no image is left to train on", "epochs=0"])


def test_no_weights_and_no_network_names_the_option(photos, home):
    blocked = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = refused("build", photos, "--home", home, env=blocked, words=["mobilenet_v2", "embedder.weights="])
    assert "Downloading weights: mobilenet_v2" in done.stderr
    assert "MB) from http" in done.stderr
    assert list(home.glob("artifacts/dataset/[0-9a-f]*")), "what was finished before is kept"


def test_weights_that_do_not_exist_or_do_not_fit(photos, home, tmp_path):
    refused("build", photos, "--set", "embedder.weights=nowhere.safetensors", "--home", home, words=["nowhere"])
    (tmp_path / "w.pth").write_bytes(b"not weights")
    refused("build", photos, "--set", f"embedder.weights={tmp_path / 'w.pth'}", "--home", home, words=["w.pth"])


@pytest.mark.parametrize("what", ["truncated", "flipped", "foreign", "gone", "garbage"])
def test_a_damaged_index(copy_of_built, what):
    folder, home = copy_of_built
    path = writable(artifact_file(home, "index", "index.faiss"))
    data = bytearray(path.read_bytes())
    if what == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif what == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif what == "garbage":
        path.write_bytes(b"x" * len(data))
    elif what == "gone":
        path.unlink()
    else:
        other = home.parent / "other"
        run_cli("build", folder, *SMALL, "--set", "embedder.dim=8", "--set", "evaluation.baseline=false",
                "--home", other, check=0)  # fmt: skip
        shutil.rmtree(path.parent)
        shutil.copytree(artifact_file(other, "index", "index.faiss").parent, path.parent)
    refused("query", folder / "class 0" / "00.png", "--home", home, words=[path.parent])
    refused("build", folder, *SMALL, "--home", home, words=[path.parent])
    shutil.move(path.parent, home.parent / "away")
    run_cli("build", folder, *SMALL, "--home", home, check=0)
    run_cli("query", folder / "class 0" / "00.png", "--home", home, check=0)


def test_unreadable_features(copy_of_built):
    folder, home = copy_of_built
    path = writable(artifact_file(home, "embed", "features.h5"))
    path.write_bytes(path.read_bytes()[:1000])
    refused("build", folder, *SMALL, "--set", "index.factory=IVF2,Flat", "--home", home, words=["features.h5"])
    with h5py.File(path, "w") as file:
        file["features"] = np.zeros((30, 64), dtype=np.float32)
    refused("build", folder, *SMALL, "--home", home, words=["features.h5"])


def test_a_damaged_or_missing_build(copy_of_built, home):
    folder, copy = copy_of_built
    image = folder / "class 0" / "00.png"
    refused("query", image, "--home", home, words=["no build"])
    refused("query", image, "--build", "phots", "--home", copy, words=["'photos'"])
    refused("query", image, "--build", "../x", "--home", copy)
    for text in ("", "[]", "{}", '{"schema": 1}', "\0\0", '{"schema": 1, "when": "x", "stages": {}}'):
        (copy / "builds" / "photos.json").write_text(text)
        refused("query", image, "--home", copy, words=["photos.json"])
        refused("evaluate", "--home", copy)


def test_query_of_what_is_not_there(built, tmp_path):
    _, home = built
    (tmp_path / "empty").mkdir()
    refused("query", tmp_path / "empty", "--home", home, words=["empty"])
    refused("query", tmp_path / "gone.png", "--home", home, words=["gone.png", "- for paths on stdin, also works"])
    refused("query", "", "--home", home, words=["cannot read '': an empty path"])
    refused("query", "-", "--home", home, stdin="\n")


def test_a_montage_that_cannot_be_written(built, tmp_path):
    folder, home = built
    image = folder / "class 0" / "00.png"
    refused("query", image, "--montage", tmp_path / "x.nothing", "--home", home)
    refused("query", image, "--montage", tmp_path / "no" / "x.png", "--home", home)
    (tmp_path / "folder.png").mkdir()
    for out in ("x.nothing", "no/x.png", "folder.png"):
        done = run_cli("query", image, "--montage", tmp_path / out, "--home", home)
        assert (done.returncode, done.stdout) == (2, ""), "said before the first answer"


def test_a_home_that_cannot_be_written(photos, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    refused("build", photos, *SMALL, "--home", file, words=["file"])
    refused("build", photos, *SMALL, "--home", "/proc/simsearch", words=["/proc"])


def test_the_same_name_from_another_source(copy_of_built, tmp_path):
    _, home = copy_of_built
    other = write_folder(tmp_path / "elsewhere" / "photos", labels=2, each=4)
    refused("build", other, *SMALL, "--home", home, words=["photos", "--name"])
    run_cli("build", other, *SMALL, "--set", "evaluation.baseline=false", "--name", "second", "--home", home, check=0)
    refused("build", other, *SMALL, "--name", "Not Legal", "--home", home, words=["Not Legal"])


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2500 << 10, 20 << 10])
def test_a_full_disk_keeps_what_was_finished(copy_of_built, limit):
    """A bound on the size of files stands for the full disk: the system refuses to write in both."""
    folder, home = copy_of_built
    before = snapshot(home)
    wanted = [*SMALL, "--set", "training.seed=7", "--set", "evaluation.baseline=false"]
    command = [*ENTRY, "build", str(folder), *wanted, "--home", str(home)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    assert before.items() <= snapshot(home).items()
    again = run_cli("build", folder, *wanted, "--home", home, check=0)
    assert "Built photos" in again.stderr


def test_the_second_build_of_a_name_waits_and_says_for_whom(photos, home):
    script = (
        "import sys, time; from pathlib import Path; from simsearch.home import Home\n"
        "with Home(Path(sys.argv[1])).writing('build photos'):\n"
        "    print('held', flush=True); time.sleep(3)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(home)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    done = run_cli("build", photos, *SMALL, "--set", "evaluation.baseline=false", "--home", home, check=0)
    assert "Waiting for build photos" in done.stderr
    assert f"or end it: kill {holder.pid}. Queries are still answered" in done.stderr
    assert holder.wait() == 0
    holder.stdout.close()


def test_wrong_usage():
    for arguments in (["query"], ["nonsense"], ["build", "--nonsense"], ["build", "a", "b"]):
        assert run_cli(*arguments).returncode == 2


def test_json_never_holds_nan(built):
    done = run_cli("evaluate", "--json", "--home", built[1], check=0)
    report = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(name))
    assert report["build"] == "photos"
    assert os.linesep not in done.stdout.rstrip(os.linesep)
