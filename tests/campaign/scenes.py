"""Homes to begin with, the operations on them, and what anybody can see of a home."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from commands import run_cli
from conftest import picture, write_folder
from old_home.asking import unpack
from old_home.make import ARCHIVE

from campaign.children import asked, command
from simsearch.errors import SimsearchError

FROZEN = "embedder.backbone=mnist_cnn embedder.weights=none training.epochs=0 evaluation.baseline=false"
FROZEN += " evaluation.map=false images.size=28 images.mean=[0.5] images.std=[0.5]"  # fixed: one network for all
SETTINGS = [word for one in FROZEN.split() for word in ("--set", one)]
FIT = ["defects", "fit", "--build", "photos", "--normal", "class 1", "--false-alarms", "0.4", "--method", "mean"]
REFUSED, CLEAR = 2, "error: in one line"  # whatever it says: a repair changes what is wrong before it mends it
TWO_DAYS = 2 * 86_400
HOME, PACK = ("--home", "{home}"), "{work}/shelf.pack"
BUILD = "photos"  # the build that most is tried on
VECTORS = "vectors"  # the build of vectors, here and in the old home

Known = dict[str, Any]  # what builds showed, by the digest of all their bytes


@dataclass(frozen=True)
class Operation:
    """A command on a home of a scene.

    `words`: where {home}, {out} and {work} are put in. `builds`: what is verified after it. `done`: what the same
    command says, exit 2, where nothing is left to do.
    """

    scene: str
    words: tuple[str, ...]
    builds: tuple[str, ...] = ("photos",)
    done: str = ""
    code: int = 0


def _operation(scene: str, words: str, *builds: str, done: str = "") -> Operation:
    return Operation(scene, tuple(one.replace("_", " ") for one in words.split()), builds or ("photos",), done)


OPERATIONS = {
    "build": Operation("base", ("build", "{work}/photos", "--name", "other", *SETTINGS, *HOME), ("other",)),
    "sync": _operation("base", "sync --build photos --home {home}"),
    "labels": _operation("base", "sync --build photos --labels {work}/labels.csv --home {home}"),
    "switch": _operation("base", "switch photos next --home {home}"),
    "back": _operation("switched", "switch photos --back --home {home}", done="has no former state"),
    "accept": _operation("base", "bench accept --reason meant --home {home}"),
    "clean": _operation("base", "clean --home {home}", "photos", "next"),
    "remove": _operation("base", "clean next --home {home}", done="no build 'next'"),
    "fit": Operation("base", (*FIT, *HOME), ("photos-defects",)),
    "export": _operation("base", "export photos --format pack --out {out}/x.pack --home {home}", done="is overwritten"),
    "unpack": _operation("empty", f"query {{work}}/asked/0.png --build {PACK} --home {{home}}", PACK),
    "import": _operation("base", "index import {work}/vectors.npy --name vectors --home {home}", "vectors"),
    "repair": Operation("broken", ("index", "verify", "photos", "--repair", *HOME), code=1),
    "old": _operation("old", "sync --build softmax --home {home}", "softmax"),
}  # fmt: skip


def placed(words: tuple[str, ...], work: Path, place: Path) -> list[str]:
    """Return words with the folders of a trial in them."""
    return [one.format(work=work, home=place / "home", out=place / "out") for one in words]


class Scenes:
    """The homes that trials begin with, made once below `work`, with the pictures that they were made of."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._folder, ready = work / "scenes", work / "ready"
        if ready.exists():
            return
        write_folder(work / "photos")
        write_folder(work / "fewer", each=5)
        (work / "asked").mkdir()
        for label in range(3):
            picture(label, 900 + label).save(work / "asked" / f"{label}.png")
        rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
        np.save(work / "vectors.npy", rows)
        np.save(work / "near.npy", rows[:3] + np.float32(0.01))
        self._base()
        self._copies()
        self._change()
        ready.touch()

    def copy(self, name: str, place: Path) -> None:
        """Put the home of a scene into a place, with a folder for what is written elsewhere."""
        shutil.copytree(self._folder / name, place / "home")
        (place / "out").mkdir()

    def made(self, name: str) -> Path:
        """Return the home of a scene, which nobody may change."""
        return self._folder / name

    def _base(self) -> None:
        home = self._folder / "base"
        same = "images.size=28"
        for folder, name, setting in (
            ("photos", "photos", same),
            ("photos", "next", "evaluation.k=[1,2]"),
            ("fewer", "gone", same),
        ):
            _did("build", self.work / folder, "--name", name, *SETTINGS, "--set", setting, "--home", home)
        for path in (home / "builds").glob("gone*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in home.glob("artifacts/*/[0-9a-f]*"):
            os.utime(path, (time.time() - TWO_DAYS,) * 2)
        (home / "bench").mkdir()
        with tarfile.open(ARCHIVE) as archive:
            (home / "bench" / "history.sqlite").write_bytes(archive.extractfile("home/bench/history.sqlite").read())

    def _copies(self) -> None:
        base = self._folder / "base"
        (self._folder / "empty").mkdir()
        for name in ("switched", "broken"):
            shutil.copytree(base, self._folder / name)
        _did("switch", "photos", "next", "--home", self._folder / "switched")
        _did("export", "photos", "--format", "pack", "--out", self.work / "shelf.pack", "--home", base)
        record = json.loads((base / "builds" / "photos.json").read_bytes())
        index = self._folder / "broken" / "artifacts" / "index" / record["stages"]["index"]["digest"] / "index.faiss"
        index.chmod(0o644)
        index.write_bytes(index.read_bytes()[:-100])
        shutil.copytree(base, self._folder / "damaged")
        _did(*FIT, "--home", self._folder / "damaged")
        _did("bench", "accept", "--reason", "sealed", "--home", self._folder / "damaged")  # an old history is sealed so
        asked(lambda: str(unpack(self.work)))
        (self.work / "old" / "home").rename(self._folder / "old")

    def _change(self) -> None:
        """The folder of pictures goes on: what `sync` is for. Some labels are told by a file."""
        folder = self.work / "photos"
        lines = [
            f"class {label}/{number:02d}.png,class {(label + 1) % 3}" for label in range(3) for number in (0, 3, 7)
        ]
        (self.work / "labels.csv").write_text("\n".join(["image,label", *lines]) + "\n")
        (self.work / "old" / "photos" / "ash" / "05.png").unlink()
        picture(7, 70).save(folder / "class 1" / "new.png")
        picture(8, 80).save(folder / "class 0" / "04.png")
        (folder / "class 0" / "02.png").rename(folder / "class 2" / "moved.png")
        (folder / "class 0" / "05.png").unlink()
        old = time.time() - TWO_DAYS
        for path in folder.rglob("*.png"):
            os.utime(path, (old, old))


def _did(*words: object) -> None:
    ended = command(words, kill_after=600)  # the first loads torch
    if ended.code:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit {ended.code}\n{ended.err}")


def seen(work: Path, place: Path, before: Callable[[], None] = lambda: None, known: Known | None = None) -> Any:
    """Return what `looked` sees, in a child that `before` is called in."""

    def look() -> dict[str, Any]:
        before()
        return looked(work, place, known)

    return asked(look)


def looked(work: Path, place: Path, known: Known | None = None) -> dict[str, Any]:
    """Return what anybody can see in a place: each build's answers and stages, acceptances, packs that were written.

    What a home says instead of an answer begins with "error:". A build that is `known` with all its bytes is not asked.
    """
    home, found = place / "home", {}
    for path in sorted((home / "builds").glob("*.json")):
        same = known.get(whole_digest(path)) if known else None
        found[path.stem] = same or {"stages": _stages(path), "answers": answers(work, home, path.stem)}
    for path in (place / "out").glob("*.pack"):
        found[path.name] = answers(work, place / "elsewhere", str(path))
    shutil.rmtree(place / "elsewhere", ignore_errors=True)
    history = home / "bench" / "history.sqlite"
    if history.exists():
        from simsearch.bench.history.history import History

        try:
            with History(history, create=False) as opened:
                found["accepted"] = sorted({(night, reason) for night, _, reason in opened.accepts()})
        except SimsearchError as error:
            found["accepted"] = f"error: {error}"
    return found


def whole_digest(path: Path) -> str:
    """Return the digest of all bytes that a build's file and what it names have, its name and theirs."""
    home, data = path.parent.parent, path.read_bytes()
    named = sorted(set(re.findall(rb"[0-9a-f]{64}", data)))
    folders = [one for digest in named for one in sorted(home.glob(f"artifacts/*/{digest.decode()}"))]
    whole = hashlib.sha256(data)
    for file in (one for folder in (*folders, path.with_suffix("")) for one in sorted(folder.rglob("*"))):
        if file.is_file():
            whole.update(f"{file.relative_to(home)} {file.stat().st_size} ".encode() + file.read_bytes())
    return f"{path.name} {whole.hexdigest()}"


def answers(work: Path, home: Path, build: str) -> Any:
    """Return all neighbours of the pictures or vectors that are asked, in order; what is said where there are none."""
    what = ["--vectors", work / "near.npy"] if build == VECTORS else sorted((work / "asked").iterdir())
    done = run_cli("query", *what, "--build", build, "--k", "1000", "--json", "--home", home)
    if done.returncode:
        clear = done.returncode == REFUSED and done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
        return CLEAR if clear else done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        [[hit["row"], hit.get("label"), hit["image"], round(hit["score"], 4)] for hit in one["hits"]] for one in lines
    ]


def _stages(path: Path) -> Any:
    """What a build names, but for what has seconds in it."""
    try:
        stages = json.loads(path.read_bytes())["stages"]
    except (ValueError, KeyError):
        return "error: damaged"
    return {name: which["content"] for name, which in stages.items() if name not in ("evaluate", "verdict")}
