"""The table behind "1 in 4,000": scores of pairs of different labels, among images that nobody is measured with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from simsearch.arrays import Doubles, Floats, Integers, Labels
from simsearch.vectors.normalize import normalize

_MOST_PAIRS = 50_000_000
_ROWS = 512  # multiplied at a time with at most some 5,500 others: 11 MB
_TOP = 500  # highest scores that are kept one by one
_BELOW = 1500  # entries for the rest, at counts that grow by the same factor
_BINS = 1 << 20  # of the scores from -1 to 1, 2^-19 wide: their edges are exact in float32


def false_accept_table(
    features: Floats, labels: Labels, groups: Labels | None = None, *, most_pairs: int = _MOST_PAIRS, seed: int = 0
) -> dict[str, Any] | None:
    """Return which share of the different-label pairs of rows scores at least s, for `false_accept_rate`; or None.

    `features` (N, D) are raw, a score is the inner product of two embeddings, `labels` (N,) negative = left out; pairs
    within a group, of `groups` (N,) (negative: one of its own), are no pairs: one object has one label. The
    table is {"images", "pairs" (of different labels), "sampled", "table": [[score, share], ...]}, scores falling, at
    most 2,000 of them: every one of the highest 500 that differ, then edges of bins of 2^-19. Each share is exact for
    the pairs that were taken: all of them when there are at most `most_pairs`, else a seeded sample in which all images
    are in equally many pairs (Blom 1976, Biometrika 63). None without a pair of different labels. Memory: one copy of
    the features and some 50 MB. Raises VectorsError for a row without direction.
    """
    rows = np.flatnonzero(labels >= 0)
    count = len(rows)
    sampled = count * (count - 1) // 2 > most_pairs
    if sampled:
        np.random.default_rng(seed).shuffle(rows)
    reach = max(1, most_pairs // count) if sampled else count // 2
    bins = np.zeros(_BINS + 1, dtype=np.int64)
    top, times = np.empty(0, dtype=np.float32), np.empty(0, dtype=np.int64)
    for scores in _different(normalize(features[rows]), labels[rows], reach, None if groups is None else groups[rows]):
        # In float64 the sum is exact, so that a score lies in the bin whose lower edge it reaches.
        bins += np.bincount(((scores.astype(np.float64) + 1) * (_BINS / 2)).astype(np.int64), minlength=_BINS + 1)
        if len(top) >= _TOP:
            scores = scores[scores >= top[0]]
        top, times = _highest(top, times, scores)
    pairs = int(bins.sum())
    if not pairs:
        return None
    listed, counts = _entries(top[::-1].astype(np.float64), np.cumsum(times[::-1]), bins, pairs)
    return {
        "images": count,
        "pairs": pairs,
        "sampled": sampled,
        # Nine digits tell float32 scores apart.
        "table": [[float(f"{s:.9g}"), float(f"{n / pairs:.7g}")] for s, n in zip(listed, counts, strict=True)],
    }


def _different(embeddings: Floats, labels: Labels, reach: int, groups: Labels | None = None) -> Iterator[Floats]:
    """Yield the scores (n,) of different-label pairs: rows stand on a circle, each is paired with the next `reach`.

    Half of an even circle pairs opposites twice, so there the second half reaches one less.
    """
    count = len(embeddings)
    for start in range(0, count, _ROWS):
        block = np.arange(start, min(start + _ROWS, count))
        others = np.arange(start + 1, int(block[-1]) + reach + 1)
        reaches = reach - ((2 * reach == count) & (block >= reach))
        ahead = others - block[:, None]
        others = others % count
        taken = (ahead >= 1) & (ahead <= reaches[:, None]) & (labels[block][:, None] != labels[others])
        if groups is not None:
            taken &= (groups[block][:, None] < 0) | (groups[block][:, None] != groups[others])
        # Rounding leads a little beyond the range of a cosine.
        yield (embeddings[block] @ embeddings[others].T)[taken].clip(-1, 1)


def _highest(top: Floats, times: Integers, scores: Floats) -> tuple[Floats, Integers]:
    """Return the 500 highest of distinct scores (rising) and of further ones, and how often each was met.

    However many pairs tie, none of their scores is lost: where all features are one point, all scores are the highest.
    """
    seen, counts = np.unique(scores, return_counts=True)
    merged, place = np.unique(np.concatenate((top, seen)), return_inverse=True)
    summed = np.zeros(len(merged), dtype=np.int64)
    np.add.at(summed, place, np.concatenate((times, counts)))
    return merged[-_TOP:], summed[-_TOP:]


def _entries(scores: Doubles, counts: Integers, bins: Integers, pairs: int) -> tuple[Doubles, Integers]:
    """Return scores (falling) and how many pairs score at least as much (rising to `pairs`), from the highest scores,
    as they are returned, and the counts of all pairs by bin."""
    reached = int(counts[-1])
    if reached == pairs:
        return scores, counts
    from_above = np.cumsum(bins[::-1])  # pairs in the highest i + 1 bins
    wanted = np.unique(np.geomspace(reached + 1, pairs, _BELOW).astype(np.int64))
    wanted[-1] = pairs
    places = np.unique(np.searchsorted(from_above, wanted))
    edges = (_BINS - places) * (2.0 / _BINS) - 1
    # A bin that holds some of the highest scores begins below them only if it holds a pair that is not among them.
    places, edges = places[from_above[places] > reached], edges[from_above[places] > reached]
    return np.concatenate((scores, edges)), np.concatenate((counts, from_above[places]))
