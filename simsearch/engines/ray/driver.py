"""The process that commands Ray for a build: `python -m simsearch.engines.ray.driver FD`, an order on its stdin.

Ray and its daemons print to the stdout of whoever starts them, and their driver may be lost with its cluster; so
neither is in the process of the build. Events go to the descriptor FD. The end of stdin, as when the build was killed,
ends this process, and with it a Ray that was started here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from simsearch.embedder.bundle.trained import Model
from simsearch.embedder.networks.hub import needing
from simsearch.engines.ray.orders import Order, Work, error_of, told
from simsearch.engines.ray.worker import MOST_TRIES, TRIED, Tally, Worker, packed
from simsearch.errors import EmbedderError, SimsearchError, disk_error
from simsearch.images.records import RecordTable
from simsearch.locks import Lock
from simsearch.vectors.shards import Shards
from simsearch.versions import usable_cores

ASKED_FOR = '[run] embed = "ray"'
CONNECT_SECONDS = 180.0
REACH_SECONDS = 10.0
LOOK_SECONDS = 1.0
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
HINT = "every machine of the cluster needs this simsearch and the same paths; finished shards are kept"
AHEAD = 2  # shards that an actor is handed at a time: the next one waits there

Tell = Callable[[dict[str, Any]], None]


def main() -> None:
    """Do what the order on stdin says, and tell of it; nothing that fails here ends in a traceback of the build."""
    lock = threading.Lock()
    events = os.fdopen(int(sys.argv[1]), "w")

    def tell(event: dict[str, Any]) -> None:
        with lock:
            events.write(json.dumps(event) + "\n")
            events.flush()

    order = Order.from_line(sys.stdin.readline())
    threading.Thread(target=_end_with_the_build, args=(order,), daemon=True).start()
    try:
        _obey(order, tell)
        tell({"end": True})
    except SimsearchError as error:
        tell(told(error))
    except Exception as error:
        traceback.print_exc()
        tell(told(disk_error(error) or EmbedderError(f"Ray failed: {_words(error, 1)}", hint=HINT)))


def _obey(order: Order, tell: Tell) -> None:
    with needing(ASKED_FOR, "ray", "ray"):
        import ray
        import ray.data
    if order.work is None and order.address is None:
        return
    if order.work is None:
        _connect(ray, order, tell)
    else:
        with _alone(Path(order.work.folder)):
            _connect(ray, order, tell)
            _embed(ray, order.work, order.patience, tell)
    ray.shutdown()


def _end_with_the_build(order: Order) -> None:
    sys.stdin.read()
    shutil.rmtree(order.temp, ignore_errors=True)
    os._exit(1)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of the shards in a folder, which a driver may still have whose build was killed."""
    with Lock(folder / ".driver.lock") as lock:
        if not lock.alone("embedding with Ray"):
            raise EmbedderError(
                f"another process writes the same shards: {lock.holder}, into {folder}",
                hint="wait for it or end it, and run the same command again",
            )
        yield


def _connect(ray: Any, order: Order, tell: Tell) -> None:
    """Start Ray on this machine, or join the cluster at an address; raises EmbedderError where it is none."""
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    where, address = f"the Ray cluster at {order.address}", order.address
    if address is None:
        where = "a Ray on this machine"
        arguments = {"address": "local", "num_cpus": usable_cores(), "include_dashboard": False}
        arguments["_temp_dir"] = order.temp
    else:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), REACH_SECONDS).close()
        except OSError as error:
            raise EmbedderError(
                f"no Ray cluster answers at {address}: {error.strerror or error}",
                hint="start one there (ray start --head), or leave run.address out",
            ) from None
        arguments = {"address": address}

    def give_up() -> None:
        _fail(tell, EmbedderError(f"{where} did not answer within {CONNECT_SECONDS:.0f} s"))

    timer = threading.Timer(CONNECT_SECONDS, give_up)
    timer.daemon = True
    timer.start()
    try:
        ray.init(**arguments, **quiet)
    except Exception as error:
        if full := disk_error(error):
            raise full from None
        raise EmbedderError(
            f"cannot use {where}: {_words(error)}",
            hint="this machine must be part of it (ray start --address), with the same versions of ray and Python",
        ) from None
    finally:
        timer.cancel()
    ray.data.DataContext.get_current().enable_progress_bars = False


def _embed(ray: Any, work: Work, patience: float, tell: Tell) -> None:
    """Write every shard that is missing, however many workers are lost on the way.

    An image that cannot be embedded is told of at the end: the other shards are written first.
    """
    shards = Shards(Path(work.folder), work.rows, work.dim, work.shard_rows, len(work.canaries))
    table = RecordTable(Path(work.table))
    here = ray.get_runtime_context().get_node_id()
    # Beside the driver, so that no other machine takes it along; it needs no CPU, which actors may hold all of.
    beside = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
    tally = ray.remote(Tally).options(num_cpus=0, scheduling_strategy=beside).remote()
    head = None if work.head is None else Path(work.head).read_bytes()
    model = ray.put(Model(Path(work.network).read_bytes(), head, work.preprocessing))
    canaries = packed([table[work.first + row] for row in work.canaries])
    watch = Watch(ray, shards, tally, patience, tell)
    threading.Thread(target=watch.run, daemon=True).start()
    failed: SimsearchError | None = None
    while missing := [span for span in shards.missing() if span[0] not in watch.refused]:
        watch.begin(missing)
        # One row is one block is one shard. A repartition would want CPUs that the actors hold, and wait for ever.
        items = [
            {"start": start, "records": packed(table.span(work.first + start, work.first + stop))}
            for start, stop in missing
        ]
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        pool = ray.data.ActorPoolStrategy(size=min(cores, len(items)), max_tasks_in_flight_per_actor=AHEAD)
        found = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            Worker, batch_size=1, compute=pool, num_cpus=1, fn_constructor_args=([model], work.images, canaries, tally)
        )
        try:
            for batch in found.iter_batches(batch_size=1, batch_format="numpy"):  # in no order
                failed = _take(shards, batch, watch) or failed
        except ray.exceptions.RayError:
            traceback.print_exc()
            if not watch.written & {start for start, _ in missing}:
                raise
    if failed is not None:
        raise failed


def _take(shards: Shards, batch: dict[str, Any], watch: Watch) -> SimsearchError | None:
    """Write the shard that a worker made; returns what it says of an image, and raises for one that it gave up."""
    start, event = int(batch["start"][0]), json.loads(batch["event"][0])
    stop = min(start + shards.shard_rows, shards.rows)
    if TRIED in event:
        raise EmbedderError(
            f"the shard of rows {start:,} to {stop - 1:,} failed {MOST_TRIES} times: {event[TRIED]}",
            hint="what was finished is kept; --set run.embed=local embeds on this machine alone",
        )
    if event:
        watch.refuse(start)
        return error_of(event)
    features, canaries = (
        np.frombuffer(batch[key][0], np.float32).reshape(-1, shards.dim) for key in ("features", "canaries")
    )
    shards.write(start, features, canaries, json.loads(batch["machine"][0]))
    watch.wrote(start, len(features))
    return None


class Watch:
    """Tells how far the shards are, and ends the process where nothing has happened for too long."""

    def __init__(self, ray: Any, shards: Shards, tally: Any, patience: float, tell: Tell) -> None:
        self._ray, self._shards, self._tally, self._patience, self._tell = ray, shards, tally, patience, tell
        self._rows = 0
        self._state: dict[int, tuple[int, int]] = {}
        self._waiting: list[tuple[int, int]] = []
        self.written: set[int] = set()
        self.refused: set[int] = set()

    def begin(self, missing: list[tuple[int, int]]) -> None:
        """Note what is to be done now."""
        self._waiting = missing
        self._rows = self._shards.rows - sum(stop - start for start, stop in missing)

    def wrote(self, start: int, rows: int) -> None:
        """Note that a shard was written."""
        self.written.add(start)
        self._rows += rows
        self._tally.end.remote(start)
        self._tell_done()

    def refuse(self, start: int) -> None:
        """Note that a shard cannot be made."""
        self.refused.add(start)
        self._tally.end.remote(start)

    def run(self) -> None:
        """Look every second, until the process ends."""
        before: Any = None
        since = time.monotonic()
        while True:
            time.sleep(LOOK_SECONDS)
            try:
                self._state = self._ray.get(self._tally.state.remote(), timeout=self._patience)
            except Exception:
                traceback.print_exc()
            now = (self._rows, self._state)
            if now != before:
                before, since = now, time.monotonic()
                self._tell_done()
            elif time.monotonic() - since > self._patience:
                _fail(self._tell, self._stalled())

    def _tell_done(self) -> None:
        ended = self.written | self.refused
        under_way = sum(done for start, (done, _) in self._state.items() if start not in ended)
        self._tell({"done": min(self._rows + under_way, self._shards.rows), "total": self._shards.rows})

    def _stalled(self) -> EmbedderError:
        idle = f"Ray has embedded no image for {self._patience:.0f} s"
        ended = self.written | self.refused
        begun = next((start for start in self._state if start not in ended), None)
        start = begun if begun is not None else next((s for s, _ in self._waiting if s not in ended), 0)
        stop = min(start + self._shards.shard_rows, self._shards.rows)
        how = "no worker has taken it" if begun is None else f"try {self._state[begun][1]}"
        return EmbedderError(
            f"{idle}: the shard of rows {start:,} to {stop - 1:,} stands still ({how})",
            hint="ray status tells what the cluster lacks; what was finished is kept",
        )


def _fail(tell: Tell, error: SimsearchError) -> None:
    """End the process from another thread than the one that waits for Ray."""
    tell(told(error))
    os._exit(1)


def _words(error: Exception, last: int = 0) -> str:
    """The last lines of what Ray says, in which the cause stands; all of them with 0."""
    lines = [line for line in COLOUR.sub("", str(error)).splitlines() if line.strip()]
    return " ".join(" ".join(lines[-last:]).split())[:300] or type(error).__name__


if __name__ == "__main__":
    main()
