"""A cold `simsearch query IMAGE --json` against scripts that do the same: wall time of the process, and peak memory.

Ours is the real entry point, which also checks every file's sha256. Peers (benchmarks/sides/), each handed the paths of
the same build: cold_torch.py (torch + torchvision + faiss, weights.safetensors) and cold_bare.py (numpy + onnxruntime +
faiss + Pillow, embedder.onnx, nothing checked). Cold means a new process; files are in the page cache for everyone, as
each side runs once untimed. All must name the same nearest image. Builds: digits, and photos by mobilenet_v2 where
grocery/ and the weights are there.

Command: python benchmarks/cold_query.py [--json] [--rounds N]      (2 minutes for 5 rounds on 2 cores)
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import (
    ENTRY,
    GROCERY,
    WEIGHTS,
    Ran,
    Row,
    artifact,
    build,
    disagree,
    in_turn,
    main,
    median,
    network,
    run,
    say,
    side,
    versions,
)

TIMES_FASTER_THAN_TORCH = 8
TIMES_BARE = 1.5
MOST_MEGABYTES = 200


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """Rows for digits, then for photos."""
    home = folder / "home"
    record = build(folder, home, "digits", "training.epochs=1", "evaluation.baseline=false")
    yield from _rows("digits", folder, home, record, rounds)
    if not (GROCERY.is_dir() and WEIGHTS.is_file()):
        say(f"photos are left out: {GROCERY} or {WEIGHTS} is not there")
        return
    settings = (f"embedder.weights={WEIGHTS}", "training.epochs=0", "evaluation.baseline=false")
    record = build(folder, home, GROCERY, *settings)
    yield from _rows(GROCERY.name, folder, home, record, rounds)


def _rows(name: str, folder: Path, home: Path, record: dict[str, Any], rounds: int) -> Iterator[Row]:
    trained, table = network(folder, home, record), artifact(home, record, "dataset") / "images.csv"
    index = artifact(home, record, "index") / "index.faiss"
    with table.open(newline="", encoding="utf-8") as file:
        image = Path(record["root"]) / next(csv.DictReader(file))["image"]
    asked = (trained, index, table, image)

    def ours() -> Ran:
        return run([ENTRY, "query", image, "--json", "--build", name, "--home", home], folder)

    sides = {
        "simsearch query": ours,
        "torch": lambda: side("cold_torch", folder, *asked),
        "bare": lambda: side("cold_bare", folder, *asked),
    }
    first = {title: ran[0].said["hits"][0] for title, ran in in_turn(1, sides).items()}  # untimed
    if len({hit["image"] for hit in first.values()}) > 1:
        raise disagree(f"the nearest image of {image} is {first}")
    ours_runs, torch_runs, bare_runs = in_turn(rounds, sides).values()

    torch_name = versions("torch", "torchvision", "faiss-cpu")
    seconds, megabytes = (median(ours_runs, figure) for figure in (_seconds, _megabytes))
    yield Row(
        f"cold_query/{name}/torch", seconds, median(torch_runs, _seconds), torch_name, "s", TIMES_FASTER_THAN_TORCH
    )
    bare_name = versions("onnxruntime", "faiss-cpu", "pillow")
    yield Row(f"cold_query/{name}/bare", seconds, median(bare_runs, _seconds), bare_name, "s", 1 / TIMES_BARE)
    peak = median(torch_runs, _megabytes)
    yield Row(f"cold_query/{name}/peak_memory", megabytes, peak, torch_name, "MB", limit=MOST_MEGABYTES)


def _seconds(ran: Ran) -> float:
    return ran.seconds


def _megabytes(ran: Ran) -> float:
    return ran.megabytes


if __name__ == "__main__":
    main(__doc__, measure)
