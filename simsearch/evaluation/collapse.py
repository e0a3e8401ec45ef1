"""Whether features are all one point, or one line: then nothing can be told apart, whatever the scores look like."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from simsearch.arrays import Floats

ROWS = 4000  # of a look
MEAN_COSINE = 0.999  # above it, all features are one point
RANK = 1.02  # below it, they are one line


@dataclass(frozen=True)
class Spread:
    """How much room embeddings take: the mean cosine of two of them, and how many directions they use."""

    mean_cosine: float
    effective_rank: float

    @property
    def collapsed(self) -> bool:
        """Whether they are all one point, or two opposite ones."""
        return self.mean_cosine > MEAN_COSINE or self.effective_rank < RANK

    @property
    def words(self) -> str:
        """What is said of a collapse, in a sentence."""
        return f"{self._seen}; try a smaller training.learning_rate, more epochs or another loss."

    @property
    def untrained_words(self) -> str:
        """What is said of it where nothing was trained: then it lies in the images, or in the backbone."""
        return (
            f"{self._seen}; nothing was trained: the images are flat or all but the same to this backbone, so look at "
            f"them, or try another embedder.backbone."
        )

    @property
    def _seen(self) -> str:
        where = "one point" if self.mean_cosine > MEAN_COSINE else "one line"
        return (
            f"COLLAPSED: the features of all images are {where} (mean cosine {self.mean_cosine:.5f}), so no answer of "
            "this build means anything"
        )

    def to_json(self) -> dict[str, Any]:
        """Return what report.json holds."""
        return {"collapsed": self.collapsed, **asdict(self)}


def mean_cosine_of(features: Floats) -> float | None:
    """Return the mean cosine of two of the features (N, D); None for fewer than two, and where one is not finite.

    Features of zeros have no direction: they count as equal where all of them are so.
    """
    count, points = len(features), features.astype(np.float64)
    if count < 2 or not np.isfinite(points).all():
        return None
    lengths = np.linalg.norm(points, axis=1)
    if not lengths.any():
        return 1.0
    points /= np.where(lengths == 0, 1.0, lengths)[:, None]
    used = int(np.count_nonzero(lengths))
    return min(1.0, (float(np.square(points.sum(axis=0)).sum()) - used) / (count * (count - 1)))


def all_equal(features: Floats) -> bool:
    """Whether all features (N, D), two or more, are the same but for rounding: no head can tell them apart."""
    if len(features) < 2:
        return False
    return bool(np.allclose(features, features[:1], rtol=1e-5, atol=1e-6 * float(np.abs(features[0]).max())))


def spread(embeddings: Floats, labels: int | None) -> Spread | None:
    """Return the spread of unit vectors (N, D) of `labels` labels; None where too little is there to be judged.

    The effective rank is exp of the entropy of the eigenvalues of their second moments (Roy and Vetterli 2007, The
    effective rank: a measure of effective dimensionality, EUSIPCO). Two labels may well be two opposite points.
    """
    count = len(embeddings)
    if count < 2 or (labels is not None and labels < 2):
        return None
    points = embeddings.astype(np.float64)
    mean_cosine = (float(np.square(points.sum(axis=0)).sum()) - count) / (count * (count - 1))
    # Both products have the same eigenvalues above 0: an untrained backbone may give more columns than there are rows.
    smaller = points @ points.T if count < points.shape[1] else points.T @ points
    shares = np.linalg.eigvalsh(smaller / count)
    shares = shares[shares > 1e-12] / shares.sum()
    rank = float(np.exp(-(shares * np.log(shares)).sum()))
    return Spread(min(1.0, mean_cosine), rank if labels is None or labels > 2 else max(rank, RANK))
