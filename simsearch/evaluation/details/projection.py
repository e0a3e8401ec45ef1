"""The map of the features: the same images before and after, as points in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Flags, Floats, Integers, Numbers

LEAST, MOST = 4, 5000

# Measured with one thread, 5,000 x 64, CPU seconds a map: 13.3 with scikit-learn's own 1,000 steps and angle 0.5, 5.6
# with 500 steps and angle 0.8, whose pictures show the same clusters (Kullback-Leibler divergence 2.15 and 2.23).
_STEPS, _ANGLE = 500, 0.8
_PERPLEXITY = 30.0
_THREADS = 1  # sums of several threads come in any order; and spinning ones took 35 s where others used the cores too
_BLOCK_ROWS = 512


def project(
    before: Numbers | None,
    after: Numbers,
    labels: Sequence[Any] | NDArray[Any] | None,
    seed: int = 0,
    most: int = MOST,
) -> dict[str, Any] | None:
    """Return the map of the same rows of `before` (N, D1) or None and `after` (N, D2); None for fewer than 4 rows.

    {"rows": (n,) int64 ascending positions in the arrays, n <= `most`, "before": (n, 2) float32 or None, "after":
    (n, 2) float32, "before_kind" and "after_kind": "t-SNE", "plane", "sphere" or "seen from one side"}. Give the
    baseline's raw features and the recipe's embeddings. Features of 2 numbers are shown as they are (embeddings lie on
    their circle), of 3 numbers seen from one side (embeddings, and only they, on their sphere); all others by t-SNE
    (van der Maaten and Hinton 2008) in Barnes and Hut's approximation. The rows are drawn label by label in proportion,
    so that no label is missing by chance alone. The same arguments give the same points on one machine.
    """
    rows = stratified(len(after), labels, most, seed)
    if len(rows) < LEAST:
        return None
    shown, kind = _flatten(after[rows], seed)
    found = {"rows": rows, "before": None, "before_kind": None, "after": shown, "after_kind": kind}
    if before is not None:
        found["before"], kind = _flatten(before[rows], seed)
        found["before_kind"] = "seen from one side" if kind == "sphere" else kind  # raw features have any length
    return found


def stratified(total: int, labels: Sequence[Any] | NDArray[Any] | None, most: int, seed: int) -> Integers:
    """Return at most `most` of `total` rows, ascending, each label in its proportion (to within one row)."""
    if total <= most:
        return np.arange(total)
    shuffled = np.random.default_rng(seed).permutation(total)
    if labels is not None:
        _, group = np.unique(np.asarray(labels), return_inverse=True)
        shuffled = shuffled[np.argsort(group[shuffled], kind="stable")]
    # Every (total / most)-th row of the shuffled rows, sorted by label.
    return np.sort(shuffled[np.arange(most) * total // most])


def agreement(points: Floats, labels: NDArray[Any]) -> Flags:
    """Return for each of `points` (n, 2) whether the point nearest to it has its label, (n,) bool."""
    same = np.empty(len(points), dtype=np.bool_)
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    squares = (centred**2).sum(axis=1)
    for start in range(0, len(points), _BLOCK_ROWS):
        block = np.arange(start, min(start + _BLOCK_ROWS, len(points)))
        distances = squares - 2 * (centred[block] @ centred.T)
        distances[np.arange(len(block)), block] = np.inf
        same[block] = labels[distances.argmin(axis=1)] == labels[block]
    return same


def _flatten(features: Numbers, seed: int) -> tuple[Floats, str]:
    count, width = features.shape
    values = np.ascontiguousarray(features, dtype=np.float32)
    if width == 1:
        return np.concatenate((values, np.zeros_like(values)), axis=1), "plane"
    if width == 2:
        return values, "plane"
    if width == 3:
        # Seen from a little above and from one side, so that no axis points at the eye.
        turn, tilt = np.radians(35.0), np.radians(25.0)
        right = (np.cos(turn), -np.sin(turn), 0.0)
        up = (-np.sin(tilt) * np.sin(turn), -np.sin(tilt) * np.cos(turn), np.cos(tilt))
        return values @ np.array((right, up), dtype=np.float32).T, "sphere"
    if not np.ptp(values, axis=0).any():  # all in one place: t-SNE would divide by their spread
        return np.zeros((count, 2), dtype=np.float32), "t-SNE"
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn brings it

    with threadpool_limits(_THREADS):
        found = TSNE(
            perplexity=min(_PERPLEXITY, (count - 1) / 3),
            init="pca",
            max_iter=_STEPS,
            angle=_ANGLE,
            random_state=seed,
            n_jobs=_THREADS,
        ).fit_transform(values)
    return np.asarray(found, dtype=np.float32), "t-SNE"
