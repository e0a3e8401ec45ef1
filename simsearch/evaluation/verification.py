"""Verification: are two images of one label? ROC AUC, EER, TAR at FAR and inversion rate over the pairs of queries.

The pairs are counted in histograms, so that memory does not grow with their number. A histogram needs bins in which
nothing is lost that matters, wherever the values pile up: the bits of a float32 are in the order of its magnitude, so
the leading ones are bins of equal relative width (2^-15 here). On 2 cores the 49,995,000 pairs of 10,000 queries of 64
numbers take 0.4 s a score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simsearch.arrays import Doubles, Flags, Floats, Integers, Labels
from simsearch.evaluation.false_alarms import FALSE_ACCEPT_RATES
from simsearch.vectors.normalize import norms

_MOST_PAIRS = 50_000_000
_LEAST_ACCEPTED = 10  # different-label pairs that a false accept rate must let through, or nothing is said about it
_ROWS, _COLUMNS = 256, 4096
_KEYS = 8_000_000  # counted at a time: 64 MB
_POINTS = 100  # of a curve
_SHIFT = 8  # of the 23 bits after a float32's leading one, 15 are kept

# With features scaled to at most length 1, squared distances below the first are what float32 features are rounded
# by, and count as 0. Inner products have no such point, so they are taken from their mean, with less depth around it.
_FLOORS = {"l2": 2.0**-46, "ip": 2.0**-30}
_CEILING = 4.0

Score = Literal["l2", "ip"]


@dataclass(frozen=True)
class Verification:
    """The figures of one system; `pairs` = `same` + `different` labels, all of them or a sample.

    `tar_at_far` is None at a rate that would accept fewer than 10 of the different-label pairs. `curve` is the ROC
    curve by at most 100 of its points (far, tar) from (0, 0) to (1, 1), those of `tar_at_far` among them.
    """

    pairs: int
    same: int
    different: int
    sampled: bool
    roc_auc: float
    inversion_rate: float
    eer: float
    tar_at_far: dict[float, float | None]
    curve: tuple[tuple[float, float], ...]


def verify(
    features: Floats,
    labels: Labels,
    score: Score,
    *,
    groups: Labels | None = None,
    most_pairs: int = _MOST_PAIRS,
    seed: int = 0,
) -> Verification | None:
    """Return the figures over pairs i < j of the rows of `features` (N, D) with `labels` (N,), negative = left out.

    A pair is accepted when its L2 distance ("l2") is below, or its inner product ("ip") above a threshold; for cosine
    give embeddings and "l2": the squared distance is 2 - 2 cosine, and does not cancel where cosines are nearly 1. TAR
    and FAR are the shares of same-label and of different-label pairs that are accepted; between the points of the
    curve they are interpolated linearly, so that equal pairs count half (Fawcett 2006, An introduction to ROC
    analysis, sections 5 to 7). EER is FAR where it equals 1 - TAR. The inversion rate, 1 - ROC AUC, is the share of
    couples (same-label pair, different-label pair) of which the same-label pair is the farther one. Pairs within a
    group, of `groups` (N,) (negative: one of its own), are no pairs.

    All pairs are taken when there are at most `most_pairs`, else a seeded sample of about that many: the queries stand
    on a circle in random order, each is paired with the next few, so that all pairs are equally likely and all queries
    are in equally many (a balanced incomplete U-statistic: Blom 1976, Biometrika 63). None when no pair, or every pair,
    has one label. Memory: some 150 MB, whatever N is. Raises ValueError for features that are not finite.
    """
    if not np.isfinite(features).all():
        raise ValueError("features must be finite")
    labelled = np.flatnonzero(labels >= 0)
    count = len(labelled)
    sampled = count * (count - 1) // 2 > most_pairs
    reach = max(1, most_pairs // count) if sampled else count // 2
    if sampled:
        np.random.default_rng(seed).shuffle(labelled)
    different, same = _histograms(features, labels, labelled, reach, score, groups)
    n_different, n_same = int(different.sum()), int(same.sum())
    if not n_different or not n_same:
        return None
    far = np.concatenate(([0.0], np.cumsum(different) / n_different))
    tar = np.concatenate(([0.0], np.cumsum(same) / n_same))
    told = [rate for rate in FALSE_ACCEPT_RATES if rate * n_different >= _LEAST_ACCEPTED]
    area = float(((tar[1:] + tar[:-1]) / 2 * np.diff(far)).sum())
    return Verification(
        pairs=n_same + n_different,
        same=n_same,
        different=n_different,
        sampled=sampled,
        roc_auc=area,
        inversion_rate=1 - area,
        eer=float(np.interp(0.0, far + tar - 1, far)),
        tar_at_far={rate: float(np.interp(rate, far, tar)) if rate in told else None for rate in FALSE_ACCEPT_RATES},
        curve=_thinned(far, tar, told),
    )


def _thinned(far: Doubles, tar: Doubles, rates: list[float]) -> tuple[tuple[float, float], ...]:
    """Return at most 100 points (far, tar) of a curve, to 6 digits: both ends, those at `rates`, and of the rest half
    at equal steps of TAR, half of log FAR, so that it is smooth on either axis.
    """
    steps = (_POINTS - 2 - len(rates)) // 2
    least = max(float(far[far > 0].min()), 1e-6)
    by_tar = np.searchsorted(tar, np.linspace(0, 1, steps))
    by_far = np.searchsorted(far, np.geomspace(least, 1, steps))
    last = len(far) - 1
    kept = np.unique(np.concatenate(([0, last], np.minimum(by_tar, last), np.minimum(by_far, last))))
    points = {*zip(far[kept].tolist(), tar[kept].tolist(), strict=True)}
    points |= {(rate, float(np.interp(rate, far, tar))) for rate in rates}
    return tuple(sorted({(float(f"{x:.6g}"), float(f"{y:.6g}")) for x, y in points}))


def _histograms(
    features: Floats, labels: Labels, rows: Integers, reach: int, score: Score, groups: Labels | None
) -> tuple[Integers, Integers]:
    """Return how many different-label and same-label pairs lie in each bin, nearest first, empty bins left out."""
    lowest = int(np.float32(_FLOORS[score]).view(np.int32))
    most = (int(np.float32(_CEILING).view(np.int32)) - lowest) >> _SHIFT
    zero = most if score == "ip" else 0  # the bin of value 0; squared distances have nothing below
    counts = np.zeros(2 * (zero + most + 1) + 1, dtype=np.int64)  # the last for pairs within a group
    waiting = np.empty(_KEYS, dtype=np.int64)
    filled = 0
    for values, same, grouped, spans in _tiles(features, labels, rows, reach, score, groups):
        bits = values.view(np.int32)
        sign = bits >> 31
        bits &= 0x7FFFFFFF
        np.maximum(bits, lowest, out=bits)
        bits -= lowest
        bits >>= _SHIFT
        bits ^= sign  # x ^ -1 is -x - 1
        bits -= sign
        bits += zero
        bits <<= 1
        bits |= same.view(np.int8)
        if grouped is not None:
            bits[grouped] = len(counts) - 1
        for row, (first, last) in zip(bits, spans, strict=True):
            if filled + last - first > _KEYS:
                counts += np.bincount(waiting[:filled], minlength=len(counts))
                filled = 0
            waiting[filled : filled + last - first] = row[first:last]
            filled += last - first
    counts += np.bincount(waiting[:filled], minlength=len(counts))
    far, near = counts[:-1:2], counts[1::2]
    kept = np.flatnonzero(far | near)
    return far[kept], near[kept]


def _tiles(
    features: Floats, labels: Labels, rows: Integers, reach: int, score: Score, groups: Labels | None
) -> Iterator[tuple[Floats, Flags, Flags | None, list[tuple[int, int]]]]:
    """Yield (values (B, n), lower is nearer; same label, same group (B, n); the columns (first, last) of each row that
    are pairs).

    `rows` stand on a circle, each is paired with the next `reach`; twice half of the circle would pair opposites
    twice, so there the second half reaches one less.
    """
    count = len(rows)
    # A power of two, so that values that were equal stay equal.
    scale = 2.0 ** -float(np.frexp(norms(features).max(initial=0.0))[1])
    centre = features.mean(axis=0, dtype=np.float64) * scale if count else np.zeros(features.shape[1])
    for start in range(0, count, _ROWS):
        block = np.arange(start, min(start + _ROWS, count))
        reaches = block + reach - ((2 * reach == count) & (block >= reach))
        asked = features[rows[block]].astype(np.float64) * scale
        for first in range(start + 1, int(block[-1]) + reach + 1, _COLUMNS):
            others = rows[np.arange(first, min(first + _COLUMNS, int(block[-1]) + reach + 1)) % count]
            found = features[others].astype(np.float64) * scale
            values = asked @ found.T
            # In float64: a float32 square expanded like this says nothing about neighbours a thousandth apart.
            if score == "ip":
                np.subtract(centre @ centre, values, out=values)
            else:
                values *= -2
                values += np.einsum("bd,bd->b", asked, asked)[:, None]
                values += np.einsum("nd,nd->n", found, found)
            lasts = np.minimum(reaches + 1 - first, len(others))
            firsts = np.minimum(np.maximum(block + 1 - first, 0), lasts)
            same = labels[rows[block]][:, None] == labels[others]
            grouped = None
            if groups is not None:
                of_row = groups[rows[block]][:, None]
                grouped = (of_row >= 0) & (of_row == groups[others])
            yield values.astype(np.float32), same, grouped, list(zip(firsts.tolist(), lasts.tolist(), strict=True))
