"""How often a verdict is right: over queries of labels that are there, and over those of labels that are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from simsearch.arrays import Doubles, Flags, Labels
from simsearch.evaluation.vote import Vote
from simsearch.statistics.clusters import interval_of, shares_of_draws

_POINTS = 40  # of a curve


class Asked:
    """Queries of known and of unknown labels, with what their neighbours say."""

    def __init__(self) -> None:
        self._known: list[tuple[Labels, Flags, Doubles]] = []
        self._unknown: list[tuple[Labels, Doubles]] = []

    def known(self, labels: Labels, said: Vote) -> None:
        """Take in queries whose labels (Q,) are there."""
        self._known.append((labels, said.labels == labels, said.strengths))

    def unknown(self, labels: Labels, said: Vote) -> None:
        """Take in queries whose labels (Q,) are not there."""
        self._unknown.append((labels, said.strengths))

    def arrays(self) -> tuple[tuple[Labels, Flags, Doubles], tuple[Labels, Doubles]]:
        """Return labels, whether the vote is right, and strength of the known; labels and strength of the unknown."""
        known = tuple(map(np.concatenate, zip(*self._known, strict=True)))
        return known, tuple(map(np.concatenate, zip(*self._unknown, strict=True)))  # type: ignore[return-value]


def figures(asked: Asked, threshold: float) -> dict[str, Any] | None:
    """Return the shares of right verdicts with their intervals over labels, and the curve; None without queries.

    A known query is right where it is told known, by its own label; an unknown one where it is told unknown. The
    curve: [share of unknown ones that pass, share of known ones that are right] over all thresholds.
    """
    (of_known, right, near), (of_unknown, far) = asked.arrays()
    if not len(of_known) or not len(of_unknown):
        return None
    names, place = np.unique(np.concatenate((of_known, of_unknown)), return_inverse=True)
    places = place[: len(of_known)], place[len(of_known) :]
    hits = right & (near > threshold), far <= threshold
    parts = np.stack([np.bincount(at, hit, len(names)) for at, hit in zip(places, hits, strict=True)], axis=1)
    wholes = np.stack([np.bincount(at, minlength=len(names)) for at in places], axis=1)
    draws = shares_of_draws(parts.astype(np.float64), wholes.astype(np.float64))
    shares = [float(hit.mean()) for hit in hits]
    found = {
        side: {"share": share, "interval": interval_of(draws[:, column]), "queries": len(hits[column])}
        for column, (side, share) in enumerate(zip(("known", "unknown"), shares, strict=True))
    }
    both = {"share": sum(shares) / 2, "interval": interval_of(draws.mean(axis=1))}
    return {**found, "balanced": both, "curve": _curve(np.where(right, near, -np.inf), far)}


def _curve(near: Doubles, far: Doubles) -> list[list[float]]:
    """`near`: strengths of known queries, -inf where the vote is wrong; `far`: of unknown ones."""
    ordered = np.sort(far)[::-1]
    passed = np.unique(np.geomspace(1, len(far), _POINTS).round().astype(np.int64))
    at = ordered[passed - 1]  # that many are at least as strong
    return [[float(f"{(far >= cut).mean():.6g}"), float(f"{(near >= cut).mean():.6g}")] for cut in at.tolist()]
