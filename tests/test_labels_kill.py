"""SIGKILL at random moments of a sync with a file of labels: all labels are those of before, or all those of after."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import picture
from synced import moved_copy, record, sync

import simsearch

pytestmark = pytest.mark.slow

KILLED = Path(__file__).with_name("killed.py")
KILLS, CALLS = 50, 12  # a sync that changes labels alone makes so few calls that make something durable


def labels_of(folder, home):
    hits = simsearch.open("photos", home=str(home)).search([folder / "class 2" / "05.png"], k=1000)[0]
    return {hit.image: hit.label for hit in hits}


def test_killed_at_random_moments(built, tmp_path):
    folder, home = moved_copy(built, tmp_path)
    random.seed(5)
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    every = sorted(labels_of(folder, home))
    for file, shift in zip(files, (1, 2), strict=True):
        lines = [f"{image},class {(int(image[6]) + shift) % 3}" for image in every[::2]]
        file.write_text("\n".join(["image,label", *lines]) + "\n")
    texts = [file.read_bytes() for file in files]
    started = time.perf_counter()
    sync(home, labels=str(files[0]))
    subprocess.run([sys.executable, "-m", "simsearch", "sync", "--home", home], check=True, capture_output=True)
    took = time.perf_counter() - started
    found = {0: labels_of(folder, home)}
    sync(home, labels=str(files[1]))
    found[1] = labels_of(folder, home)
    assert found[0] != found[1]
    stands, died = 1, 0
    for kill in range(KILLS):
        aim = 1 - stands
        if kill % 3 == 0:  # so that what is embedded, and not the table alone, is at stake
            extra = folder / "class 0" / f"more {kill}.png"
            picture(0, 100 + kill).save(extra)
        before = record(home)
        arguments = ["sync", "--labels", str(files[aim]), "--home", str(home)]
        if kill % 2:
            died += _killed(KILLED, str(random.randint(1, CALLS)), *arguments)
        else:
            died += _killed("-m", "simsearch", *arguments, after=random.uniform(0.2, took))
        after = record(home)
        labels = labels_of(folder, home)
        named = after["recipe"]["dataset"]["labels"]
        stands = files.index(Path(named))
        assert stands == (aim if after != before else 1 - aim)
        assert {image: labels[image] for image in every} == found[stands], "all of one file, and never of both"
        sync(home)
        assert set(labels_of(folder, home)) == {str(p.relative_to(folder)) for p in folder.rglob("*.png")}
    assert [file.read_bytes() for file in files] == texts
    assert died >= KILLS / 2, "most kills met a sync at work"


def _killed(*words, after=None) -> bool:
    """Whether a command died of SIGKILL: of its own accord, or after so many seconds."""
    with subprocess.Popen([sys.executable, *map(str, words)], stdout=-3, stderr=-3) as process:
        try:
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.returncode == -signal.SIGKILL
