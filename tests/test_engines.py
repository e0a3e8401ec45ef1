"""Engines without a cluster: what a recipe asks for, what is refused before an image is read, how shards are tried."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from commands import run_cli, run_process
from conftest import SMALL, write_folder
from test_house import FILES, imports

from simsearch import errors
from simsearch.console import Progress
from simsearch.embedder.bundle.embedding import embed_canaries
from simsearch.engines.chosen import engine_of
from simsearch.engines.local import Local
from simsearch.engines.ray import driver, worker
from simsearch.engines.ray.orders import Order, Work, error_of, told
from simsearch.engines.ray.ray_data import RayData, drive, temporary
from simsearch.errors import EmbedderError, SourceError
from simsearch.images.formats.decoding import FIRST
from simsearch.images.records import ImageRecord
from simsearch.pipeline.plan import Plan
from simsearch.stages.step import Step
from simsearch.vectors.shards import Shards

RAY = ["--set", "run.embed=ray"]
PROCESSES = ("simsearch.engines.ray.driver", "simsearch.engines.ray.worker")
NAMES = ["a/1.png", "b/\udcff.png", "c/8.png"]


class FakeRay:
    """What a worker and a driver ask of ray, in this process: references are what they refer to."""

    def get(self, reference, timeout=None):
        return reference


class Remote:
    """An actor in this process."""

    def __init__(self, held):
        self._held = held

    def __getattr__(self, name):
        return SimpleNamespace(remote=getattr(self._held, name))


class FakeBundle:
    """Features that tell the row; an image can be made to fail."""

    batch, dim = 2, 3

    def __init__(self, *given):
        self.failing = {}

    def features(self, records):
        for record in records:
            if record.row in self.failing:
                raise self.failing[record.row]
        return np.float32([[record.row] * 3 for record in records])


def records(rows):
    return [ImageRecord(row, NAMES[row % 3], "", False, False, False, False, f"{row:064x}") for row in rows]


@pytest.fixture
def tally():
    return worker.Tally()


@pytest.fixture
def embedding(monkeypatch, tally):
    """A worker, in this process, whose bundle is a fake."""
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    monkeypatch.setattr(worker, "Bundle", FakeBundle)
    place = {"root": "/nowhere", "decoding": FIRST.to_json()}
    return worker.Worker([None], place, worker.packed(records([5, 9])), Remote(tally))


def shard(start, stop):
    return {"start": np.array([start]), "records": [worker.packed(records(range(start, stop)))]}


def test_what_run_asks_for():
    assert engine_of({}) == Local(8192)
    assert engine_of({"embed": "local", "shard_rows": 64, "address": "x:1", "device": "cpu"}) == Local(64)
    assert engine_of({"embed": "ray", "address": "head:6379", "shard_rows": 99}) == RayData("head:6379", 99)


@pytest.mark.parametrize(
    ("setting", "seen"), [("embed=dask", "did you mean"), ("address=6379", "6379"), ("shard_rows=0", "32")]
)
def test_a_wrong_value_is_one_line(setting, seen, tmp_path):
    done = run_cli("build", "digits", "--set", f"run.{setting}", "--home", tmp_path / "home", check=2)
    assert done.stderr.count("error: ") == 1
    assert seen in done.stderr or setting.startswith("embed")
    assert not (tmp_path / "home" / "datasets").exists()


def test_keys_of_run_leave_addresses_alone(built, tmp_path, monkeypatch):
    monkeypatch.setattr(RayData, "__call__", lambda *given: pytest.fail("nothing is missing"))
    monkeypatch.setattr(RayData, "ready", lambda self: pytest.fail("nothing is made"))
    folder, home = built[0], shutil.copytree(built[1], tmp_path / "home")  # the build's recipe is another then
    more = [*RAY, "--set", "run.address=nowhere.invalid:6379", "--set", "run.shard_rows=32"]
    assert "photos is up to date" in run_cli("build", folder, *SMALL, *more, "--home", home, check=0).stderr


def test_an_order_and_an_error_cross_as_json():
    work = Work("a\udcff", 3, 2, 64, "t", 1, [0, 2], "n.onnx", None, {"version": 1}, {"root": "/r"})
    order = Order("head:1", "/tmp/x", 2.5, work)
    assert order.to_line().count("\n") == 1
    assert Order.from_line(order.to_line()) == order
    assert Order.from_line(Order(None, "t", 1.0).to_line()).work is None
    for kind in (errors.SourceError, errors.MissingError, errors.DiskError):
        crossed = error_of(json.loads(json.dumps(told(kind("what", hint="do")))))
        assert (type(crossed), crossed.message, crossed.hint) == (kind, "what", "do")


def test_a_worker_embeds_the_rows_that_it_is_handed(embedding, tally):
    made = embedding(shard(4, 9))
    assert np.frombuffer(made["features"][0], np.float32).reshape(-1, 3)[:, 0].tolist() == [4, 5, 6, 7, 8]
    assert np.frombuffer(made["canaries"][0], np.float32).reshape(-1, 3)[:, 0].tolist() == [5, 9]
    assert (made["start"], made["event"]) == ([4], ["{}"])
    assert tally.state() == {4: (2, 1)}, "told after the first batch, then at most once a second"
    assert worker.unpacked(worker.packed(records(range(3)))) == records(range(3))


def test_an_image_is_named_at_once_and_other_failures_are_tried_again(embedding, tally):
    embedding._bundle.failing = {6: SourceError("'a/6.png' changed")}
    made = embedding(shard(4, 9))
    assert json.loads(made["event"][0])["message"] == "'a/6.png' changed"
    assert tally.state()[4][1] == 1
    embedding._bundle.failing = {6: OSError("the disk was\nabsent")}
    made = embedding(shard(4, 9))
    assert json.loads(made["event"][0]) == {"tried": "the disk was"}
    assert made["features"] == [b""]


def test_a_shard_whose_workers_die_is_given_up(embedding, tally):
    for _ in range(worker.MOST_TRIES):
        tally.begin(4)  # and dies
    event = json.loads(embedding(shard(4, 9))["event"][0])
    assert event == {"tried": "its worker died (killed, out of memory, or crashed)"}
    batch = {"start": np.array([4]), "event": [json.dumps(event)]}
    with pytest.raises(EmbedderError) as seen:
        driver._take(SimpleNamespace(shard_rows=4, rows=6), batch, None)
    assert seen.value.message.startswith("the shard of rows 4 to 5 failed 3 times: its worker died")


def test_a_canary_that_cannot_be_read_is_nan():
    bundle = FakeBundle()
    bundle.failing = {5: SourceError("gone")}
    found = embed_canaries(bundle, records([4, 5]), threads=2)
    np.testing.assert_array_equal(found, np.float32([[4] * 3, [np.nan] * 3]))


class EndedError(Exception):
    """The process would have ended."""


def test_a_driver_that_stands_still_names_the_shard(tmp_path, tally, monkeypatch):
    def end(code):
        raise EndedError

    monkeypatch.setattr(driver, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(driver.os, "_exit", end)
    shards, events = Shards(tmp_path, 20, 3, 8), []
    watch = driver.Watch(FakeRay(), shards, Remote(tally), 0.2, events.append)
    watch.begin([(0, 8), (8, 16), (16, 20)])
    with pytest.raises(EndedError):
        watch.run()
    assert events[-1]["message"].endswith("the shard of rows 0 to 7 stands still (no worker has taken it)")
    tally.begin(0), tally.begin(8), tally.begin(8), tally.at(8, 5)
    watch.wrote(0, 8)
    with pytest.raises(EndedError):
        watch.run()
    assert {"done": 13, "total": 20} in events
    assert events[-1]["message"].endswith("the shard of rows 8 to 15 stands still (try 2)")


def test_ray_is_looked_for_before_an_image_is_read(photos, home):
    """Also where it is installed: here it cannot be imported."""
    done = run_process("build", photos, *SMALL, *RAY, "--home", home, without=("ray",), check=2)
    assert 'error: [run] embed = "ray" needs ray, which ' in done.stderr
    assert done.stderr.endswith("hint: pip install 'simsearch[ray]'\n")
    assert done.stderr.count("\n") == 2
    assert not list(home.glob("artifacts/*/[0-9a-f]*"))


def test_a_cluster_that_is_not_there(photos, home):
    pytest.importorskip("ray")
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_process("build", photos, *SMALL, *RAY, "--set", f"run.address={address}", "--home", home, check=2)
    assert f"error: no Ray cluster answers at {address}: Connection refused\n" in done.stderr
    assert done.stderr.count("\n") == 2
    assert not list(home.glob("artifacts/*/[0-9a-f]*"))


def test_a_version_that_differs_is_one_line(tmp_path, monkeypatch):
    class Other:
        def init(self, **given):
            raise RuntimeError(
                "Version mismatch: The cluster was started with:\n    Ray: 2.9\n\nThis \x1b[36mwith 2.60"
            )

    monkeypatch.setattr(driver.socket, "create_connection", lambda *given: socket.socket())
    with pytest.raises(EmbedderError) as seen:
        driver._connect(Other(), Order("head:1", str(tmp_path), 1.0), print)
    words = "Version mismatch: The cluster was started with: Ray: 2.9 This with 2.60"
    assert seen.value.message == f"cannot use the Ray cluster at head:1: {words}"


def test_a_driver_that_ends_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EmbedderError, match="commands Ray ended with exit 1; its words are in "):
        drive(Order(None, str(tmp_path), 1.0), tmp_path / "x.log", Progress())


def test_needs_are_asked_before_what_leads_to_features(home):
    from simsearch.home import Home

    asked = Counter()

    def refuse():
        asked["needs"] += 1
        raise EmbedderError("no cluster")

    def step(kind):
        return Step(kind, "T", 1, {}, {}, lambda space, progress: ({}, ""), quick=True)

    plan = Plan(Home(home), needs=refuse)
    plan.make(step("index"))
    assert not asked
    with pytest.raises(EmbedderError, match="no cluster"):
        plan.make(step("train"))
    assert asked == {"needs": 1}
    assert not list(home.glob("artifacts/train/[0-9a-f]*"))


def test_sockets_have_short_paths(tmp_path, monkeypatch):
    long = tmp_path / "so long a name that no socket could be bound"
    long.mkdir()
    for place, parent in ((long, Path("/tmp")), (Path("/var/tmp"), Path("/var/tmp"))):
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with temporary() as folder:
            assert Path(folder).parent == parent
    assert not Path(folder).exists()


def test_a_single_shard_is_embedded_here(monkeypatch):
    called = []
    monkeypatch.setattr(Local, "__call__", lambda self, job, progress: called.append(self.shard_rows))
    job = SimpleNamespace(shards=SimpleNamespace(missing=lambda: [(0, 9)]), bundle=SimpleNamespace(model=None))
    RayData(shard_rows=77)(job, Progress())
    assert called == [77]


def test_the_end_of_the_build_ends_the_driver(tmp_path):
    temp = tmp_path / "temp"
    temp.mkdir()
    code = (
        "import sys, time; from simsearch.engines.ray import driver;"
        "driver._obey = lambda order, tell: time.sleep(60); sys.argv[1:] = ['1']; driver.main()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    child.stdin.write(Order(None, str(temp), 1.0).to_line().encode())
    child.stdin.close()
    assert child.wait(50) == 1
    assert not temp.exists()


def test_only_the_processes_of_ray_load_it():
    by = {path.parent.name for path in FILES if any(name.startswith(PROCESSES) for name in imports(path))}
    assert by == {"ray"}


@pytest.mark.slow
def test_a_build_needs_no_ray(photos, home):
    done = run_process("build", photos, *SMALL, "--home", home, without=("ray", "pandas", "pyarrow"), check=0)
    assert "Built photos" in done.stderr


@pytest.mark.slow
def test_build_and_sync_hand_over_to_the_same_engine(photos, home, monkeypatch):
    """Here it is one that does the work itself."""
    heard = []
    monkeypatch.setattr(RayData, "ready", lambda self: heard.append("ready"))

    def here(self, job, progress):
        heard.append((self.address, job.first, job.shards.rows))
        Local(self.shard_rows)(job, progress)

    monkeypatch.setattr(RayData, "__call__", here)
    more = [*RAY, "--set", "run.address=head:6379", "--set", "run.shard_rows=32", "--set", "evaluation.baseline=false"]
    run_cli("build", photos, *SMALL, *more, "--home", home, check=0)
    assert heard == ["ready", ("head:6379", 0, 30)]
    heard.clear()
    write_folder(photos / "more", labels=3, each=11)
    run_cli("sync", "--home", home, check=0)
    assert heard == ["ready", ("head:6379", 30, 33)]
    heard.clear()
    write_folder(photos / "last", labels=1, each=2)
    run_cli("sync", "--home", home, check=0)
    assert [one for one in heard if one == "ready"] == [], "two images are embedded here"
