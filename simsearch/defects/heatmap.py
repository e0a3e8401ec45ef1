"""Where a defect is: the heat of each place laid over its picture.

Heat goes from nothing through dark blue and vermilion to yellow, lighter as it grows: it is read without telling red
from green (colours of Okabe and Ito 2008), and in gray too. Places above the threshold have a line around them. The
frame is the verdict: thick and vermilion for a defect, else thin and gray.
"""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Flags, Floats, Numbers, Pixels
from simsearch.defects.maps import enlarged

COLOURS = np.array([(0, 60, 120), (213, 94, 0), (240, 228, 66)], dtype=np.float32)
MOST = 0.65  # of the picture's own colours that are covered
LINE, THICK, THIN = 1, 6, 2  # px for a picture whose shorter side is LIKE or less; larger ones in proportion
LIKE = 300
DEFECT, NORMAL = (213, 94, 0), (128, 128, 128)
TRUTH = (86, 180, 233)  # sky blue, of the same palette


def overlay(
    picture: Pixels, heat: Numbers, threshold: float, *, defective: bool, normal: float | None = None
) -> Pixels:
    """Return (H, W, 3) uint8, larger by its frame: a picture that is `heated`; `defective`: what the frame says."""
    out = heated(picture, heat, threshold, normal)
    height, width = out.shape[:2]
    side = (THICK if defective else THIN) * _step(picture)
    framed: Pixels = np.full((height + 2 * side, width + 2 * side, 3), DEFECT if defective else NORMAL, dtype=np.uint8)
    framed[side : side + height, side : side + width] = out
    return framed


def heated(picture: Pixels, heat: Numbers, threshold: float, normal: float | None = None) -> Pixels:
    """Return (H, W, 3) uint8: a picture, (H, W) or (H, W, 3) uint8, under its heat (h, w).

    Nothing is shown up to half of the way from `normal`, the heat of a usual place (None: the picture's median), to the
    `threshold`; colours are strongest from as far above it as it is above `normal`.
    """
    shown = _in_colour(picture)
    height, width = shown.shape[:2]
    fine = enlarged(heat, height, width)
    usual = float(np.median(heat)) if normal is None else normal
    way = max(threshold - usual, 1e-6)
    share = np.clip((fine - threshold + way / 2) / (1.5 * way), 0, 1)[:, :, None]
    mixed = shown * (1 - MOST * share) + _coloured(share[:, :, 0]) * (MOST * share)
    out: Pixels = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    out[_edges(fine >= threshold, LINE * _step(picture))] = 255
    return out


def outlined(picture: Pixels, mask: Flags) -> Pixels:
    """Return (H, W, 3) uint8: a picture, (H, W) or (H, W, 3) uint8, with a line around what its mask (H, W) says."""
    shown = _in_colour(picture).copy()
    shown[_edges(~mask, 2 * LINE * _step(picture))] = TRUTH  # outside of it: a small defect is not covered
    return shown


def _in_colour(picture: Pixels) -> Pixels:
    return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)


def _step(picture: Pixels) -> int:
    shorter: int = min(picture.shape[:2])
    return max(1, round(shorter / LIKE))


def _coloured(share: Floats) -> Floats:
    """Return the colour (H, W, 3) of a share (H, W) in [0, 1], between the three."""
    places = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(share, places, COLOURS[:, channel]) for channel in range(3)], axis=2).astype(np.float32)


def _edges(inside: Flags, reach: int) -> Flags:
    """Return what lies inside (H, W) and within `reach` px of what does not; the picture's own edge is none."""
    core = inside.copy()
    for _ in range(reach):
        around = np.pad(core, 1, mode="edge")
        core = core & around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return inside & ~core
