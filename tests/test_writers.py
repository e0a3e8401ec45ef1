"""Several commands write to one home at the same time: what they share is made once, and nobody waits for no reason."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from commands import ENTRY, run_cli
from conftest import SMALL, picture, snapshot, write_folder
from synced import record, sync

from simsearch.artifacts import Store
from simsearch.console import Progress
from simsearch.exchange.vectors_in import run_import
from simsearch.home import Home

KILLS = 100
OTHER = ["--set", "loss.name=triplet", "--name", "other"]  # shares data, baseline and reference with the default


def in_thread(function, *arguments):
    """A thread that runs, and the list that gets what it returns or raises."""
    result = []

    def run():
        try:
            result.append(function(*arguments))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, result


def test_what_two_builds_share_is_made_once(tmp_path, monkeypatch):
    """By events: one is held in the middle of its first artifact until the other waits for that."""
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32))
    entered, waits = threading.Event(), threading.Event()
    committed, said, depth = Counter(), [], threading.local()
    real_commit, real_making = Store.commit, Home.making

    def commit(store, stage, digest, *more):
        committed[stage] += 1
        if not entered.is_set():
            entered.set()
            assert waits.wait(60)
        return real_commit(store, stage, digest, *more)

    @contextmanager
    def making(home, stage, digest):
        depth.now = getattr(depth, "now", 0) + 1
        assert depth.now == 1, "one artifact's lock at a time, and none while waiting for another"
        with real_making(home, stage, digest):
            yield
        depth.now -= 1

    class Heard(Progress):
        def say(self, line):
            if line.startswith("Waiting"):
                said.append(line)
                waits.set()

    monkeypatch.setattr(Store, "commit", commit)
    monkeypatch.setattr(Home, "making", making)
    place = str(tmp_path / "vectors.npy")
    first, made = in_thread(run_import, place, Home(tmp_path / "home"), "first", {}, Heard())
    assert entered.wait(60)
    second, made_too = in_thread(run_import, place, Home(tmp_path / "home"), "second", {}, Heard())
    first.join(100)
    second.join(100)
    (one,), (two,) = made, made_too
    assert one.build.record.stages == two.build.record.stages
    assert set(committed.values()) == {1}
    assert one.ran or two.ran
    assert said[0].startswith("Waiting for index import first (process ")
    assert "the same dataset artifact" in said[0]


def started(*arguments):
    return subprocess.Popen(
        [*ENTRY, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_two_builds_that_share_a_baseline_train_it_once(photos, home):
    both = [started("build", photos, *SMALL, *more, "--home", home) for more in ([], OTHER)]
    words = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], words
    lines = Counter(line.split()[0] for said in words for line in said.splitlines() if re.search(r" s$", line))
    assert (lines["Trained"], lines["Baseline"], lines["Reference"], lines["Read"]) == (2, 1, 1, 1), words
    assert record(home, "photos")["stages"]["baseline/train"] == record(home, "other")["stages"]["baseline/train"]
    for more in ([], OTHER):
        assert "up to date" in run_cli("build", photos, *SMALL, *more, "--home", home, check=0).stderr


@pytest.mark.slow
def test_a_sync_does_not_wait_for_the_training_of_another(ours):
    folder, home = ours
    picture(1, 71).save(folder / "class 1" / "new.png")
    begun = time.perf_counter()
    assert sync(home).changes.count == 1
    alone = time.perf_counter() - begun
    training = started(
        "build", folder, *SMALL[:4], "--set", "training.epochs=100000", "--name", "other", "--home", home
    )
    try:
        while not list(home.glob("artifacts/train/.partial-*/scratch/metrics.jsonl")):
            assert training.poll() is None
            time.sleep(0.05)
        picture(1, 72).save(folder / "class 1" / "newer.png")
        begun = time.perf_counter()
        assert sync(home).changes.count == 1
        assert training.poll() is None, "it is still training"
        # Two seconds on a machine of its own; here the training has all cores.
        assert time.perf_counter() - begun < 3 * alone + 10
    finally:
        training.kill()
        training.communicate()


@pytest.mark.slow
def test_a_hundred_kills_among_three_writers(ours, tmp_path):
    """Two builds that share most of what they make, and syncs of a third: what is finished is never made again."""
    folder, home = ours
    still = write_folder(tmp_path / "still", labels=4, each=20)
    chance = random.Random(13)
    wanted = [*SMALL[:4], "--set", "training.epochs=2", "--set", "evaluation.map=false", "--home", home]
    ends = Counter()

    def command(which):
        if which == "sync":
            picture(1, 100 + ends["all"]).save(folder / "class 1" / f"new{ends['all']}.png")
            return "sync", folder, "--build", "photos", "--home", home
        seed = ["--set", f"training.seed={ends[which]}"]
        return "build", still, *wanted, *seed, *(OTHER if which == "other" else ["--name", "one"])

    writers = {which: started(*command(which)) for which in ("one", "other", "sync")}
    finished, kills = snapshot(home), 0
    try:
        while kills < KILLS:
            time.sleep(chance.uniform(0, 2.5))
            which = chance.choice(list(writers))
            process = writers[which]
            done = process.poll()
            if done is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            words = process.communicate(timeout=60)[1]
            assert done in (None, 0), words
            ends[which] += done == 0
            ends["all"] += 1
            now = snapshot(home)
            assert finished.items() <= now.items(), "what was finished stays, and is used"
            finished = now
            writers[which] = started(*command(which))
    finally:
        for process in writers.values():
            process.kill()
            process.communicate()
    commands = [command(which) for which in writers]
    for words in commands:
        run_cli(*words, check=0)
    assert finished.items() <= snapshot(home).items()
    before = snapshot(home)
    for words in commands[:2]:
        assert "up to date" in run_cli(*words, check=0).stderr
    assert "up to date" in run_cli("sync", folder, "--build", "photos", "--home", home, check=0).stderr
    assert snapshot(home) == before
    assert not list(home.glob("artifacts/*/.partial-old-*"))
    for name in ("photos", "one", "other"):
        assert run_cli("index", "verify", name, "--home", home).returncode == 0
    assert json.loads(run_cli("clean", "--json", "--home", home, check=0).stdout)["freed"] == {}
    assert not list(home.glob("builds/.*.tmp")), "temporary files of the dead went"
