"""Done when 2: random sequences of add, change, move, remove, sync and kill against a plain dictionary as the model.

The model knows which picture lies where; its answers come from exact search over embeddings of those pictures. Every
kind of index is set to look at all it has, and loses neighbours to nothing but deleted rows, so it must agree.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, picture, run_cli
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from milvus_loaded import answered_for, moved_too
from synced import moved_copy, record, sync

from simsearch.home import Home
from simsearch.search import Searcher

pytestmark = pytest.mark.slow

KILLED = Path(__file__).with_name("killed.py")
MILVUS = "Milvus"
KINDS = {
    "Flat": [],
    "IVF4,Flat": ["--set", "index.nprobe=4"],
    "HNSW8": ["--set", "index.efSearch=256"],
    MILVUS: [],
}
CLASSES = ("class 0", "class 1", "class 2")
WHICH = st.integers(0, 2**16)
STEP = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(CLASSES), st.integers(1, 5)),
    st.tuples(st.just("change"), WHICH, st.just(0)),
    st.tuples(st.just("move"), WHICH, st.sampled_from(CLASSES)),
    st.tuples(st.just("remove"), WHICH, st.integers(1, 5)),
    st.tuples(st.just("remove near"), WHICH, st.integers(3, 6)),
    st.tuples(st.just("sync"), st.just(0), st.just(0)),
    st.tuples(st.just("kill"), st.integers(3, 48), st.just(0)),
)


class Model:
    """A folder, and for each file the number of the picture that lies there."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.files = {}
        self.searcher = Searcher(Home(home).build("photos"))
        self.embeddings = {}
        self.fresh = 1000
        self.compacted = False
        for path in sorted(folder.rglob("*.png")):
            label, number = int(path.parent.name[-1]), int(path.stem)
            self.files[str(path.relative_to(folder))] = (label, number)
        self.synced = dict(self.files)

    def embedding(self, seed):
        if seed not in self.embeddings:
            self.embeddings[seed] = self.searcher.embed([np.asarray(picture(*seed))])[0]
        return self.embeddings[seed]

    def write(self, name):
        self.fresh += 1
        self.files[name] = (self.fresh % 9, self.fresh)
        path = self.folder / name
        path.unlink(missing_ok=True)  # another inode: two files of one size within one tick are told apart
        picture(*self.files[name]).save(path)

    def pick(self, which):
        return sorted(self.files)[which % len(self.files)]

    def do(self, kind, one, two):
        if kind == "add":
            for _ in range(two):
                self.write(f"{one}/added {self.fresh}.png")
        elif kind == "change":
            self.write(self.pick(one))
        elif kind == "move":
            old = self.pick(one)
            new = f"{two}/moved {len(self.files)} {one}.png"
            os.rename(self.folder / old, self.folder / new)
            self.files[new] = self.files.pop(old)
        elif kind == "remove":
            for number in range(two):
                self.remove(self.pick(one + 7 * number))
        elif kind == "remove near":
            query = self.embedding(self.files[self.pick(one)])
            near = sorted(self.files, key=lambda name: -float(query @ self.embedding(self.files[name])))
            for name in near[:two]:
                self.remove(name)
        elif kind == "sync":
            self.compacted |= sync(self.home, allow_deletes=True).compacted
            self.synced = dict(self.files)
            self.check(self.synced)
        elif kind == "kill":
            before = record(self.home)
            words = [sys.executable, KILLED, str(one), "sync", "--allow-deletes", "--home", self.home]
            killed = subprocess.run(words, capture_output=True)
            assert killed.returncode in (0, -signal.SIGKILL), killed.stderr
            if record(self.home) != before:
                self.synced = dict(self.files)
            self.check(self.synced)

    def remove(self, name):
        if len(self.files) > 12:
            (self.folder / name).unlink()
            del self.files[name]

    def check(self, files):
        """The build answers as exact search over `files`: the same images, or others of the same score."""
        searcher = Searcher(Home(self.home).build("photos"))
        assert searcher.images == len(files)
        names = sorted(files)
        base = np.stack([self.embedding(files[name]) for name in names])
        queries = [(label, 5000 + label) for label in range(4)] + [files[names[0]]]
        for seed in queries:
            scores = dict(zip(names, (base @ self.embedding(seed)).tolist(), strict=True))
            for k in (1, 8, 2 * len(names)):
                hits = searcher.search([np.asarray(picture(*seed))], k)[0]
                assert len(hits) == min(k, len(names))
                assert len({hit.image for hit in hits}) == len(hits)
                best = sorted(scores.values(), reverse=True)[: len(hits)]
                np.testing.assert_allclose([hit.score for hit in hits], best, atol=3e-6)
                for hit in hits:
                    assert hit.score == pytest.approx(scores[hit.image], abs=3e-6)
                    assert hit.label == hit.image.split("/")[0]


@pytest.fixture(scope="module")
def starts(built, tmp_path_factory):
    """(folder, home) of the small build, with each kind of index."""
    found = {}
    for factory, more in KINDS.items():
        root = tmp_path_factory.mktemp("start")
        if factory == MILVUS:
            if find_spec("milvus_lite"):
                found[factory] = answered_for(built, root)
            continue
        found[factory] = moved_copy(built, root)
        if factory != "Flat":
            kind = ["--set", f"index.factory={factory}", *more]
            run_cli("build", found[factory][0], *SMALL, *kind, "--home", found[factory][1], check=0)
    return found


@pytest.mark.parametrize("factory", KINDS)
def test_any_sequence_of_changes_is_answered_as_by_exact_search(starts, tmp_path_factory, factory):
    if factory not in starts:
        pytest.skip("needs simsearch[milvus]")
    # A file of Milvus is of one process: what a killed one leaves is looked at in test_milvus_commands.
    seen, copied = set(), moved_too if factory == MILVUS else moved_copy

    @settings(
        max_examples=5,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(STEP, min_size=6, max_size=12))
    def run(steps):
        model = Model(*copied(starts[factory], tmp_path_factory.mktemp("model")))
        for step in steps:
            if factory == MILVUS and step[0] == "kill":
                continue
            model.do(*step)
            seen.add(step[0])
        model.do("sync", 0, 0)
        seen.update(["compacted"] * model.compacted)

    run()
    wanted = {"compacted", "add", "change", "move", "remove", "remove near", "sync", "kill"}
    assert seen == (wanted - {"kill"} if factory == MILVUS else wanted)
