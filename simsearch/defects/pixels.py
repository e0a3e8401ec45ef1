"""How well a map of defect scores tells where a defect is: pixel AUROC and PRO, over all pixels of all pictures.

Pixels are counted in bins of equal relative width, the leading bits of a float32 (2^-13 of a value): one pass over the
pictures, each let go of before the next, and 100 MB however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Doubles, Flags, Floats, Integers
from simsearch.errors import VectorsError

FALSE_POSITIVES = 0.3  # up to which PRO is integrated

_SHIFT = 10  # of the 23 bits after a float32's leading one, 13 are kept
_ZERO = 1 << (31 - _SHIFT)  # the bin of value 0
_MAGNITUDE = np.int32(0x7FFFFFFF)


@dataclass(frozen=True)
class PixelFigures:
    """Pixel AUROC and PRO over `pictures`, of which some have defects, in `regions` connected regions."""

    auroc: float
    pro: float
    pictures: int
    regions: int


def pixel_figures(maps: Iterable[tuple[Floats, Flags | None]]) -> PixelFigures | None:
    """Return the figures of maps of defect scores (H, W) with masks (H, W) of where the defects are, None: nowhere.

    PRO, per-region overlap (Bergmann et al. 2019, MVTec AD, section 4.1; 2020, arXiv 1911.02357, section 5): the share
    of a connected region, corners joined, that scores at least a threshold, in the mean over all regions, so that small
    defects count as much as large ones; its mean over the rates of false positives, pixels outside of defects in all
    pictures, from 0 to 30 %. Pixel AUROC counts every pixel for itself. Equal scores are joined by a straight line.
    None where no pixel, or every one, is of a defect. Raises VectorsError for a map and a mask of different size, and
    for NaN.
    """
    inside, outside, overlap = np.zeros(2 * _ZERO), np.zeros(2 * _ZERO), np.zeros(2 * _ZERO)
    pictures = regions = 0
    for scores, mask in maps:
        pictures += 1
        if mask is not None and mask.shape != scores.shape:
            raise VectorsError(f"expected a mask as large as its map, {scores.shape}, seen {mask.shape}")
        bins = _bins(scores)
        if mask is None or not mask.any():
            np.add.at(outside, bins.ravel(), 1)
            continue
        region, count = _regions(mask)
        sizes = np.bincount(region[mask], minlength=count + 1)
        regions += count
        np.add.at(outside, bins[~mask], 1)
        np.add.at(inside, bins[mask], 1)
        np.add.at(overlap, bins[mask], 1 / sizes[region[mask]])
    if not regions or not outside.any():
        return None
    kept = np.flatnonzero((inside + outside) > 0)[::-1]  # the worst score first
    false, true, covered = (_rising(one[kept]) for one in (outside, inside, overlap))
    return PixelFigures(_under(false, true), _up_to(false, covered, FALSE_POSITIVES), pictures, regions)


def _bins(scores: Floats) -> Integers:
    if np.isnan(scores).any():
        raise VectorsError("a map of defect scores holds NaN", hint="check the features it is from")
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0
    bits = bits ^ ((bits >> 31) & _MAGNITUDE)  # in the order of the values, negative ones too
    return (bits >> _SHIFT).astype(np.int64) + _ZERO


def _regions(mask: Flags) -> tuple[Integers, int]:
    from scipy.ndimage import label  # type: ignore[import-untyped]

    found, count = label(mask, structure=np.ones((3, 3)))
    return found, int(count)


def _rising(counts: Doubles) -> Doubles:
    """Return the share that has been reached, from 0 to 1."""
    summed = np.concatenate(((0.0,), np.cumsum(counts)))
    found: Doubles = summed / summed[-1]
    return found


def _up_to(x: Doubles, y: Doubles, limit: float) -> float:
    """Return the mean of a curve over x from 0 to `limit`."""
    last = int(np.searchsorted(x, limit, side="right"))
    ends = np.concatenate((x[:last], (limit,))), np.concatenate((y[:last], (np.interp(limit, x, y),)))
    return _under(*ends) / limit


def _under(x: Doubles, y: Doubles) -> float:
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())
