"""Pictures -> maps of patches: what a backbone's inner stages say of each place, at several sizes of the picture.

Small defects are found at a large side, uneven ones at a small side, where a patch sees more of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from simsearch.arrays import Floats, Integers, Numbers, Pixels
from simsearch.defects.alignment import Network, seen_before
from simsearch.errors import VectorsError
from simsearch.images.loading import in_order
from simsearch.images.preprocess import Preprocess
from simsearch.images.whole import whole

SIDES = (104, 144, 192, 288)  # px, by about half octaves; one alone is worse by .02 to .07 of AUROC on magnetic tiles
MULTIPLE = 32  # of pixels: the stride at which networks end


class Mapper:
    """A picture to one map (h, w, D) float32 for each of the `sides`, its area side x side pixels, never enlarged.

    With several strides the coarser maps are brought to the finest grid, and stand behind its D. `local` is the side,
    in places, of the mean that is taken around each place (3 in the paper of PatchCore); 1 takes none.
    """

    def __init__(
        self,
        network: Network,
        preprocess: Preprocess,
        sides: Sequence[int] = SIDES,
        *,
        local: int = 1,
        threads: int = 1,
    ) -> None:
        """`threads` pictures are worked on at a time. Raises VectorsError for sides and means that cannot be used."""
        multiple = max(MULTIPLE, *network.widths)
        if not sides or min(sides) < multiple:
            raise VectorsError(f"sides of patch maps: expected at least one, {multiple} px or more, seen {list(sides)}")
        if local < 1 or local % 2 == 0:
            raise VectorsError(f"the local mean of patch maps: expected an odd number of places, seen {local}")
        self.sides = tuple(sides)
        self.width = sum(network.widths.values())
        self._network, self._preprocess, self._multiple = network, preprocess, multiple
        self._local, self._threads = local, threads

    def maps(self, picture: Pixels) -> list[Floats]:
        """Return the map at each side of a picture, (H, W) gray or (H, W, 3) RGB uint8; ValueError for another."""
        found: dict[tuple[int, ...], Floats] = {}
        out = []
        for side in self.sides:
            batch = whole(picture, self._preprocess, side, self._multiple)
            if batch.shape not in found:  # small pictures are the same at several sides
                found[batch.shape] = self._map(batch)
            out.append(found[batch.shape])
        return out

    def each(self, pictures: Iterable[Pixels]) -> Iterator[list[Floats]]:
        """Yield the maps of each picture, in order; a few pictures at most are read ahead."""
        yield from in_order(self.maps, pictures, self._threads)

    def before(self) -> float:
        """Return how far before a place of its finest grid lies what that answers to, as a share of a place."""
        return seen_before(self._network, self._preprocess.channels, self._multiple)

    def _map(self, batch: Floats) -> Floats:
        stages = self._network.maps(batch)
        finest = min(stages)
        grid = stages[finest].shape[2:]
        parts = [np.moveaxis(stages[stride][0], 0, -1) for stride in sorted(stages)]
        if self._local > 1:  # of each stage on its own grid: the coarser see more
            parts = [local_mean(part, self._local) for part in parts]
        parts = [part if part.shape[:2] == grid else enlarged(part, grid[0], grid[1]) for part in parts]
        return np.ascontiguousarray(np.concatenate(parts, axis=2), dtype=np.float32)


def enlarged(values: Numbers, height: int, width: int, before: float = 0, after: float = 0) -> Floats:
    """Return (height, width, ...) float32 of a map (h, w, ...), bilinear, places being squares and not points.

    That is torch's interpolate(mode="bilinear", align_corners=False): beyond the outer centres values are repeated.
    Where the values of a map belong `before` the centres of its squares, as a share of one, they are moved there; where
    those of the result shall belong before the centres of its own, `after` says how far.
    """
    rows, columns = (
        _between(count, wanted, before, after) for count, wanted in zip(values.shape, (height, width), strict=False)
    )
    first = np.asarray(values, dtype=np.float32)
    down = _blend(first, *rows, axis=0)
    return _blend(down, *columns, axis=1)


def local_mean(values: Floats, side: int) -> Floats:
    """Return the mean around each place of a map (h, w, D): a square of an odd side, what lies outside being 0.

    Counting the zeros is what PatchCore's authors do. It makes patches at the edge smaller, so that they are the worst
    less often: on magnetic tiles .835 instead of .807 of AUROC at one side with a mean of 3 x 3.
    """
    height, width = values.shape[:2]
    padded = np.pad(values, ((side // 2, side // 2), (side // 2, side // 2), (0, 0)))
    sums = np.zeros(values.shape, dtype=np.float32)
    for down in range(side):
        for across in range(side):
            sums += padded[down : down + height, across : across + width]
    return sums / np.float32(side * side)


def _between(count: int, wanted: int, before: float, after: float) -> tuple[Integers, Integers, Floats]:
    """Return for each wanted place the two places it lies between, and the share of the second."""
    at = np.clip((np.arange(wanted) + 0.5 - after) * count / wanted - 0.5 + before, 0, count - 1)
    low = np.floor(at).astype(np.int64)
    return low, np.minimum(low + 1, count - 1), (at - low).astype(np.float32)


def _blend(values: Floats, low: Integers, high: Integers, share: Floats, axis: int) -> Floats:
    shape = [1] * values.ndim
    shape[axis] = len(share)
    part = share.reshape(shape)
    blended: Floats = np.take(values, low, axis=axis) * (1 - part) + np.take(values, high, axis=axis) * part
    return blended
