"""What a search over all rows would take, told by what searches over a sample took at several settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simsearch.vectors.tuning.candidates import Candidate
from simsearch.vectors.tuning.sweep import Point

_LIST_SECONDS = 2e-7  # what visiting a list costs, however few rows it has
_LEAST_SHARE = 0.1  # of a search that is scanning: over a small sample less than this cannot be told from none
_HNSW_GROWTH = 0.25  # time of a search over rows: between the logarithm and the caches' misses


def search_seconds(
    candidate: Candidate, points: Sequence[Point], point: Point, growth: float, coarse: float = 0.0
) -> float:
    """Return what a query would take at the settings of `point` over `growth` times the rows that it was measured over.

    Scanning grows with the rows; finding the lists (`coarse` seconds), making tables of codes and scoring candidates
    again do not. Which share is which, the `points` that were measured tell.
    """
    seconds = 1 / point.qps
    if candidate.is_graph:
        return float(seconds * growth**_HNSW_GROWTH)
    scanning = _scanning_seconds(candidate, points, point, coarse)
    return seconds - scanning + scanning * growth


def _scanning_seconds(candidate: Candidate, points: Sequence[Point], point: Point, coarse: float) -> float:
    """Return the least squares of seconds = fixed + a nprobe + b k_factor, each point by its relative error."""
    seconds = 1 / point.qps
    nprobe, k_factor = (np.array([getattr(p.search, key) or 1 for p in points]) for key in ("nprobe", "k_factor"))
    varying = [axis for axis in (nprobe, k_factor) if len(set(axis.tolist())) > 1]
    most = max(0.0, seconds - coarse) if candidate.nlist else seconds
    if (candidate.nlist and len(set(nprobe.tolist())) == 1) or len(points) <= len(varying) or not varying:
        visits = _LIST_SECONDS * (point.search.nprobe or 1) if candidate.nlist else 0.0
        return max(0.0, most - visits)
    qps = np.array([p.qps for p in points])
    columns = np.stack([np.ones(len(points)), *varying], axis=1)
    found = np.linalg.lstsq(columns * qps[:, None], np.ones(len(points)), rcond=None)[0]
    scanning = found[1] * (point.search.nprobe or 1) if candidate.nlist else found[0]
    return float(np.clip(scanning, min(_LEAST_SHARE * seconds, most), most))


def graph_build_seconds(sample: int, rows: int, seconds: float) -> float:
    """Return what building a graph over `rows` would take: insertion is a search."""
    return float(seconds * (rows / sample) ** (1 + _HNSW_GROWTH / 2))
