"""The magnetic tiles as the benchmarks of defects use them: paths, kinds, and which pictures show one view.

Command: python benchmarks/sides/tiles.py TILES > tiles.csv     (path, label and group; paths start at TILES; 20 s)
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

KINDS = ("Blowhole", "Break", "Crack", "Fray", "Uneven")
HEIGHT, WIDTH = 128, 96  # at which views are compared
FINE, COARSE = 1, 6  # px: what is between them is compared
SHIFT = 4  # px that two crops of a view may be apart
APART = 12  # px that their sides may differ by
ALIKE = 0.3  # correlation: of cuts from .25 to .5 it gives most groups of exactly six, as there are six exposures


def paths(tiles):
    """Paths of the good and of the defective tiles, each in order."""
    return sorted((tiles / "Free").glob("*.jpg")), [p for kind in KINDS for p in sorted((tiles / kind).glob("*.jpg"))]


def views(good):
    """The number (n,) of the view that each good tile shows: `expN` are exposures, and a view was taken in each.

    Two tiles of two exposures are one view when each is the other's best match there, of nearly one size, and they
    correlate. Views that overlap stay apart.
    """
    exposure = np.array([int(path.name[3 : path.name.index("_")]) for path in good])
    fine, sizes = [], []
    for path in good:
        with Image.open(path) as image:
            gray = image.convert("L")
            sizes.append(gray.size)
            values = np.asarray(gray.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR), np.float64)
        values = gaussian_filter(values, FINE) - gaussian_filter(values, COARSE)
        values -= values.mean()
        fine.append(values / np.linalg.norm(values))
    size = np.array(sizes)
    waves = np.fft.rfft2(np.array(fine))
    near = np.zeros((len(good), len(good)))
    alike = (np.abs(size[:, None] - size).max(axis=2) <= APART) & (exposure[:, None] != exposure)
    for row, wave in enumerate(waves):
        others = np.flatnonzero(alike[row, :row])
        found = np.fft.irfft2(waves[others] * np.conj(wave), s=(HEIGHT, WIDTH))
        found = np.concatenate((found[:, -SHIFT:], found[:, : SHIFT + 1]), axis=1)
        found = np.concatenate((found[:, :, -SHIFT:], found[:, :, : SHIFT + 1]), axis=2)
        near[row, others] = near[others, row] = found.max(axis=(1, 2))
    of = list(range(len(good)))

    def root(row):
        while of[row] != row:
            row = of[row]
        return row

    for row in range(len(good)):
        for other in set(exposure.tolist()) - {exposure[row]}:
            there, here = np.flatnonzero(exposure == other), np.flatnonzero(exposure == exposure[row])
            best = there[near[row, there].argmax()]
            if near[row, best] > ALIKE and here[near[best, here].argmax()] == row:
                of[root(row)] = root(best)
    return np.unique([root(row) for row in range(len(good))], return_inverse=True)[1]


def parted(groups, seed, shares):
    """Flags (n,) for each share of the groups, drawn by `seed`; the last flags are of what is left."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    ends = np.cumsum([int(share * len(names)) for share in shares])
    return [np.isin(groups, part) for part in np.split(names, ends)]


def listed(tiles):
    """Rows (path below `tiles`, label, group) of all tiles; views of good and of defective ones are counted apart."""
    parts = (("good", paths(tiles)[0]), ("defect", paths(tiles)[1]))
    return [
        (path.relative_to(tiles).as_posix(), path.parent.name, f"{name}-{view}")
        for name, of in parts
        for path, view in zip(of, views(of), strict=True)
    ]


if __name__ == "__main__":
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("path", "label", "group"))
    writer.writerows(listed(Path(sys.argv[1])))
