"""Ray embeds what this process would, byte for byte, whatever is killed on the way, and what it cannot is one line.

Two nodes on one machine stand for a cluster; every process of theirs bears a mark, so that none of another is killed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import ENTRY, PACKAGE, run_cli
from test_full_disk import disk  # noqa: F401

from simsearch.console import Progress
from simsearch.embedder.bundle.embedding import Bundle
from simsearch.embedder.bundle.trained import model_of
from simsearch.engines.engine import Job
from simsearch.engines.local import Local
from simsearch.engines.ray.ray_data import LOG, RayData
from simsearch.errors import DiskError, EmbedderError, SourceError
from simsearch.home import Home
from simsearch.images.sources.source import FileReader
from simsearch.locks import Lock
from simsearch.vectors.shards import LIST

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

MARK = f"SIMSEARCH_TEST_{uuid.uuid4().hex}"
ROWS, SHARD_ROWS = 1797, 64
SHARDS = -(-ROWS // SHARD_ROWS)
# A network that is exported in seconds, and embeds so slowly that there is time to kill something.
WANTED = ["embedder.backbone=conv4", "embedder.weights=none", "images.size=64", "training.epochs=0"]
WANTED = [word for key in (*WANTED, "evaluation.baseline=false", "evaluation.map=false") for word in ("--set", key)]
BY_RAY = ["--set", "run.embed=ray", "--set", f"run.shard_rows={SHARD_ROWS}"]


@pytest.fixture(scope="module", autouse=True)
def marked():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, "1")
        patch.setenv("PYTHONPATH", str(PACKAGE))  # of the nodes too
        yield
    assert not processes(), "Ray was left running"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with the digits, embedded in this process."""
    home = tmp_path_factory.mktemp("ray") / "home"
    run_cli("build", "digits", *WANTED, "--home", home, check=0)
    return home


@pytest.fixture(scope="module")
def cluster():
    """A cluster of a head that has no CPU, as far as Ray knows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster

        made = Cluster(True, head_node_args=node(0))
        yield made
        made.shutdown()


def node(cpus):
    return {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 100 << 20}


def artifacts(home):
    store, record = Home(home).store, Home(home).build("digits").record
    return [store.open(kind, **record.stages[kind]) for kind in ("dataset", "train", "embed")]


class Ours:
    """A job on the digits of a home, an engine, and what it says."""

    def __init__(self, home, scratch, address=None, patience=120.0):
        dataset, trained, self.embedded = artifacts(home)
        self.engine = RayData(address, SHARD_ROWS, patience)
        bundle = Bundle(model_of(trained), FileReader(str(home / "datasets" / "digits"), dataset_decoding(dataset)))
        scratch.mkdir(exist_ok=True)
        self.job = Job.of(bundle, dataset.path, scratch, ROWS, self.engine)
        self.folder, self.said, self.done = scratch, [], []

    def run(self):
        ours = self

        class Heard(Progress):
            def say(self, line):
                ours.said.append(line)

            def __call__(self, done, total, unit="images"):
                ours.done.append((done, total))

        self.engine(self.job, Heard())

    def files(self):
        return {path.name: path.stat().st_mtime_ns for path in self.folder.glob("shard-*.npy")}

    def listed(self):
        return [json.loads(line)["start"] for line in (self.folder / LIST).read_text().splitlines()]

    def check(self):
        """Each row is there once, and the joined file is the one that this process made."""
        assert sorted(self.listed()) == [start for start, _ in self.job.shards.spans()]
        out = self.folder.parent / f"{self.folder.name}.h5"
        self.job.shards.join(out)
        assert out.read_bytes() == self.embedded.file("features.h5").read_bytes()

    @contextmanager
    def after(self, shards):
        """Run beside what is within, which begins when so many shards are there; then wait for the end."""
        errors = []

        def run():
            try:
                self.run()
            except Exception as error:
                errors.append(error)

        beside = threading.Thread(target=run)
        beside.start()
        wait_for(lambda: len(self.files()) >= shards or not beside.is_alive())
        assert beside.is_alive(), errors
        yield errors
        beside.join(180)
        assert not beside.is_alive()


def dataset_decoding(dataset):
    from simsearch.images.formats.decoding import told

    return told(dataset.facts)


def wait_for(condition, seconds=180):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.02)


def processes(words=""):
    """The processes, but for this one, that bear our mark and have the words in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (path / "environ").read_bytes() and words in (path / "cmdline").read_text():
                found.append(int(path.name))
        except (OSError, UnicodeDecodeError):
            continue
    return [pid for pid in found if pid != os.getpid() and not is_zombie(pid)]


def is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_cluster_without_a_free_cpu_is_given_up(home, tmp_path, cluster):
    ours = Ours(home, tmp_path / "scratch", cluster.address, patience=5.0)
    with pytest.raises(EmbedderError) as seen:
        ours.run()
    assert seen.value.message == (
        "Ray has embedded no image for 5 s: the shard of rows 0 to 63 stands still (no worker has taken it)"
    )
    assert "\n" not in seen.value.message + seen.value.hint


def test_one_actor_and_an_image_that_changed(home, tmp_path, cluster):
    cluster.add_node(**node(1))
    ours = Ours(home, tmp_path / "scratch", cluster.address)
    record = ours.job.table[100]
    picture = home / "datasets" / "digits" / record.image
    before = picture.read_bytes()
    try:
        picture.chmod(0o644)
        picture.write_bytes(before[:50])
        with pytest.raises(SourceError) as seen:
            ours.run()
    finally:
        picture.write_bytes(before)
    assert seen.value.message == f"{record.image!r} changed while it was being read"
    assert ours.job.shards.missing() == [(64, 128)], "the others were made"
    assert ours.done[-1] == (ROWS - SHARD_ROWS, ROWS)
    ours.run()
    assert ours.said == ["28 of 29 shards were finished by an earlier run"]
    ours.check()


def test_two_nodes_go_on_after_kills(home, tmp_path, cluster):
    """First an actor is killed, then the second node is taken away."""
    second = cluster.add_node(**node(1))
    ours = Ours(home, tmp_path / "scratch", cluster.address)
    with ours.after(3) as errors:
        os.kill(processes("ray::MapWorker")[0], signal.SIGKILL)
        wait_for(lambda: len(ours.files()) >= 9)
        cluster.remove_node(second, allow_graceful=False)
    assert not errors, errors
    ours.check()


def test_a_killed_driver_leaves_its_shards(home, tmp_path, cluster):
    cluster.add_node(**node(1))
    ours = Ours(home, tmp_path / "scratch", cluster.address)
    with ours.after(3) as errors:
        os.kill(processes("simsearch.engines.ray.driver")[0], signal.SIGKILL)
    (error,) = errors
    assert error.message.startswith("the process that commands Ray ended by signal 9; its words are in ")
    assert Path(error.message.rpartition(" ")[2]) == ours.folder / LOG
    (ours.folder / ".shard-0000000000.npy.1.tmp").write_bytes(b"left by a killed writer")
    finished, listed = ours.files(), ours.listed()
    again = Ours(home, ours.folder, cluster.address)
    again.run()
    assert again.said == [f"{len(listed)} of 29 shards were finished by an earlier run"]
    assert 3 <= len(listed) < SHARDS
    names = {f"shard-{start:010d}.npy" for start in listed}
    assert {name: again.files()[name] for name in names} == {name: finished[name] for name in names}
    again.check()


def test_a_full_disk_ends_it_in_one_line(home, cluster, disk):  # noqa: F811
    ours = Ours(home, disk / "scratch", cluster.address)
    (disk / "ballast").write_bytes(bytes(27 << 20))
    with pytest.raises(DiskError, match="no space left on the disk of "):
        ours.run()
    left = SHARDS - len(ours.job.shards.missing())
    assert 1 <= left < SHARDS
    (disk / "ballast").unlink()
    Local(SHARD_ROWS)(ours.job, Progress())
    ours.job.shards.join(disk / "features.h5")
    assert (disk / "features.h5").read_bytes() == ours.embedded.file("features.h5").read_bytes()


def test_a_second_driver_is_refused(home, tmp_path):
    ours = Ours(home, tmp_path / "scratch")
    with Lock(ours.folder / ".driver.lock") as lock:
        assert lock.alone("embedding with Ray")
        with pytest.raises(EmbedderError) as seen:
            ours.run()
    assert seen.value.message.startswith(
        f"another process writes the same shards: embedding with Ray (process {os.getpid()}, since "
    )
    assert not ours.files()


def test_the_command_line(home, tmp_path):
    """Killed, and started again with a worker killed: one document on stdout, the same bytes, nothing left behind."""
    shutil.copytree(home, tmp_path / "home")
    for stage in ("embed", "index", "evaluate", "verdict"):
        shutil.rmtree(tmp_path / "home" / "artifacts" / stage, ignore_errors=True)
    command = [*ENTRY, "build", "digits", *WANTED, *BY_RAY, "--json", "--home", tmp_path / "home"]
    others = set(processes())  # of the cluster
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(list((tmp_path / "home").glob("artifacts/embed/.partial-*/scratch/shard-*"))) >= 2)
    first.kill()
    assert first.communicate()[0] == b""
    wait_for(lambda: set(processes()) <= others)
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: processes("ray::MapWorker"))
    os.kill(processes("ray::MapWorker")[0], signal.SIGKILL)
    out, err = second.communicate(timeout=240)
    assert second.returncode == 0, err
    assert json.loads(out)["build"] == "digits"
    assert out.count("\n") == 1
    assert " of 29 shards were finished by an earlier run\n" in err
    assert "raylet" not in err
    assert "Traceback" not in err
    made, before = artifacts(tmp_path / "home")[2], artifacts(home)[2]
    assert made.file("features.h5").read_bytes() == before.file("features.h5").read_bytes()
    assert made.reference == before.reference
    assert not list((tmp_path / "home").glob("artifacts/embed/.partial-*"))
