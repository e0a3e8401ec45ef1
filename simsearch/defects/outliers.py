"""Normal images that are nothing like the rest: a wrong folder, a lens cap, a defect among the normal ones."""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Doubles, Integers

FAR = 12.0  # robust deviations; of 952 tiles by frozen features, and of the digits of any label, none is above 9.5

_LEAST = 10  # scores; among fewer nothing is usual
_DEVIATION = 1.4826  # of a normal distribution, in units of its median absolute deviation


def outliers(scores: Doubles) -> Integers:
    """Return the positions of normal images whose defect scores (N,) are far above those of all, the farthest first.

    Each is to be scored by a detector without its group: one that was fitted with it calls it normal, and everything
    near it. Far is 12 robust deviations above the median (Rousseeuw and Croux 1993, Journal of the American
    Statistical Association 88). Of fewer than 10 scores, and where most are equal, none is.
    """
    if len(scores) < _LEAST:
        return np.empty(0, dtype=np.int64)
    above = scores - np.median(scores)
    deviation = _DEVIATION * float(np.median(np.abs(above)))
    far = np.flatnonzero(above > FAR * deviation) if deviation > 0 else np.empty(0, dtype=np.int64)
    return far[np.argsort(-above[far], kind="stable")].astype(np.int64)
