"""Defect scores of an image's feature, from the features of normal images alone; higher is worse.

Four ways to say how far an embedding is from the normal ones. Features come raw, and each score normalizes them: what
is compared are points of the unit sphere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Doubles, Floats, Integers
from simsearch.errors import VectorsError
from simsearch.vectors.exact import exact_search
from simsearch.vectors.normalize import normalize

LEAST_NORMALS = 2
ONE_POINT = 1e-6  # float32 embeddings of one feature differ by less, in each number
NEIGHBOURS = 1
MEANS = 8

_MORE = 8  # neighbours looked at besides: a float32 product cannot tell which of several twins is the nearest
_BLOCK = 1024  # images scored at a time
_RIDGE = 1e-10  # of the mean variance: a covariance that lost a direction to rounding has a root all the same
_ROUNDS = 100
_RESTARTS = 4

Arrays = Mapping[str, NDArray[Any]]


class Pooled(Protocol):
    """A defect score of features: fitted on normal ones, kept as arrays, the same from them.

    `scores`: features (N, D) to (N,) float64. Raises VectorsError for features of another width, and for rows that
    have no direction.
    """

    @classmethod
    def fit(cls, features: Floats) -> Self:
        """Return the score of how far a feature is from these of normal images, (N, D), N >= 2.

        Raises VectorsError for fewer, for rows that have no direction, and where all point the same way.
        """
        ...

    def scores(self, features: Floats) -> Doubles: ...
    def arrays(self) -> dict[str, NDArray[Any]]: ...
    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self: ...


@dataclass(frozen=True)
class Mean:
    """The distance from the normalized mean of the normal embeddings, `centre` (D,) float64."""

    centre: Doubles

    @classmethod
    def fit(cls, features: Floats) -> Self:
        return cls(_direction(_normals(features).mean(axis=0)))

    def scores(self, features: Floats) -> Doubles:
        return _distances(_units(features, self.centre.shape[-1]), self.centre[None])

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"centre": self.centre}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["centre"])


@dataclass(frozen=True)
class Means:
    """The distance from the nearest of several normalized means, `centres` (K, D) float64.

    They are where k-means on the sphere stands still (Dhillon and Modha 2001, Machine Learning 42): each is the
    direction of the mean of the normal embeddings that are nearest to it.
    """

    centres: Doubles

    @classmethod
    def fit(cls, features: Floats, *, k: int = MEANS, seed: int = 0) -> Self:
        """`k` is capped at the number of normal images that differ."""
        units = _normals(features)
        centres = _start(units, min(k, len(np.unique(units, axis=0))), seed)
        nearest = np.full(len(units), -1)
        for _ in range(_ROUNDS):
            before, nearest = nearest, (units @ centres.T).argmax(axis=1)
            if (before == nearest).all():
                break
            taken = np.unique(nearest)
            centres = np.stack([_direction(units[nearest == centre].mean(axis=0)) for centre in taken])
            nearest = np.searchsorted(taken, nearest)
        return cls(centres)

    def scores(self, features: Floats) -> Doubles:
        return _distances(_units(features, self.centres.shape[-1]), self.centres)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"centres": self.centres}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["centres"])


@dataclass(frozen=True)
class Neighbours:
    """The mean distance to the `k` nearest of the `normals` (N, D), float32 embeddings, found by exact search."""

    normals: Floats
    k: int = NEIGHBOURS

    @classmethod
    def fit(cls, features: Floats, *, k: int = NEIGHBOURS) -> Self:
        """Raises VectorsError when there are fewer than `k` normal images, too."""
        normals = _normals(features).astype(np.float32)
        if not 1 <= k <= len(normals):
            raise VectorsError(
                f"{k} nearest normal images were asked for, and there are {len(normals)}",
                hint=f"ask for 1 to {len(normals)}, or give more normal images",
            )
        return cls(normals, k)

    def scores(self, features: Floats) -> Doubles:
        units = _units(features, self.normals.shape[-1])
        found = np.empty(len(units))
        for span, _, rows in exact_search(units.astype(np.float32), self.normals, self.k + _MORE, "ip"):
            found[span] = np.sort(_along(units[span], self.normals, rows), axis=1)[:, : self.k].mean(axis=1)
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"normals": self.normals, "k": np.array(self.k)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["normals"], int(arrays["k"]))


@dataclass(frozen=True)
class Mahalanobis:
    """The length of an embedding less the `centre` (D,), in units of how far normal ones scatter that way.

    `whitening` (D, D) float64, lower triangular, turns the shrunken covariance into the identity (Ledoit and Wolf 2004,
    Journal of Multivariate Analysis 88): with fewer images than numbers a covariance has no inverse, and shrunken it
    has.
    """

    centre: Doubles
    whitening: Doubles

    @classmethod
    def fit(cls, features: Floats) -> Self:
        from sklearn.covariance import LedoitWolf

        found = LedoitWolf(store_precision=False).fit(_normals(features))
        covariance = np.asarray(found.covariance_, dtype=np.float64)
        covariance[np.diag_indices_from(covariance)] += _RIDGE * np.trace(covariance) / len(covariance)
        whitening = np.tril(np.linalg.inv(np.linalg.cholesky(covariance)))
        return cls(np.asarray(found.location_, dtype=np.float64), whitening)

    def scores(self, features: Floats) -> Doubles:
        units = _units(features, self.centre.shape[-1])
        found = np.empty(len(units))
        for start in range(0, len(units), _BLOCK):
            rows = slice(start, start + _BLOCK)
            found[rows] = np.linalg.norm((units[rows] - self.centre) @ self.whitening.T, axis=1)
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"centre": self.centre, "whitening": self.whitening}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        return cls(arrays["centre"], arrays["whitening"])


POOLED: dict[str, type[Pooled]] = {
    "mean": Mean,
    "neighbours": Neighbours,
    "mahalanobis": Mahalanobis,
    "means": Means,
}  # the simplest first


def _normals(features: Floats) -> Doubles:
    """Return the embeddings of normal images, (N, D) float64, if they are enough and differ."""
    if features.ndim == 2 and len(features) < LEAST_NORMALS:
        raise VectorsError(
            f"expected at least {LEAST_NORMALS} normal images, seen {len(features)}",
            hint="how far normal images differ cannot be told from fewer: give more of them",
        )
    units = normalize(features)
    if np.abs(units - units[0]).max() < ONE_POINT:
        raise VectorsError(
            f"the features of all {len(units):,} normal images are equal: no distance from them means anything",
            hint="give normal images that differ, or an embedder that tells them apart",
        )
    return units.astype(np.float64)


def _units(features: Floats, width: int) -> Doubles:
    """Return the embeddings of images to score, (N, D) float64."""
    if features.ndim == 2 and features.shape[1] != width:
        raise VectorsError(
            f"expected features of {width} numbers, as those of the normal images, seen {features.shape[1]}",
            hint="score images with the embedder that the normal images were fitted with",
        )
    return normalize(features).astype(np.float64)


def _direction(mean: Doubles) -> Doubles:
    length = float(np.linalg.norm(mean))
    if length < ONE_POINT:
        raise VectorsError(
            "the embeddings of the normal images have no mean direction: they lie all around the sphere",
            hint="use method neighbours, which needs none",
        )
    direction: Doubles = mean / length
    return direction


def _distances(units: Doubles, centres: Doubles) -> Doubles:
    """Return the distance of each of `units` (N, D) to the nearest of `centres` (K, D), (N,)."""
    found = np.full(len(units), np.inf)
    for centre in centres:
        for start in range(0, len(units), _BLOCK):
            rows = slice(start, start + _BLOCK)
            found[rows] = np.minimum(found[rows], np.linalg.norm(units[rows] - centre, axis=1))
    return found


def _along(units: Doubles, normals: Floats, rows: Integers) -> Doubles:
    """Return the distance of each of `units` (B, D) to each of its `rows` (B, k) of `normals`, (B, k)."""
    columns = [np.linalg.norm(units - normals[rows[:, i]], axis=1) for i in range(rows.shape[1])]
    return np.stack(columns, axis=1)


def _start(units: Doubles, k: int, seed: int) -> Doubles:
    """Return `k` directions to begin with, (k, D): centres of k-means in the space around the sphere."""
    from sklearn.cluster import KMeans

    found = KMeans(k, n_init=_RESTARTS, random_state=seed).fit(units)
    # Sums of several threads come in any order: which images belong together does not hang on their last bits.
    return np.stack([_direction(units[found.labels_ == centre].mean(axis=0)) for centre in range(k)])
