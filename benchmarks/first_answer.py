"""From a folder of photos to its first answer, and to the whole build with its figures, against a bare script.

The peer (benchmarks/sides/first_answer_bare.py) is what one would write: Pillow decodes and resizes one photo after the
other, one ONNX Runtime session with its default threads (all cores) embeds them in batches of 32; it neither splits,
checks, indexes, trains nor measures anything. It is handed the backbone.onnx of our own build. Ours is the real entry
point; the first answer is there when the build's file is: `simsearch query` answers from then on.

Rows: home/first and home/whole, where an earlier build left the backbone in the home; nothing/import_torch and
nothing/export, what a script pays once (sides/first_answer_export.py; ours is what our backbone stage took, less that
import); nothing/first and nothing/whole, in an empty home, less these two; another_loss, the second build of the folder
with a triplet loss, its peer being the first of the folder: in a home that had the backbone, and from nothing, whole.

PHOTOS is a folder of class folders; without one, 800 of grocery/train are taken, ten of a class.

Command: python benchmarks/first_answer.py [--photos FOLDER] [--weights FILE] [--json] [--rounds N]
(5 minutes a round on 2 cores)
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from common import (
    ENTRY,
    GROCERY,
    WEIGHTS,
    Ran,
    Row,
    artifact,
    build,
    in_turn,
    main,
    median,
    require,
    run,
    side,
    versions,
)

PHOTOS = 800
TIMES_FIRST, TIMES_WHOLE, OF_FIRST = 1.3, 4.0, 0.5
NAME = "photos"


def measure(folder: Path, rounds: int, photos: Path | None, weights: Path) -> Iterator[Row]:
    """Rows of a home that has the backbone, of an empty one, and of another loss."""
    require(weights, photos or GROCERY)
    images = photos or _some_of(GROCERY / "train", folder / NAME, PHOTOS)
    count = sum(path.is_file() for path in images.rglob("*"))
    few, ready = _some_of(images, folder / "few", 40), folder / "ready"
    record = build(folder, ready, few, f"embedder.weights={weights}", "training.epochs=0", "evaluation.baseline=false")
    model = artifact(ready, record, "backbone")

    def ours(home: Path, *more: str) -> Ran:
        command = [ENTRY, "build", images, "--set", f"embedder.weights={weights}", "--name", NAME, "--home", home]
        return run([*command, *more], folder, None if more else home / "builds" / f"{NAME}.json")

    def first_in_home() -> Ran:
        shutil.rmtree(folder / "home", ignore_errors=True)
        shutil.copytree(ready, folder / "home")
        return ours(folder / "home")

    def from_nothing() -> Ran:
        shutil.rmtree(folder / "nothing", ignore_errors=True)
        ran = ours(folder / "nothing")
        made = next((folder / "nothing" / "artifacts" / "backbone").glob("*/manifest.json"))
        return Ran(ran.seconds, ran.megabytes, json.loads(made.read_bytes()), ran.first)

    sides = {
        "bare": lambda: side("first_answer_bare", folder, images, model, folder / "bare.npy"),
        "home": first_in_home,
        "another loss": lambda: ours(folder / "home", "--set", "loss.name=triplet"),
        "export": lambda: side("first_answer_export", folder, weights, folder / "exported.onnx"),
        "nothing": from_nothing,
    }
    sides["bare"]()  # files are in the page cache for everyone
    bare, home, other, export, nothing = in_turn(rounds, sides).values()

    name = versions("onnxruntime", "pillow")
    script = median(bare, _seconds)
    yield Row(f"first_answer/{count}/home/first", median(home, _first), script, name, "s", 1 / TIMES_FIRST)
    yield Row(f"first_answer/{count}/home/whole", median(home, _seconds), script, name, "s", 1 / TIMES_WHOLE)
    imports, exports = (median(export, lambda ran, what=what: ran.said[what]) for what in ("import", "export"))
    once = imports + exports
    yield Row(f"first_answer/{count}/nothing/import_torch", imports, imports, versions("torch"), "s")
    stage = median(nothing, lambda ran: ran.said["seconds"])
    yield Row(f"first_answer/{count}/nothing/export", stage - imports, exports, versions("torch"), "s")
    yield Row(f"first_answer/{count}/nothing/first", median(nothing, _first) - once, script, name, "s", 1 / TIMES_FIRST)
    yield Row(
        f"first_answer/{count}/nothing/whole", median(nothing, _seconds) - once, script, name, "s", 1 / TIMES_WHOLE
    )
    again = median(other, _seconds)
    for what, first_builds in (("home", home), ("nothing", nothing)):
        before = median(first_builds, _seconds)
        yield Row(f"first_answer/{count}/another_loss/{what}", again, before, f"{what}/whole", "s", 1 / OF_FIRST)


def _some_of(source: Path, to: Path, count: int) -> Path:
    """A folder of `count` photos of `source`, as many of each class as can be."""
    classes = [sorted(one.iterdir()) for one in sorted(source.iterdir()) if one.is_dir()]
    in_turns = [(place, path) for files in classes for place, path in enumerate(files)]
    for _, path in sorted(in_turns, key=lambda one: one[0])[:count]:
        (to / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to / path.parent.name / path.name)
    return to


def _seconds(ran: Ran) -> float:
    return ran.seconds


def _first(ran: Ran) -> float:
    return ran.seconds if ran.first is None else ran.first


if __name__ == "__main__":
    main(__doc__, measure, photos=None, weights=WEIGHTS)
