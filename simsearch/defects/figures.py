"""How well defect scores tell defective images from normal ones, over all and by kind, with intervals over groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Doubles, Flags, Labels
from simsearch.defects.conformal import numbered
from simsearch.errors import VectorsError
from simsearch.statistics.intervals import RESAMPLES, percentile_intervals
from simsearch.statistics.ranks import auroc

_BLOCK = 2_000_000  # images drawn at a time: 16 MB, a few times


@dataclass(frozen=True)
class Area:
    """An image AUROC with its 95 % interval, of `defective` images in `groups` groups."""

    auroc: float
    interval: tuple[float, float]
    defective: int
    groups: int


@dataclass(frozen=True)
class ImageFigures:
    """Areas against the same `normal` images in `groups` groups: of all defective images, and of each kind of them."""

    overall: Area
    kinds: dict[int, Area]
    normal: int
    groups: int


def image_figures(
    scores: Doubles, kinds: Labels, groups: Labels | None = None, *, resamples: int = RESAMPLES, seed: int = 0
) -> ImageFigures:
    """Return the image AUROC of defect scores (N,) by `kinds` (N,) of defect, negative for normal images.

    AUROC: the share of pairs of a defective and a normal image of which the defective one scores higher, ties half.
    Intervals: percentile bootstrap in which whole `groups` (N,) (negative, None: one of its own) are drawn anew with
    replacement, normal and defective ones apart (Efron and Tibshirani 1993, chapter 8), since images of one group are
    no independent evidence. Raises VectorsError for scores that are NaN, and where there is no normal or no defective
    image.
    """
    if np.isnan(scores).any():
        raise VectorsError("a defect score is NaN", hint="check the features it is from")
    normal = kinds < 0
    if normal.all() or not normal.any():
        raise VectorsError(
            f"expected normal and defective images to tell apart, seen {int(normal.sum()):,} normal of {len(kinds):,}",
            hint="figures need images of either; a threshold needs normal ones alone",
        )
    numbers = numbered(groups, len(scores))

    def area(chosen: Flags) -> Area:
        of = np.unique(numbers[chosen])
        interval = _interval(scores[chosen], numbers[chosen], scores[normal], numbers[normal], resamples, seed)
        return Area(auroc(scores[chosen], scores[normal]), interval, int(chosen.sum()), len(of))

    by_kind = {kind: area(kinds == kind) for kind in np.unique(kinds[~normal]).tolist()}
    return ImageFigures(area(~normal), by_kind, int(normal.sum()), len(np.unique(numbers[normal])))


@dataclass(frozen=True)
class Rate:
    """The share of images that are called defective with its 95 % interval, each of `groups` groups counted alike."""

    share: float
    interval: tuple[float, float]
    images: int
    groups: int


def flagged(defective: Flags, groups: Labels | None = None, *, seed: int = 0) -> Rate:
    """Return the rate at which images (N,) of normal, or of defective ones, were called `defective`.

    The mean over `groups` (N,) of the share in each: how likely an image of a fresh group is called so, which is what a
    threshold's rate is about (conformal.py). Interval: percentile bootstrap over groups. Raises VectorsError for none.
    """
    if not len(defective):
        raise VectorsError("expected one image or more that a threshold was asked about, seen none")
    numbers = numbered(groups, len(defective))
    shares = np.bincount(numbers, weights=defective) / np.bincount(numbers)
    low, high = percentile_intervals(shares[:, None], seed=seed)[0].tolist()
    return Rate(float(shares.mean()), (low, high), len(defective), len(shares))


def _interval(
    positives: Doubles, their: Labels, negatives: Doubles, others: Labels, resamples: int, seed: int
) -> tuple[float, float]:
    """Return the 95 % interval of the AUROC where groups `their` (n,) and `others` (m,) are drawn anew."""
    order = np.argsort(negatives, kind="stable")
    below, reached = (np.searchsorted(negatives[order], positives, side=side) for side in ("left", "right"))
    random = np.random.default_rng(seed)
    areas = np.empty(resamples)
    rows = max(1, _BLOCK // (len(positives) + len(negatives)))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        asked, known = _draw(their, count, random), _draw(others[order], count, random)
        summed = np.concatenate((np.zeros((count, 1)), np.cumsum(known, axis=1)), axis=1)
        won = np.einsum("rn,rn->r", asked, (summed[:, below] + summed[:, reached]) / 2)
        areas[start : start + count] = won / (asked.sum(axis=1) * summed[:, -1])
    low, high = np.clip(np.quantile(areas, (0.025, 0.975)), 0, 1).tolist()  # rounding can leave the range
    return low, high


def _draw(groups: Labels, count: int, random: np.random.Generator) -> Doubles:
    """Return how often each image (n,) is drawn, in `count` draws of as many whole groups as there are, (count, n)."""
    numbers = np.unique(groups, return_inverse=True)[1]
    total = int(numbers.max()) + 1
    drawn = random.integers(0, total, (count, total)) + np.arange(count)[:, None] * total
    times = np.bincount(drawn.ravel(), minlength=count * total).reshape(count, total)
    return times[:, numbers].astype(np.float64)
