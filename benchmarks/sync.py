"""`simsearch sync` of 100 changed files in a build of 100,000 images against `simsearch build --retrain` of the folder.

The images are the 70,000 of MNIST as PNG files in ten class folders, and 30,000 of them again, shifted by a pixel. The
build trains mnist_cnn, its baseline and its reference for one epoch where the default is six, and draws no map: the
less a rebuild does, the harder for sync. In each round 20 files are added, 60 changed, 10 moved and 10 deleted; sync
brings the build in step, then the rebuild does the same, from which the next round goes on. The second row is a sync
that finds nothing to do.

Command: python benchmarks/sync.py [--json] [--rounds N]      (20 minutes for 5 rounds on 2 cores)
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from common import ENTRY, Ran, Row, build, disagree, main, median, run, say, side, unpack_mnist

IMAGES = 100_000
ADDED, CHANGED, MOVED, DELETED = 20, 60, 10, 10
TIMES_FASTER = 50
MOST_SECONDS_UNCHANGED = 2
SETTINGS = ("embedder.backbone=mnist_cnn", "embedder.weights=none", "training.epochs=1", "images.size=28")
SETTINGS += ("evaluation.map=false",)


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """A row for 100 changed files, a row for none."""
    home, photos = folder / "home", folder / "photos"
    raw = unpack_mnist(folder / "mnist")
    say(f"writing {IMAGES:,} images")
    side("write_digits", folder, raw, photos, IMAGES)
    build(folder, home, photos, *SETTINGS)
    chosen = random.Random(0)
    spare = folder / "spare"
    side("write_digits", folder, raw, spare, rounds * (ADDED + CHANGED), IMAGES)
    fresh = sorted(path for path in spare.rglob("*.png"))
    sides: dict[str, list[Ran]] = {"sync": [], "unchanged": [], "rebuild": []}
    for number in range(1, rounds + 1):
        _change(photos, chosen, [fresh.pop() for _ in range(ADDED + CHANGED)], number)
        say(f"  round {number} of {rounds}")
        synced = run([ENTRY, "sync", photos, "--json", "--home", home], folder)
        seen = {kind: synced.said[kind] for kind in ("added", "changed", "moved", "deleted")}
        if seen != {"added": ADDED, "changed": CHANGED, "moved": MOVED, "deleted": DELETED}:
            raise disagree(f"sync saw {seen}")
        sides["sync"].append(synced)
        sides["unchanged"].append(run([ENTRY, "sync", photos, "--json", "--home", home], folder))
        say(f"    sync {synced.seconds:.2f} s, again {sides['unchanged'][-1].seconds:.2f} s")
        chosen_settings = [word for setting in SETTINGS for word in ("--set", setting)]
        rebuilt = run([ENTRY, "build", photos, *chosen_settings, "--retrain", "--home", home], folder)
        say(f"    rebuild {rebuilt.seconds:.1f} s")
        sides["rebuild"].append(rebuilt)
    ours, unchanged, peer = (median(runs, _seconds) for runs in sides.values())
    yield Row(f"sync/100 of {IMAGES}", ours, peer, "simsearch build --retrain", "s", TIMES_FASTER)
    yield Row(f"sync/0 of {IMAGES}", unchanged, peer, "simsearch build --retrain", "s", limit=MOST_SECONDS_UNCHANGED)


def _change(photos: Path, chosen: random.Random, fresh: list[Path], number: int) -> None:
    """Change a hundred files: some overwritten by other images, some new, some renamed, some gone."""
    there = sorted(photos.rglob("*.png"))
    picked = chosen.sample(there, CHANGED + MOVED + DELETED)
    for path in picked[:CHANGED]:
        path.unlink()
        fresh.pop().rename(path)
    for path in picked[CHANGED : CHANGED + MOVED]:
        path.rename(path.with_name(f"moved-{number}-{path.name}"))
    for path in picked[CHANGED + MOVED :]:
        path.unlink()
    for path in fresh:
        path.rename(picked[0].parent / f"added-{number}-{path.name}")


def _seconds(ran: Ran) -> float:
    return ran.seconds


if __name__ == "__main__":
    main(__doc__, measure)
