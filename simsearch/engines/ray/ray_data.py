"""The engine of a cluster: Ray Data, commanded by a process of its own, whose words never reach stdout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import simsearch
from simsearch.console import Progress
from simsearch.engines.engine import Job, say_finished
from simsearch.engines.local import Local
from simsearch.engines.ray.orders import Order, Work, error_of
from simsearch.errors import EmbedderError
from simsearch.images.records import spread
from simsearch.images.sources.again import written
from simsearch.vectors.shards import SHARD_ROWS

PATIENCE = 600.0  # a batch of a large network takes a minute on a slow core
END_SECONDS = 30.0
LOG = "ray.log"
MOST_SOCKET = 107  # characters of the path of a socket
OF_RAY = len("/simsearch-ray-12345678/session_2026-11-30_21-54-47_123456_1234567/sockets/plasma_store")


@dataclass(frozen=True)
class RayData:
    """Embed on every CPU of the Ray cluster at `address`, HOST:PORT, or of a Ray that is started on this machine.

    Workers read the images by the same paths as this machine; features come back through Ray. `patience`: for how many
    seconds no image may be embedded before it gives up.
    """

    address: str | None = None
    shard_rows: int = SHARD_ROWS
    patience: float = PATIENCE

    def ready(self) -> None:
        """Raise MissingError without ray, EmbedderError where no cluster of the same versions answers."""
        with temporary() as temp:
            drive(Order(self.address, temp, self.patience), Path(temp) / LOG, Progress())

    def __call__(self, job: Job, progress: Progress) -> None:
        """Write the shards that are missing; a single one would keep one worker busy, so it is written here."""
        shards, model = job.shards, job.bundle.model
        missing = shards.missing()
        if len(missing) < 2:
            Local(self.shard_rows)(job, progress)
            return
        say_finished(job, len(missing), progress)
        progress.tell("starting Ray" if self.address is None else f"joining Ray at {self.address}")
        work = Work(
            folder=str(shards.folder),
            rows=shards.rows,
            dim=shards.dim,
            shard_rows=shards.shard_rows,
            table=str(job.table.folder),
            first=job.first,
            canaries=spread(shards.rows, shards.canaries).tolist(),
            network=str(model.network),
            head=None if model.head is None else str(model.head),
            preprocessing=model.preprocessing,
            images=written(job.bundle.reader),
        )
        with temporary() as temp:
            drive(Order(self.address, temp, self.patience, work), shards.folder / LOG, progress)


def temporary() -> TemporaryDirectory[str]:
    """Return a folder for what a Ray leaves: the usual place, /tmp where paths of sockets there would be too long."""
    place = gettempdir() if len(gettempdir()) + OF_RAY <= MOST_SOCKET else "/tmp"
    return TemporaryDirectory(prefix="simsearch-ray-", dir=place, ignore_cleanup_errors=True)


def drive(order: Order, log: Path, progress: Progress) -> None:
    """Let a process carry out an order, its words in the file `log`; raises the SimsearchError that it tells of."""
    reading, writing = os.pipe()
    # Ray looks for modules in the current folder too, which is therefore an empty one.
    path = [str(Path(simsearch.__file__).parent.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-P", "-m", "simsearch.engines.ray.driver", str(writing)]
    with os.fdopen(reading) as events, log.open("ab") as words:
        try:
            # In a session of its own, so that Ctrl-C reaches it through this process alone.
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=words, stderr=words, env=environment, pass_fds=[writing],
                start_new_session=True, cwd=order.temp,
            )  # fmt: skip
        finally:
            os.close(writing)
        assert child.stdin is not None
        ended = False
        try:
            with suppress(BrokenPipeError):
                child.stdin.write(order.to_line().encode())
                child.stdin.flush()
            for line in events:
                event = json.loads(line)
                if "error" in event:
                    raise error_of(event)
                if "done" in event:
                    progress(event["done"], event["total"])
                ended = ended or "end" in event
        finally:
            _end(child, patiently=ended)
    if not ended:
        how = f"by signal {-child.returncode}" if child.returncode < 0 else f"with exit {child.returncode}"
        raise EmbedderError(
            f"the process that commands Ray ended {how}; its words are in {log}",
            hint="run the same command again: finished shards are not made again",
        )


def _end(child: subprocess.Popen[bytes], *, patiently: bool) -> None:
    """End the process and what it has started; Ray itself ends with it."""
    assert child.stdin is not None
    if patiently:
        with suppress(subprocess.TimeoutExpired):
            child.wait(END_SECONDS)
    with suppress(OSError):
        child.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        child.wait(END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
