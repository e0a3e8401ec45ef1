"""Pictures that look the same: equal perceptual hashes, whatever their bytes, size or compression."""

from __future__ import annotations

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from simsearch.images.thumbnails import ThumbnailReader

SIDE = 16  # of the reduction that is compared; its halves, 8 x 8 differences, make the hash
PIECE = 512
# Of the picture's own deviation: 60 photos saved again as JPEG at half the size came to 0.023 in the median and 0.044
# at most; of the 10,000 queries of MNIST 97 have a gallery image with an equal hash this close, 309 at 0.05.
CLOSE = 0.04

Gray = npt.NDArray[np.uint8]
Reduced = npt.NDArray[np.uint8]


def reduction(picture: bytes) -> Gray:
    """A picture file made gray and 17 wide, 16 high: (16, 17) uint8."""
    small = Image.open(io.BytesIO(picture)).convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.uint8)


def difference_hash(gray: Gray) -> bytes:
    """8 bytes that tell for 8 x 8 fields of a reduction (16, 17) which are brighter than the field to their left.

    The "dHash" of N. Krawetz ("Kind of Like That", 2013). A picture of one colour has only zeros.
    """
    rows = gray.astype(np.int16).reshape(SIDE // 2, 2, SIDE + 1).sum(axis=1)
    fields = rows[:, :-1:2] + rows[:, 1::2]
    brighter = np.diff(fields, axis=1, append=2 * rows[:, -1:]) > 0
    return np.packbits(brighter).tobytes()


def reductions(folder: Path, *, threads: int = 2) -> Reduced:
    """Reductions of all thumbnails in a folder, (N, 16, 17) uint8, in row order."""
    with ThumbnailReader(folder) as thumbnails, ThreadPoolExecutor(threads) as pool:
        reduced = np.empty((len(thumbnails), SIDE, SIDE + 1), dtype=np.uint8)

        def fill(start: int) -> None:
            for row in range(start, min(start + PIECE, len(reduced))):
                reduced[row] = reduction(thumbnails[row])

        for _ in pool.map(fill, range(0, len(reduced), PIECE)):
            pass
    return reduced


def gaps(gray: Gray, others: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """How far reductions (n, 16, 17) are from `gray` in the mean, in its own deviation; inf for one colour."""
    deviation = gray.std()
    if not deviation:
        return np.full(len(others), np.inf)
    found: npt.NDArray[np.float64] = np.abs(others.astype(np.int16) - gray).mean(axis=(1, 2)) / deviation
    return found


def twins(reduced: Reduced, queries: Iterable[int], gallery: int) -> npt.NDArray[np.int64]:
    """Pairs (P, 2) int64 of (position among `queries`, gallery row) of pictures that look the same.

    They have equal hashes, and their reductions differ in the mean by at most 4 % of the query's deviation (drawings in
    black and white share a hash more easily than photos). Of several such rows the closest, never the query itself.
    Pictures of one colour have no twins.
    """
    alike: dict[bytes, list[int]] = {}
    for row in range(gallery):
        alike.setdefault(difference_hash(reduced[row]), []).append(row)
    pairs = []
    for position, row in enumerate(queries):
        others = [member for member in alike.get(difference_hash(reduced[row]), []) if member != row]
        if others:
            found = gaps(reduced[row], reduced[others])
            if found.min() <= CLOSE:
                pairs.append((position, others[int(np.argmin(found))]))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def lookalikes(reduced: Reduced, rows: Iterable[int]) -> list[list[int]]:
    """Groups of two or more of the `rows` whose pictures look the same, as `twins` do: each as its first row does."""
    alike: dict[bytes, list[int]] = {}
    for row in rows:
        alike.setdefault(difference_hash(reduced[row]), []).append(row)
    groups = []
    for members in alike.values():
        left = np.array(members)
        while len(left) > 1:
            close = gaps(reduced[left[0]], reduced[left]) <= CLOSE
            close[0] = True
            if close.sum() > 1:
                groups.append(left[close].tolist())
            left = left[~close]
    return groups
