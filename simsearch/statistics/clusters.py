"""Intervals of shares over things that come in clusters, as pictures come by labels: whole clusters are drawn."""

from __future__ import annotations

import numpy as np

from simsearch.arrays import Doubles
from simsearch.statistics.intervals import RESAMPLES


def shares_of_draws(parts: Doubles, wholes: Doubles, *, resamples: int = RESAMPLES, seed: int = 0) -> Doubles:
    """Return the shares (resamples, C) of draws of clusters with replacement: sums of `parts` by sums of `wholes`.

    Both are (L, C), a row a cluster; the same draws serve all columns. NaN where a draw has nothing of a column. The
    cluster bootstrap: Davison and Hinkley 1997, Bootstrap methods and their application, section 3.8.
    """
    count = len(parts)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples).astype(np.float64)
    with np.errstate(invalid="ignore"):
        shares: Doubles = (drawn @ parts) / (drawn @ wholes)
    return shares


def interval_of(draws: Doubles) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of such draws (R,); None where hardly any has a value."""
    known = draws[~np.isnan(draws)]
    if len(known) < len(draws) / 2:
        return None
    low, high = np.quantile(known, (0.025, 0.975)).tolist()
    return low, high
