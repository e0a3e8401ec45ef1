"""The embed stage: images a second against eager torch, and peak memory at 10,000 and at 70,000 images.

Ours (sides/embed_ours.py) is simsearch.stages.embed.embed on the artifacts of a real build, from the opening of the
ONNX bundle to the features.h5 on disk, every image's sha256 checked; the listing of the source is not part of it.
1. 70,000 MNIST images against sides/embed_eager.py, the strongest plain loop: the same network and weights in eager
   float32 torch on uint8 arrays in memory, batch 256, no DataLoader, features kept in memory.
2. 1,500 JPEG photos (grocery) against sides/embed_loader.py: DataLoader with 2 workers, PIL, torchvision transforms,
   the same network and weights in eager float32 torch, batch 32.
3. Peak memory of the process that runs only our stage, at 70,000 images (ours) and at 10,000 (peer).
Imports, opening artifacts and loading weights are outside of the clock on both sides, and the peers run one batch
before it. Both sides must come to the same mean feature.

Command: python benchmarks/embed.py [--json] [--rounds N]      (15 minutes for 5 rounds on 2 cores)
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from common import (
    GROCERY,
    WEIGHTS,
    Ran,
    Row,
    build,
    disagree,
    in_turn,
    main,
    median,
    network,
    require,
    say,
    side,
    versions,
)
from common import unpack_mnist as unpack

MNIST, FEW = 70_000, 10_000
PHOTOS = 1_500
TARGET_MNIST, TARGET_PHOTOS = 3, 2.5
MOST_GROWTH = 1.05
# Weights "none": random ones cost as much as trained ones.
BACKBONES = {"mobilenet_v3_small": "none", "mobilenet_v2": str(WEIGHTS)}


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    """Rows for MNIST, its memory, and photos by each backbone."""
    require(GROCERY)
    yield from _mnist(folder, rounds)
    photos = folder / "photos"
    _copy_photos(photos)
    for backbone, weights in BACKBONES.items():
        if weights != "none" and not Path(weights).is_file():
            say(f"{backbone} is left out: {weights} is not there")
            continue
        yield from _photos(folder, photos, backbone, weights, rounds)


def _mnist(folder: Path, rounds: int) -> Iterator[Row]:
    home = folder / "home-mnist"
    raw = unpack(home / "datasets")
    record = build(folder, home, "mnist", "training.epochs=1", "evaluation.baseline=false")
    trained = network(folder, home, record)
    results = in_turn(
        rounds,
        {
            "ours": partial(side, "embed_ours", folder, home, "mnist", MNIST),
            "eager": partial(side, "embed_eager", folder, raw, trained),
            "ours, few": partial(side, "embed_ours", folder, home, "mnist", FEW),
        },
    )
    _check_same(results["ours"][0], results["eager"][0], MNIST)
    if results["ours, few"][0].said["images"] != FEW:
        raise disagree(f"{results['ours, few'][0].said['images']} images instead of {FEW}")
    ours, eager = (median(results[name], _rate) for name in ("ours", "eager"))
    peer = f"eager {versions('torch')}, batch 256"
    yield Row(f"embed/mnist/{MNIST}", ours, eager, peer, "images/s", TARGET_MNIST)
    many, few = (median(results[name], lambda ran: ran.megabytes) for name in ("ours", "ours, few"))
    yield Row(f"embed/mnist/peak_memory/{MNIST}", many, few, f"the same at {FEW:,} images", "MB", 1 / MOST_GROWTH)


def _photos(folder: Path, photos: Path, backbone: str, weights: str, rounds: int) -> Iterator[Row]:
    home = folder / f"home-{backbone}"
    settings = (f"embedder.backbone=torchvision:{backbone}", f"embedder.weights={weights}")
    record = build(folder, home, photos, *settings, "training.epochs=0", "evaluation.baseline=false")
    trained = network(folder, home, record)
    results = in_turn(
        rounds,
        {
            "ours": partial(side, "embed_ours", folder, home, photos.name, PHOTOS),
            "DataLoader": partial(side, "embed_loader", folder, photos, trained),
        },
    )
    _check_same(results["ours"][0], results["DataLoader"][0], PHOTOS)
    ours, loader = (median(runs, _rate) for runs in results.values())
    peer = f"DataLoader, 2 workers, eager {versions('torch')}"
    yield Row(f"embed/photos/{backbone}", ours, loader, peer, "images/s", TARGET_PHOTOS)


def _copy_photos(photos: Path) -> None:
    """The first test photos of grocery, in their class folders."""
    chosen = sorted((GROCERY / "test").glob("*/*.jpg"))[:PHOTOS]
    if len(chosen) < PHOTOS:
        require(GROCERY / "test" / f"{PHOTOS} photos")
    for path in chosen:
        place = photos / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        os.chmod(place, 0o644)


def _check_same(ours: Ran, peer: Ran, images: int) -> None:
    """End the benchmark when a side left images out, or made other features of them."""
    if not ours.said["images"] == peer.said["images"] == images:
        raise disagree(f"{ours.said['images']}, {peer.said['images']} and {images} images")
    a, b = ours.said["mean"], peer.said["mean"]
    apart = math.dist(a, b) / math.hypot(*b)
    say(f"  the mean features differ by {apart:.1e} of their length")
    if apart > 0.05:  # the peer's resize and crop may round differently; another network or other weights is far off
        raise disagree(f"their mean features differ by {apart:.1%}")


def _rate(ran: Ran) -> float:
    return float(ran.said["images_per_second"])


if __name__ == "__main__":
    main(__doc__, measure)
