"""Pictures that look the same, whatever their bytes, size or compression: near perceptual hashes, then close grays.

Of 250 photos saved again (JPEG, quality 70; half the size, quality 85) 57 % have an equal hash, 99 % one of the
`near_hashes`; of 250 on a white ground 88 % and all. No two others of 2,500 groceries are taken for copies.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from simsearch.arrays import Doubles, Integers, Labels, Pixels
from simsearch.images.thumbnails import ThumbnailReader

SIDE = 16  # of the reduction that is compared; its halves, 8 x 8 differences, make the hash
PIECE = 512
# Of the picture's own deviation: 60 photos saved again as JPEG at half the size came to 0.023 in the median and 0.044
# at most; of the 10,000 queries of MNIST 120 have a gallery image with a near hash this close.
CLOSE = 0.04
DEAD = 0.05  # of the deviation: fields that differ by less are as bright, or the noise of a white ground would tell
UNSURE = 5  # bits that are looked up both ways


def reduction(picture: bytes) -> Pixels:
    """Return a picture file made gray and 17 wide, 16 high: (16, 17) uint8."""
    small = Image.open(io.BytesIO(picture)).convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.uint8)


def difference_hash(gray: Pixels) -> int:
    """Return 64 bits: which of 8 x 8 fields of a reduction (16, 17) are clearly brighter than their left neighbour.

    The "dHash" of N. Krawetz ("Kind of Like That", 2013), with a margin. A picture of one colour has only zeros.
    """
    return _packed(_margins(gray))


def near_hashes(gray: Pixels) -> list[int]:
    """Return 32 hashes of copies of a reduction (16, 17): its five least sure bits either way, its own first."""
    margins = _margins(gray)
    found = [_packed(margins)]
    for bit in np.argsort(np.abs(margins), kind="stable")[:UNSURE].tolist():
        found += [known ^ (1 << (margins.size - 1 - bit)) for known in found]
    return found


def _margins(gray: Pixels) -> Doubles:
    """Return by how much each field (64,) is brighter than the field to its left, less the margin."""
    rows = gray.astype(np.int16).reshape(SIDE // 2, 2, SIDE + 1).sum(axis=1)
    fields = rows[:, :-1:2] + rows[:, 1::2]
    brighter = np.diff(fields, axis=1, append=2 * rows[:, -1:])  # four pixels each
    return np.asarray(brighter - DEAD * 4 * gray.std(), dtype=np.float64).reshape(-1)


def _packed(margins: Doubles) -> int:
    return int.from_bytes(np.packbits(margins > 0).tobytes(), "big")


def reductions(folder: Path, *, threads: int = 2) -> Pixels:
    """Return reductions of all thumbnails in a folder, (N, 16, 17) uint8, in row order."""
    with ThumbnailReader(folder) as thumbnails, ThreadPoolExecutor(threads) as pool:
        reduced = np.empty((len(thumbnails), SIDE, SIDE + 1), dtype=np.uint8)

        def fill(start: int) -> None:
            for row in range(start, min(start + PIECE, len(reduced))):
                reduced[row] = reduction(thumbnails[row])

        for _ in pool.map(fill, range(0, len(reduced), PIECE)):
            pass
    return reduced


def gaps(gray: Pixels, others: Pixels) -> Doubles:
    """Return how far reductions (n, 16, 17) are from `gray` in the mean, in its own deviation; inf for one colour."""
    deviation = gray.std()
    if not deviation:
        return np.full(len(others), np.inf)
    found: Doubles = np.abs(others.astype(np.int16) - gray).mean(axis=(1, 2)) / deviation
    return found


def find_copy(gray: Pixels, others: Pixels) -> int | None:
    """Return the position in reductions (n, 16, 17), n > 0, of the closest to `gray`; None where none is close."""
    found = gaps(gray, others)
    return int(np.argmin(found)) if found.min() <= CLOSE else None


def twins(reduced: Pixels, queries: Iterable[int], gallery: int, groups: Labels | None = None) -> Integers:
    """Return pairs (P, 2) int64 of (position among `queries`, gallery row) of pictures that look the same.

    The row's hash is one of the query's near hashes, and their reductions differ in the mean by at most 4 % of the
    query's deviation (drawings in black and white share a hash more easily than photos). Of several such rows the
    closest, never the query itself, nor one of its group of `groups` (N,) (negative: one of its own). Pictures of one
    colour have no twins.
    """
    by_hash = _by_hash(reduced, range(gallery))
    pairs = []
    for position, row in enumerate(queries):
        others = [member for member in _near(by_hash, reduced[row]) if member != row]
        if groups is not None and groups[row] >= 0:
            others = [member for member in others if groups[member] != groups[row]]
        if others:
            closest = find_copy(reduced[row], reduced[others])
            if closest is not None:
                pairs.append((position, others[closest]))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def lookalikes(reduced: Pixels, rows: Iterable[int]) -> list[list[int]]:
    """Return groups of two or more `rows` whose pictures look the same, as `twins` do: each as one of its rows does."""
    left = list(rows)
    by_hash = _by_hash(reduced, left)
    grouped: set[int] = set()
    groups = []
    for row in left:
        if row in grouped:
            continue
        others = np.array([one for one in _near(by_hash, reduced[row]) if one != row and one not in grouped], np.int64)
        if len(others):
            alike = others[gaps(reduced[row], reduced[others]) <= CLOSE].tolist()
            if alike:
                groups.append(sorted([row, *alike]))
                grouped.update(groups[-1])
    return groups


def _by_hash(reduced: Pixels, rows: Iterable[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row in rows:
        found.setdefault(difference_hash(reduced[row]), []).append(row)
    return found


def _near(by_hash: dict[int, list[int]], gray: Pixels) -> list[int]:
    """Return the rows whose hash is near, ascending."""
    return sorted(row for known in near_hashes(gray) for row in by_hash.get(known, ()))
