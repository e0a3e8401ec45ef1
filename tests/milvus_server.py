"""A real Milvus server for tests, on 127.0.0.1: started, killed, started again over the same data.

As a program, `python tests/milvus_server.py 20`: so many kills in a loop of acknowledged inserts, a line each.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

BLOCK = 500  # rows of one insert


class Server:
    """The standalone server of the package `milvus`, with its data in a folder."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.uri, self._running = folder, f"http://127.0.0.1:{self.port}", None

    def start(self):
        """Start it and wait until it answers; returns itself."""
        from simsearch.engines.milvus.client import Client
        from simsearch.errors import EngineError

        self._begin()
        until = time.monotonic() + 240  # it calls itself healthy before it answers
        while True:
            try:
                Client(self.uri).close()
                return self
            except EngineError:
                if time.monotonic() > until:
                    raise
                if self._running.server_proc.poll() is not None:  # what was killed had not let go of everything
                    time.sleep(5)
                    self._begin()

    def _begin(self) -> None:
        from milvus import MilvusServer

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._running = MilvusServer()
            self._running.listen_port = self.port
            self._running.set_base_dir(str(self.folder))
            self._running.start()

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        if self._running is not None and self._running.server_proc is not None:
            with suppress(ProcessLookupError):
                os.kill(self._running.server_proc.pid, signal.SIGKILL)
            self._running.server_proc.wait()
        self._running = None


def patiently(ask, seconds=180):
    """What an answer is once there is one: a server that was started again lets the first requests wait too long."""
    from simsearch.errors import EngineError

    until = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except EngineError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def acknowledged(server: Server, kills: int, seed: int = 0, tell=lambda words: None) -> tuple[int, list[int]]:
    """Insert in a loop while the server is killed; returns how many rows were acknowledged, and those then missing.

    After each kill every acknowledged row is looked for in the server that was started again.
    """
    from milvus_loaded import load, record

    from simsearch.engines.milvus.client import Client
    from simsearch.engines.milvus.collection import Collection
    from simsearch.errors import SimsearchError
    from simsearch.vectors.normalize import normalize

    drawn, rng = random.Random(seed), np.random.default_rng(seed)
    embeddings = normalize(rng.standard_normal((BLOCK, 16)))
    client = Client(server.uri)
    place = load(client, "FLAT", embeddings, name="killed").place
    client.close()
    done, missing = BLOCK, []
    for number in range(kills):
        client = Client(server.uri)
        collection = Collection(client, place)
        killer = threading.Timer(drawn.uniform(0.2, 2.0), server.kill)
        killer.start()
        try:
            while True:
                rows = range(done, done + BLOCK)
                for _ in collection.put([record(row) for row in rows], [embeddings]):
                    pass
                done += BLOCK
        except SimsearchError:
            pass
        killer.join()
        client.close()
        started = time.perf_counter()
        server.start()
        client = Client(server.uri)
        collection = Collection(client, place)
        patiently(collection.load)
        if patiently(partial(collection.count, f"row < {done}")) != done:
            seen = set()
            for first in range(0, done, 10_000):
                where = f"row >= {first} and row < {min(done, first + 10_000)}"
                found = client.call("query", "killed", filter=where, output_fields=["row"], consistency_level="Strong")
                seen |= {one["row"] for one in found}
            missing += sorted(set(range(done)) - seen)
        client.close()
        tell(f"kill {number + 1}: {done:,} acknowledged, {len(missing)} missing, {time.perf_counter() - started:.0f} s")
    return done, missing


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as base:
        running = Server(Path(base)).start()
        try:
            rows, lost = acknowledged(running, int(sys.argv[1]), tell=lambda words: print(words, flush=True))
        finally:
            running.kill()
    print(f"{rows:,} rows acknowledged, {len(lost)} missing")
    sys.exit(bool(lost))
