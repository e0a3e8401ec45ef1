"""Write COUNT images of MNIST as PNG files, digit/00017.png, from number FIRST on: RAW FOLDER COUNT [FIRST].

From number 70,000 on they are those of before shifted by a pixel, then by two, and so on: no two files are alike.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def read(raw: Path, what: str, header: int) -> np.ndarray:
    """The bytes of an IDX file of both parts, without headers."""
    parts = (np.fromfile(raw / f"{part}-{what}", dtype=np.uint8)[header:] for part in ("train", "t10k"))
    return np.concatenate(list(parts))


def main(raw: Path, folder: Path, count: int, first: int = 0) -> None:
    """Write the files."""
    pixels, labels = read(raw, "images-idx3-ubyte", 16).reshape(-1, 28, 28), read(raw, "labels-idx1-ubyte", 8)
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        shift, index = divmod(number, len(pixels))
        picture = Image.fromarray(np.roll(pixels[index], shift, axis=1))
        picture.save(folder / str(labels[index]) / f"{number:06d}.png", compress_level=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
