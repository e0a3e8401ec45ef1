"""What a defect score means: how rare it is among normal images, and the threshold of a stated rate of false alarms.

Pictures of one thing (part, batch, series of shots) are alike, so that a new one is not rare among them and is rare
among the others: each group has one vote. The p-value of a score s, with n groups, is

    p = (1 + sum over groups of the share of its images that score >= s) / (n + 1)

For a fresh image of a fresh group, exchangeable with the others, the rate of p <= a is at most a, whatever the sizes of
the groups and however dependent their images (pooling by group: Dunn, Wasserman, Ramdas 2022, arXiv 1809.07441; for
finite n: Lee, Barber, Willett 2023, arXiv 2306.06342). With groups of one image it is the usual rule of
split conformal prediction (Vovk, Gammerman, Shafer 2005), and the rate is floor(a (n + 1)) / (n + 1) where no two
scores are equal.

It holds when the images that were counted had no part in the detector. Leaving one group out at a time, every normal
image is counted by a detector that has not seen its group: nearly the same detector, so that the rate holds nearly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Doubles, Floats, Integers, Labels, Numbers
from simsearch.defects.pooled import Pooled
from simsearch.errors import VectorsError
from simsearch.statistics.ranks import beta_interval, rank_test

DRIFT = 0.001  # p-value of a scored folder, below which it is said that it does not score as the normal images do
MOST_FITS = 64  # detectors that are fitted to leave groups out

_DIGITS = 9  # shares of a group are summed with less error; thirds must come to a whole


@dataclass(frozen=True)
class Calibration:
    """Defect scores (M,) of normal images that are no part of the detector, and the group (M,) of each.

    A negative group is one of its own; None: all are. Raises VectorsError for no scores, scores that are not finite and
    groups of another shape.
    """

    scores: Doubles
    groups: Labels | None = None

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or not len(self.scores):
            raise VectorsError(f"expected the scores of one normal image or more, (M,), seen {self.scores.shape}")
        if not np.isfinite(self.scores).all():
            raise VectorsError("the score of a normal image is NaN or infinite", hint="check the features it is from")
        if self.groups is not None and self.groups.shape != self.scores.shape:
            raise VectorsError(f"expected a group for each of {len(self.scores)} scores, seen {self.groups.shape}")

    @property
    def n(self) -> int:
        """How many groups there are."""
        return int(numbered(self.groups, len(self.scores)).max()) + 1

    def p_values(self, scores: Numbers) -> Doubles:
        """Return how rare scores (N,) are among normal images, (N,) in [1 / (n + 1), 1]; VectorsError for NaN."""
        if np.isnan(scores).any():
            raise VectorsError("a defect score is NaN", hint="check the features it is from")
        known, p_values = self._steps()
        return p_values[np.searchsorted(known, scores, side="left")]

    def threshold(self, rate: float) -> float:
        """Return the least score that is called defective at a rate of false alarms: where p_values are <= `rate`.

        Raises VectorsError for a rate outside of (0, 1), and where even the worst score is not rare among so few
        groups: where rate * (n + 1) < 1.
        """
        if not 0 < rate < 1:
            raise VectorsError(f"expected a rate of false alarms between 0 and 1, seen {rate:g}", hint="as 0.01")
        known, p_values = self._steps()
        if p_values[-1] > rate:
            groups = "groups" if self.groups is not None else "images"
            raise VectorsError(
                f"a rate of false alarms of {rate:g} needs at least {groups_needed(rate):,} normal {groups} to be set "
                f"by, and there {'is' if self.n == 1 else 'are'} {self.n:,}",
                hint=f"give more normal images, or ask for {math.ceil(1e4 / (self.n + 1)) / 1e4:g}, the least that "
                f"{self.n:,} can tell",
            )
        return float(np.nextafter(known[p_values[:-1] > rate][-1], np.inf))

    def spread(self, rate: float) -> tuple[float, float]:
        """Return the middle 95 % of the rates that thresholds of this `rate` come to, (low, high).

        The stated rate is kept on average over calibrations; one of n groups, for good, has a rate that is distributed
        as Beta(l, n + 1 - l), l = floor(rate (n + 1)) (Vovk 2012, arXiv 1209.2673), n not too small and groups of one
        or of images much alike. Raises as `threshold` does.
        """
        self.threshold(rate)
        least = math.floor(round(rate * (self.n + 1), _DIGITS))
        return beta_interval(least, self.n + 1 - least)

    def _steps(self) -> tuple[Doubles, Doubles]:
        """Return the known scores, ascending, (M,) and (M + 1,) p-values: of what is at most each, and above all."""
        numbers = numbered(self.groups, len(self.scores))
        votes = (1 / np.bincount(numbers))[numbers]
        order = np.argsort(self.scores, kind="stable")
        reached = np.concatenate((np.cumsum(votes[order][::-1])[::-1], (0.0,)))
        return self.scores[order], (1 + np.round(reached, _DIGITS)) / (self.n + 1)


def groups_needed(rate: float) -> int:
    """Return how many groups of normal images a threshold of a rate in (0, 1) needs: the least n, rate (n + 1) >= 1."""
    return math.ceil(round(1 / rate, _DIGITS)) - 1


def leave_one_group_out(
    fit: Callable[[Floats], Pooled], features: Floats, groups: Labels | None = None, *, most: int = MOST_FITS
) -> Doubles:
    """Return the defect score of each of the normal `features` (N, D) by a detector without its group, (N,).

    `groups` (N,), negative or None: one of its own. With more than `most` groups several are left out at a time, drawn
    by a fixed seed. Raises VectorsError for fewer than 2 groups, and what `fit` raises.
    """
    numbers = numbered(groups, len(features))
    count = int(numbers.max(initial=-1)) + 1
    if count < 2:
        raise VectorsError(
            f"expected normal images of at least 2 groups, seen {count}",
            hint="images of one group are never on both sides of a split: see dataset.group",
        )
    part_of = np.random.default_rng(0).permutation(count) % min(count, most)
    parts = part_of[numbers]
    found = np.empty(len(features))
    for part in range(min(count, most)):
        out = parts == part
        found[out] = fit(features[~out]).scores(features[out])
    return found


def drift_p(scores: Doubles, calibration: Calibration, groups: Labels | None = None, *, seed: int = 0) -> float:
    """Return the p-value of "these scores (N,) come from where the calibration's do", by a two-sample rank test.

    One image of each group is drawn on either side: images of one group are no further evidence. `groups` (N,) of the
    scores; None: each its own. Raises VectorsError for no scores and for NaN.
    """
    if not len(scores) or np.isnan(scores).any():
        raise VectorsError("expected one defect score or more, none of them NaN")
    random = np.random.default_rng(seed)
    drawn = [
        values[_one_each(numbered(of, len(values)), random)]
        for values, of in ((scores, groups), (calibration.scores, calibration.groups))
    ]
    return rank_test(*drawn)


def numbered(groups: Labels | None, count: int) -> Integers:
    """Return groups (count,) as numbers from 0 on, (count,); negative ones, or all for None, are each their own."""
    if groups is None:
        return np.arange(count)
    own = groups < 0
    kept, numbers = np.unique(groups, return_inverse=True)
    numbers = numbers.astype(np.int64)
    numbers[own] = len(kept) + np.arange(int(own.sum()))
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def _one_each(numbers: Integers, random: np.random.Generator) -> Integers:
    """Return the position of one member of each group, drawn anew."""
    order = random.permutation(len(numbers))
    return order[np.unique(numbers[order], return_index=True)[1]]
