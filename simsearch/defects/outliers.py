"""Normal images that are nothing like the rest: a wrong folder, a lens cap, a defect among the normal ones."""

from __future__ import annotations

from functools import partial

import numpy as np

from simsearch.arrays import Floats, Integers, Labels
from simsearch.defects.conformal import leave_one_group_out, numbered
from simsearch.defects.pooled import Neighbours

FAR = 5.0  # robust deviations, of the logarithm; the farthest of 500 Gaussian points in 2 to 64 dimensions came to 4.2

_LEAST = 10  # groups; among fewer nothing is usual
_NEIGHBOURS = 3  # so that two of a kind do not vouch for one another
_DEVIATION = 1.4826  # of a normal distribution, in units of its median absolute deviation


def outliers(features: Floats, groups: Labels | None = None) -> Integers:
    """Return the rows of normal `features` (N, D) that lie far from all others, the farthest first.

    By the logarithm of the mean distance to the 3 nearest images of other `groups` (N,) (negative, None: one of its
    own): more than 5 robust deviations above the median (Rousseeuw and Croux 1993, Journal of the American Statistical
    Association 88). Of 952 magnetic tiles none is. A detector that was fitted with one calls everything near it normal.
    Among fewer than 10 groups none can be told. Raises VectorsError for features that cannot be used.
    """
    if int(numbered(groups, len(features)).max(initial=-1)) + 1 < _LEAST:
        return np.empty(0, dtype=np.int64)
    distances = leave_one_group_out(partial(Neighbours.fit, k=_NEIGHBOURS), features, groups)
    known = distances > 0  # copies are as near as can be
    logarithms = np.log(distances, where=known, out=np.full(len(distances), -np.inf))
    if not known.any():
        return np.empty(0, dtype=np.int64)
    middle = np.median(logarithms[known])
    deviation = _DEVIATION * np.median(np.abs(logarithms[known] - middle))
    far = np.flatnonzero(logarithms > middle + FAR * max(deviation, 1e-6))
    return far[np.argsort(-logarithms[far], kind="stable")]
