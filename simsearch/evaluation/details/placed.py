"""The corpus on the map of its report: images at the weighted mean of the nearest that it was made of."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.artifacts import Artifact
from simsearch.errors import ArtifactError
from simsearch.evaluation.details.projection import stratified
from simsearch.evaluation.systems import gather
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.normalize import normalize

MAP = "map.json"
PLACES = "places.npz"  # of a pack, which has no features to find them by
NEIGHBOURS = 5
MOST_POINTS = 5000  # that are sent to be drawn
MOST_ROWS = 200_000  # of a larger corpus only the points that are drawn are placed
_BLOCK = 8192
_ZERO = 1e-6  # a squared distance at which an image is at its neighbour's own place


@dataclass(frozen=True)
class Places:
    """`rows` (n,) that have a place, ascending, and the places (n, 2) float32; `drawn`: the rows that are drawn."""

    rows: Integers
    points: Floats
    drawn: Integers

    def to_bytes(self) -> bytes:
        """Return it as an .npz file; the same places have the same bytes."""
        file = io.BytesIO()
        np.savez(file, rows=self.rows, points=self.points, drawn=self.drawn)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Places:
        """Return what `to_bytes` wrote; ArtifactError for what is none of ours."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as found:
                rows, points, drawn = (found[key] for key in ("rows", "points", "drawn"))
            sound = points.shape == (len(rows), 2) and bool(np.isin(drawn, rows).all()) and len(rows) > 0
        except (ValueError, KeyError, TypeError, OSError, EOFError, BadZipFile):
            sound = False
        if not sound:
            raise ArtifactError("the places on the map, which a pack brings, are damaged")
        return cls(rows, points, drawn)

    def of(self, rows: Sequence[int]) -> Floats:
        """Return the places (m, 2) of some rows, NaN for those that have none."""
        asked = np.asarray(rows, dtype=np.int64)
        at = np.searchsorted(self.rows, asked).clip(max=len(self.rows) - 1)
        found: Floats = self.points[at].astype(np.float32)
        found[self.rows[at] != asked] = np.nan
        return found

    def between(self, rows: Sequence[int], scores: Sequence[float]) -> dict[str, float] | None:
        """Return the mean place of hits, each weighted by its score above the least of them; None without any."""
        if not rows:
            return None
        places, weights = self.of(rows), np.asarray(scores, dtype=np.float64)
        weights = weights - weights.min() + 0.01
        weights[np.isnan(places[:, 0])] = 0
        if not weights.sum() > 0:
            return None
        x, y = (np.nan_to_num(places) * weights[:, None]).sum(axis=0) / weights.sum()
        return {"x": round(float(x), 3), "y": round(float(y), 3)}


def places_of(
    evaluated: Artifact, measured: Artifact, embedded: Artifact, searched: Integers, labels: Sequence[str]
) -> Places | None:
    """Return where the rows `searched` of an embed artifact lie on the map of the evaluate artifact; None without one.

    `measured` is the embed artifact that the map was made from, whose rows may be others. `labels` are of each row.
    """
    if MAP not in evaluated.manifest["files"] or not len(searched):
        return None
    found: dict[str, Any] | None = json.loads(evaluated.file(MAP).read_bytes())
    if found is None:
        return None
    known, points = np.asarray(found["rows"], dtype=np.int64), np.asarray(found["after"], dtype=np.float32)
    with FeatureFile(measured.file("features.h5")) as file:
        anchors = normalize(gather(file, known))
    drawn = searched[stratified(len(searched), [labels[row] for row in searched.tolist()], MOST_POINTS, 0)]
    rows = searched if len(searched) <= MOST_ROWS else drawn
    with FeatureFile(embedded.file("features.h5")) as file:
        parts = (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
        placed = [_placed(normalize(gather(file, part)), anchors, points) for part in parts]
    return Places(rows, np.concatenate(placed), drawn)


def _placed(embeddings: Floats, anchors: Floats, points: Floats) -> Floats:
    scores = embeddings @ anchors.T
    near = np.argpartition(-scores, min(NEIGHBOURS, scores.shape[1]) - 1, axis=1)[:, :NEIGHBOURS]
    squares = (2 - 2 * np.take_along_axis(scores, near, axis=1)).clip(min=0)
    weights = 1 / (squares + _ZERO)
    weights /= weights.sum(axis=1, keepdims=True)
    found: Floats = np.einsum("nk,nkc->nc", weights, points[near]).astype(np.float32)
    return found
