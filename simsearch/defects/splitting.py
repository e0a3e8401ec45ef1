"""Normal images parted by whole groups, near twins across the parting, and kinds of defect held out in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Doubles, Flags, Floats, Integers, Labels
from simsearch.defects.conformal import numbered
from simsearch.defects.pooled import Mahalanobis
from simsearch.errors import VectorsError
from simsearch.vectors.exact import exact_search
from simsearch.vectors.normalize import normalize

CALIBRATION, VALIDATION = 0.3, 0.0
OPTIMISTIC = 0.1  # share of the calibration images with a near twin among the fitted, above which figures are flattered
RARE = 0.01  # p-value of a nearest neighbour's distance, below which it is a near twin

_FAR, _NEAR = 50, 20  # neighbours between which distances grow as they do where there are no twins
_LEAST_FAR = 10
_SCATTER, _LOOKED = 5000, 2000  # images that the scatter is taken of; that are asked about


@dataclass(frozen=True)
class Split:
    """Rows of normal images, ascending: what fits a detector, what chooses among several, what sets the threshold."""

    fit: Integers
    validation: Integers
    calibration: Integers


def split_by_group(
    groups: Labels | None,
    count: int,
    *,
    calibration: float = CALIBRATION,
    validation: float = VALIDATION,
    seed: int = 0,
) -> Split:
    """Return `count` normal images parted by a seeded draw of whole `groups` (count,) (negative, None: one of its own).

    `calibration` and `validation` are shares of the groups, not of the images: it is groups that a threshold counts.
    Each part that has a share above 0 has a group at least, and so has `fit`. Raises VectorsError where there are too
    few groups for that, and for shares that leave nothing to fit.
    """
    shares = (calibration, validation)
    if min(shares) < 0 or sum(shares) >= 1:
        raise VectorsError(
            f"expected shares of calibration and validation that leave some to fit, seen {calibration:g} and "
            f"{validation:g}",
            hint="as 0.3 and 0.1",
        )
    numbers = numbered(groups, count)
    total = int(numbers.max(initial=-1)) + 1
    sizes = [max(1, round(share * total)) if share else 0 for share in shares]
    if total <= sum(sizes):
        raise VectorsError(
            f"expected normal images of at least {sum(map(bool, sizes)) + 1} groups, seen {total}",
            hint="a group is never parted: give more normal images, or more groups of them (dataset.group)",
        )
    place = np.random.default_rng(seed).permutation(total)[numbers]
    first, second = sizes[0], sum(sizes)
    return Split(
        fit=np.flatnonzero(place >= second),
        validation=np.flatnonzero((place >= first) & (place < second)),
        calibration=np.flatnonzero(place < first),
    )


@dataclass(frozen=True)
class Twins:
    """`rows` of calibration images with a near twin among the fitted ones, of `looked` that were asked about."""

    rows: Integers
    looked: int

    @property
    def optimistic(self) -> bool:
        """Whether figures and thresholds from this split are flattered: a new image has no twin."""
        return len(self.rows) > OPTIMISTIC * self.looked


def near_twins(features: Floats, fit: Integers, calibration: Integers, pairs: Integers | None = None) -> Twins:
    """Return which `calibration` rows of `features` (N, D) have a near twin among the `fit` rows.

    A near twin is an image far nearer than the next ones let expect. Where images lie anyhow in m dimensions, the share
    of the ball around one, out to its 20th neighbour, that the nearest reaches is (d1 / d20)^m, the least of 19 uniform
    numbers; m is told from how distances grow from the 20th to the 50th (Levina and Bickel 2004, Maximum likelihood
    estimation of intrinsic dimension), which few twins reach. A p-value below 1 % is a twin: of distances as they are,
    in which noise counts little, or in units of the scatter of normal images, in which exposure does.

    `pairs` (P, 2) of rows that are known to look the same (images/perceptual.py, images/shots.py) count too; among
    fewer than 10 fitted images only those do. Of more than 2,000 images to ask about, a seeded part is.

    Magnetic tiles, each view shot six times, by the mean of the last map of a MobileNetV2: 44 to 48 % in four random
    splits, 5 to 9 % in splits by views, of which some overlap.
    """
    looked = np.sort(np.random.default_rng(0).permutation(calibration)[:_LOOKED])
    found = np.zeros(len(looked), dtype=np.bool_)
    if pairs is not None and len(pairs):
        for one, other in (pairs.T, pairs.T[::-1]):
            found |= np.isin(looked, one[np.isin(other, fit)])
    far = min(_FAR, len(fit))
    if far >= _LEAST_FAR and len(looked):
        for points in _spaces(features, fit, looked):
            found |= _nearest_p(points, len(looked), far) < RARE / 2  # Bonferroni: one of two would do
    return Twins(looked[found], len(looked))


def _spaces(features: Floats, fit: Integers, looked: Integers) -> tuple[Floats, Floats]:
    """Return rows that are asked about, then those that are fitted, as embeddings and in units of the fitted ones'
    scatter, float32.
    """
    sample = np.sort(np.random.default_rng(0).permutation(fit)[:_SCATTER])
    scatter = Mahalanobis.fit(features[sample])
    embeddings = normalize(features[np.concatenate((looked, fit))])
    return embeddings, np.asarray((embeddings - scatter.centre) @ scatter.whitening.T, dtype=np.float32)


def _nearest_p(points: Floats, asked: int, far: int) -> Doubles:
    """Return how likely a nearest neighbour as near is, for the first `asked` points among the others, (asked,)."""
    squares = np.empty((asked, far))
    for span, values, _ in exact_search(points[:asked], points[asked:], far, "l2"):
        squares[span] = np.maximum(values, 0)
    near = max(2, far * _NEAR // _FAR)
    first, middle, last = squares[:, 0], squares[:, near - 1], squares[:, far - 1]
    usable = middle > 0
    growth = np.log(last[usable] / middle[usable]).mean() / 2 if usable.any() else 0.0
    # Of uniform points the log of the distance grows by 1 / (m j) from the j-th neighbour to the next.
    dimension = (1 / np.arange(near, far)).sum() / growth if growth > 0 else 1.0
    share = np.divide(first, middle, out=np.zeros(asked), where=usable) ** (dimension / 2)
    p_values: Doubles = 1 - (1 - share) ** (near - 1)
    return p_values


@dataclass(frozen=True)
class HeldOut:
    """A kind of defect that training does not see: flags (N,) of who is trained on, and who is scored, seen and unseen.

    `normal` are the normal images to score both against.
    """

    kind: int
    trained: Flags
    normal: Flags
    seen: Flags
    unseen: Flags


def holding_out(kinds: Labels, test: Flags, groups: Labels | None = None) -> Iterator[HeldOut]:
    """Yield each kind of defect in turn, held out of training; `kinds` (N,) of images, negative for normal ones.

    `test` (N,) are the images to score; they and whatever shares a group with one of them are not trained on. Nor is
    the kind that is held out, and what shares a group with it: all of its images are scored.
    """
    numbers = numbered(groups, len(kinds))
    for kind in np.unique(kinds[kinds >= 0]).tolist():
        unseen = kinds == kind
        kept_out = np.isin(numbers, numbers[test | unseen])
        yield HeldOut(kind, ~kept_out, test & (kinds < 0), test & (kinds >= 0) & ~unseen, unseen)
