"""What the benchmarks share: their form, children measured from outside, sides in turn, rows printed.

`python benchmarks/NAME.py [--json] [--rounds N]`. With --json one JSON document a row; a ratio above 1 means that ours
is better. Every side is a process of its own; sides run in turn (A B A B ...); a figure is the median of the rounds.
This process stays small and imports nothing heavy: Linux hands the peak memory of the parent on to the child that it
starts, so a heavy parent would be measured instead of the child.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SIMSEARCH_TEST_DATA") or HERE.parent.parent / "shared" / "data").absolute()
WEIGHTS = DATA.parent / "weights" / "mobilenet_v2.safetensors"
GROCERY = DATA / "grocery"
ENTRY = Path(sys.executable).with_name("simsearch")
IDX = tuple(f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte"))
MEGABYTE = 1_000_000
# What simsearch sets for itself; a value of the caller would reach the peer too, which runs with its own defaults.
NOT_HANDED_ON = {"OMP_WAIT_POLICY", "SIMSEARCH_HOME"}
DIGITS = {"s": 3, "%": 2}  # of a figure that is printed; of other units none
COLUMNS = "{:<44} {:>10} {:>10} {:<9} {:>6}  {:<20} {}"


@dataclass(frozen=True)
class Row:
    """Ours against a peer, in `unit`; `target` is the ratio that the issue asks for, `limit` the most ours may be."""

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    target: float | None = None
    limit: float | None = None

    @property
    def ratio(self) -> float:
        """Above 1: ours is better."""
        return self.ours / self.peer if self.unit.endswith("/s") else self.peer / self.ours

    def aim(self) -> str:
        """The target in words, and whether it is met."""
        if self.target is not None:
            return f"ratio >= {self.target:.3g}: {'met' if self.ratio >= self.target else 'MISSED'}"
        if self.limit is not None:
            return f"< {self.limit:g} {self.unit}: {'met' if self.ours < self.limit else 'MISSED'}"
        return ""


@dataclass(frozen=True)
class Ran:
    """A finished child: wall seconds from its start to its end, peak memory in MB, and the JSON that it printed.

    `first`: the seconds after which the file was there that it was watched for.
    """

    seconds: float
    megabytes: float
    said: Any
    first: float | None = None


def main(about: str | None, measure: Callable[..., Iterator[Row]], **places: Path | None) -> None:
    """Run a benchmark: `measure(temporary folder, rounds)` yields rows, each printed when it is there.

    It is handed `places` by name too, each with a default, which an option of that name replaces.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON document a row")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="runs of each side, at least 1 [5]")
    for name, place in places.items():
        parser.add_argument(f"--{name}", type=Path, default=place, metavar="PATH", help=f"[{place}]" if place else None)
    arguments = parser.parse_args()
    given = {name: where.absolute() if (where := getattr(arguments, name)) else None for name in places}
    if arguments.rounds < 1:
        parser.error("--rounds: expected at least 1")
    busy = os.getloadavg()[0]
    if busy > 0.5:
        say(f"note: the load is {busy:.1f} before the start; other work makes these figures unsteady")
    if not arguments.json:
        print(machine())
        print(COLUMNS.format("name", "ours", "peer", "unit", "ratio", "target", "peer is"), flush=True)
    with tempfile.TemporaryDirectory(prefix="simsearch-bench-") as folder:
        for row in measure(Path(folder), arguments.rounds, **given):
            print(_json(row) if arguments.json else _line(row), flush=True)


def run(command: list[str | Path], folder: Path, watched: Path | None = None) -> Ran:
    """Run a child in `folder` to its end; a child that fails ends the benchmark with its last words and exit 1.

    With `watched` it is seen, to some milliseconds, when that file appears.
    """
    first = None
    environment = {key: value for key, value in os.environ.items() if key not in NOT_HANDED_ON}
    environment["TMPDIR"] = str(folder)
    with (folder / "stdout").open("w+b") as out, (folder / "stderr").open("w+b") as err:
        started = time.perf_counter()
        process = subprocess.Popen([*map(str, command)], stdout=out, stderr=err, cwd=folder, env=environment)
        while watched is not None and first is None and process_waits(process.pid):
            first = time.perf_counter() - started if watched.exists() else None
            time.sleep(0.005)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            say(f"error: exit {process.returncode} of {' '.join(map(str, command))}")
            say(err.read().decode(errors="replace")[-2000:])
            raise SystemExit(1)
        lines = out.read().decode(errors="replace").strip().splitlines()
    said = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
    return Ran(seconds, usage.ru_maxrss * 1024 / MEGABYTE, said, first)


def process_waits(pid: int) -> bool:
    """Whether a child still runs; one that ended is left to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def side(name: str, folder: Path, *arguments: object) -> Ran:
    """Run benchmarks/sides/NAME.py."""
    return run([sys.executable, HERE / "sides" / f"{name}.py", *map(str, arguments)], folder)


def build(folder: Path, home: Path, recipe: str | Path, *settings: str) -> dict[str, Any]:
    """`simsearch build` in a home; returns the record of the build."""
    name = Path(recipe).name
    say(f"building {name}: {' '.join(settings)}")
    chosen = [word for setting in settings for word in ("--set", setting)]
    run([ENTRY, "build", recipe, *chosen, "--home", home, "--name", name], folder)
    record: dict[str, Any] = json.loads((home / "builds" / f"{name}.json").read_bytes())
    return record


def artifact(home: Path, record: dict[str, Any], stage: str) -> Path:
    """The folder of a build's artifact."""
    return home / "artifacts" / stage / str(record["stages"][stage]["digest"])


def network(folder: Path, home: Path, record: dict[str, Any]) -> Path:
    """A folder with embedder.json, weights.safetensors and embedder.onnx of a build that trained no head of its own.

    Where the backbone is an artifact of its own, the files of both are brought together in `folder`.
    """
    trained = artifact(home, record, "train")
    if "backbone" not in record["stages"]:
        return trained
    backbone, both = artifact(home, record, "backbone"), folder / f"network-{trained.name[:16]}"
    both.mkdir(exist_ok=True)
    files = {"embedder.json": trained, "weights.safetensors": backbone, "embedder.onnx": backbone}
    for name, place in files.items():
        shutil.copyfile(place / name.replace("embedder.onnx", "backbone.onnx"), both / name)
    return both


def in_turn(rounds: int, sides: dict[str, Callable[[], Ran]]) -> dict[str, list[Ran]]:
    """Run all sides `rounds` times, one after the other in each round."""
    results: dict[str, list[Ran]] = {name: [] for name in sides}
    for number in range(1, rounds + 1):
        for name, run_side in sides.items():
            say(f"  round {number} of {rounds}: {name}")
            results[name].append(run_side())
    return results


def median(runs: list[Ran], figure: Callable[[Ran], float]) -> float:
    """The median of a figure over the rounds."""
    return statistics.median(map(figure, runs))


def unpack_mnist(datasets: Path) -> Path:
    """Unpack the four IDX files to `datasets`/MNIST/raw, where torchvision and simsearch look for them."""
    require(*(DATA / "mnist" / f"{name}.gz" for name in IDX))
    raw = datasets / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in IDX:
        with gzip.open(DATA / "mnist" / f"{name}.gz") as packed, (raw / name).open("wb") as file:
            shutil.copyfileobj(packed, file)
    return raw


def require(*paths: Path) -> None:
    """End with exit 2 and one line when data are missing."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        say(f"missing: {', '.join(missing)}; set SIMSEARCH_TEST_DATA to the folder that holds mnist/ and grocery/")
        raise SystemExit(2)


def disagree(what: str) -> SystemExit:
    """The end of a benchmark whose sides did not do the same work."""
    say(f"error: the sides disagree: {what}")
    return SystemExit(1)


def versions(*packages: str) -> str:
    """Names and versions, as "torch 2.15.0 + faiss-cpu 1.15.1"."""
    return " + ".join(f"{package} {version(package).partition('+')[0]}" for package in packages)


def peer_version(peers: str, package: str, code: str) -> str:
    """What `code`, which prints the version of a package, says last in the Python of the peers.

    Exit 2 with one line where there is none.
    """
    try:
        done = subprocess.run([peers, "-c", code], capture_output=True, text=True)
    except OSError as error:
        say(f"error: --peers {peers}: {error.strerror}")
        raise SystemExit(2) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        say(f"error: {peers} cannot import {package} ({last}); install it there, or name --peers PYTHON")
        raise SystemExit(2)
    return done.stdout.strip().splitlines()[-1]


def machine() -> str:
    """The processor, the number of CPUs, the system and Python."""
    model = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, {python}"


def say(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def _json(row: Row) -> str:
    figures = {"ours": round(row.ours, 4), "peer": round(row.peer, 4)}
    rest = {"peer_name": row.peer_name, "unit": row.unit, "ratio": round(row.ratio, 3), "machine": machine()}
    return json.dumps({"name": row.name, **figures, **rest})


def _line(row: Row) -> str:
    figures = (f"{value:,.{DIGITS.get(row.unit, 0)}f}" for value in (row.ours, row.peer))
    return COLUMNS.format(row.name, *figures, row.unit, f"{row.ratio:.2f}", row.aim(), row.peer_name)
