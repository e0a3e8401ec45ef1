"""`simsearch serve` under load, on this computer alone: CPU seconds a request, waiting times, and vectors.

Sides (benchmarks/sides/): server_load.py sends (it shares the cores), server_bare.py is a bare loop that decodes the
same bytes, embeds and searches, server_torch.py the same job as a plain script of FastAPI, torch and faiss, with an
endpoint that only reads JSON. Figures are of 32 clients; p99 and p50 of half the load that ours takes at most. Vectors:
64 of them a request, 10 hits each, in 100,000 rows. Builds: digits, and photos by mobilenet_v2 where grocery/ and the
weights are there. Memory: server_memory.py.

HTTP alone: an endpoint of FastAPI that takes the same form and answers nothing, in the process of the torch script.

Command: python benchmarks/server.py [--json] [--rounds N] [--home PATH]      (6 minutes for 3 rounds on 2 cores)

Builds that a home has already, under the names digits, grocery and vectors, are taken as they are.
"""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    ENTRY,
    GROCERY,
    HERE,
    WEIGHTS,
    Ran,
    Row,
    artifact,
    build,
    in_turn,
    main,
    median,
    network,
    run,
    say,
    side,
    versions,
)

SECONDS, CLIENTS = 5, 32
MOST_BARE, MOST_TAIL, LEAST_EMPTY = 1.25, 5.0, 0.5
ROWS, DIM, VECTORS = 100_000, 64, 64
BOUNDARY = "a-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def measure(folder: Path, rounds: int, home: Path | None) -> Iterator[Row]:
    """Rows for digits, for photos, and for vectors."""
    home = home or folder / "home"
    record = _built(folder, home, "digits", "training.epochs=1", "evaluation.baseline=false")
    yield from _pictures("digits", folder, home, record, rounds)
    if GROCERY.is_dir() and WEIGHTS.is_file():
        settings = (f"embedder.weights={WEIGHTS}", "training.epochs=0", "evaluation.baseline=false")
        yield from _pictures(GROCERY.name, folder, home, _built(folder, home, GROCERY, *settings), rounds)
    else:
        say(f"photos are left out: {GROCERY} or {WEIGHTS} is not there")
    yield from _vectors(folder, home, rounds)


def _built(folder: Path, home: Path, recipe: str | Path, *settings: str) -> dict[str, Any]:
    file = home / "builds" / f"{Path(recipe).name}.json"
    return json.loads(file.read_bytes()) if file.is_file() else build(folder, home, recipe, *settings)


def sent_bodies(name: str, folder: Path, home: Path, record: dict[str, Any]) -> tuple[Path, Path]:
    """Write 400 pictures of a build into two folders: as they are, and as the bodies of forms that send them."""
    table = artifact(home, record, "dataset") / "images.csv"
    with table.open(newline="", encoding="utf-8") as file:
        images = [row["image"] for row in csv.DictReader(file)][::7][:400]
    plain, bodies = folder / f"{name}-pictures", folder / f"{name}-bodies"
    for one in (plain, bodies):
        one.mkdir()
    for number, image in enumerate(images):
        data = (Path(record["root"]) / image).read_bytes()
        (plain / f"{number:04}").write_bytes(data)
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        (bodies / f"{number:04}").write_bytes(head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode())
    return plain, bodies


def _pictures(name: str, folder: Path, home: Path, record: dict[str, Any], rounds: int) -> Iterator[Row]:
    table = artifact(home, record, "dataset") / "images.csv"
    plain, bodies = sent_bodies(name, folder, home, record)
    trained, index = network(folder, home, record), artifact(home, record, "index") / "index.faiss"

    def bare() -> Ran:
        return side("server_bare", folder, trained, index, plain, SECONDS)

    with serving(folder, ENTRY, "serve", "--build", name, "--home", home) as ours:
        with torch_side(folder, trained, index, table) as torch:
            sides = {
                "simsearch serve": lambda: ours("/v1/search", FORM, bodies),
                "bare loop": bare,
                "torch script": lambda: torch("/search", FORM, bodies),
                "empty endpoint": lambda: torch("/received", FORM, bodies),
            }
            found, loops, scripts, empty = in_turn(rounds, sides).values()
        rate = median(found, lambda ran: ran.said["rate"])
        half = [ours("/v1/search", FORM, bodies, wanted=rate / 2) for _ in range(rounds)]
    peer = versions("onnxruntime", "faiss-cpu", "pillow")
    cpu, least = (median(runs, lambda ran: 1e6 * ran.said["cpu"]) for runs in (found, loops))
    yield Row(f"server/{name}/cpu", cpu, least, f"bare loop, {peer}", "us", 1 / MOST_BARE)
    http = median(empty, lambda ran: 1e6 * ran.said["cpu"])
    yield Row(f"server/{name}/cpu_with_http", cpu, least + http, f"loop and {versions('fastapi')}, empty", "us")
    others = median(scripts, lambda ran: ran.said["rate"])
    yield Row(f"server/{name}/torch", rate, others, versions("fastapi", "torch", "faiss-cpu"), "req/s", 1.0)
    tail = median(half, lambda ran: ran.said["p99"] / ran.said["p50"])
    yield Row(f"server/{name}/p99_by_p50_at_half_load", tail, 1.0, "p50 itself", "times", limit=MOST_TAIL)


def _vectors(folder: Path, home: Path, rounds: int) -> Iterator[Row]:
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(100, DIM)).astype(np.float32)
    vectors = centres[draw.integers(0, 100, ROWS)] + 0.3 * draw.normal(size=(ROWS, DIM)).astype(np.float32)
    np.save(folder / "vectors.npy", vectors)
    if not (home / "builds" / "vectors.json").is_file():
        run([ENTRY, "index", "import", folder / "vectors.npy", "--home", home, "--name", "vectors",
             "--set", "index.target_recall=0.95"], folder)  # fmt: skip
    bodies = folder / "vector-bodies"
    bodies.mkdir()
    for number in range(40):
        asked = vectors[draw.integers(0, ROWS, VECTORS)].round(5).tolist()
        (bodies / f"{number:03}").write_text(json.dumps({"vectors": asked, "k": 10}))
    record = json.loads((home / "builds" / "digits.json").read_bytes())
    trained, index = artifact(home, record, "train"), artifact(home, record, "index") / "index.faiss"
    kind = "application/json"
    with (
        serving(folder, ENTRY, "serve", "--build", "vectors", "--home", home) as ours,
        torch_side(folder, trained, index, artifact(home, record, "dataset") / "images.csv") as empty,
    ):
        sides = {
            "simsearch serve": lambda: ours("/v1/search", kind, bodies),
            "empty endpoint": lambda: empty("/empty", kind, bodies),
        }
        found, others = in_turn(rounds, sides).values()
    rates = (median(runs, lambda ran: ran.said["rate"]) for runs in (found, others))
    yield Row("server/vectors/empty", *rates, f"empty endpoint, {versions('fastapi')}", "req/s", LEAST_EMPTY)


class Side:
    """A server that runs, and may be loaded."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self._folder, self._process, self._port = folder, process, port

    def __call__(self, path: str, kind: str, bodies: Path, *, wanted: float = 0, seconds: int = SECONDS) -> Ran:
        """Load it with the bodies of a folder."""
        where = (self._port, self._process.pid)
        ran = side("server_load", self._folder, *where, seconds, CLIENTS, wanted, path, kind, bodies)
        if ran.said["failed"]:
            raise SystemExit(f"{ran.said['failed']} of {ran.said['requests']} requests to {path} failed")
        return ran

    def digest(self) -> str:
        """The state that it answers by."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz") as reply:
            return str(json.load(reply)["builds"])

    def megabytes(self) -> float:
        """What it has in memory."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1000


def torch_side(folder: Path, trained: Path, index: Path, table: Path) -> Any:
    """The script with torch."""
    return serving(folder, sys.executable, HERE / "sides" / "server_torch.py", trained, index, table, port_last=True)


@contextmanager
def serving(folder: Path, *command: object, port_last: bool = False) -> Iterator[Side]:
    """Run a server as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [*map(str, command), *(() if port_last else ("--port",)), str(port)]
    process = subprocess.Popen(words, cwd=folder, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Side(folder, process, port)
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main(__doc__, measure, home=None)
