"""What both sides of defects.py are given: FOLDER TILES WEIGHTS SIDE FIT writes pictures.npz and inner.onnx there.

Tiles squashed to SIDE x SIDE: FIT good ones, a fifth of the views held out, and every third defective one.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tiles import parted, paths, views

from simsearch.embedder.bundle.export import export_onnx
from simsearch.embedder.bundle.inner import inner_maps
from simsearch.embedder.networks.embedder import build_embedder

STRIDES = (8, 16)


def main() -> None:
    folder, tiles, weights = map(Path, sys.argv[1:4])
    side, count = map(int, sys.argv[4:6])
    good, bad = paths(tiles)
    test, rest = parted(views(good), 0, (0.2,))
    fit = np.random.default_rng(0).permutation(np.flatnonzero(rest))[:count]
    held = np.flatnonzero(test)[::2]
    read = [np.stack([_squashed(path, side) for path in some]) for some in (
        [good[i] for i in sorted(fit)], [good[i] for i in held] + bad[::3])]  # fmt: skip
    defective = np.arange(len(read[1])) >= len(held)
    np.savez(folder / "pictures.npz", fit=read[0], test=read[1], defective=defective)
    export_onnx(build_embedder("torchvision:mobilenet_v2", None, weights=str(weights)), folder / "backbone.onnx")
    (folder / "inner.onnx").write_bytes(inner_maps((folder / "backbone.onnx").read_bytes(), STRIDES))


def _squashed(path, side):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))


if __name__ == "__main__":
    main()
