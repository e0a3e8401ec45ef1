"""What the nearest others of each image of a corpus show: duplicates, and labels that may be mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from simsearch.arrays import Floats, Labels, Pixels
from simsearch.errors import VectorsError
from simsearch.evaluation.details.doubted import NEIGHBOURS, doubted, largest
from simsearch.evaluation.details.duplicates import NEAREST, Groups, duplicates
from simsearch.evaluation.details.others import Digests, Others, nearest_others, one_of_each
from simsearch.evaluation.systems import FeatureSource

PLAIN = 0.8  # of the images have one of their label as the nearest small picture: then pictures alone tell labels
MOST_OWN = 32  # nearest others that are looked past as they belong together with the image


def look_around(
    digests: Digests,
    looks: Groups | None,
    source: FeatureSource,
    untrained: FeatureSource | None,
    pictures: Pixels | None,
    labels: Sequence[str] | None,
    groups: Labels | None,
) -> dict[str, Any]:
    """Return what joins report.json of rows [0, N), whose `digests` (N,) are given: "duplicates", "label_doubts".

    The rows are those of `source`; `untrained` are features of them that learnt from no label (they may be the same),
    None where there are none: then small gray `pictures` (N, H, W) doubt labels, where these tell them apart.
    `looks` are groups of rows that look the same, or None; `labels` (N,), "" for none, or None: no label is doubted;
    `groups` (N,) are numbers, negative for an image that is one of its own, or None.
    """
    distinct = one_of_each(digests)
    alike = [] if groups is None else [groups]
    if looks:
        alike.append(np.full(len(digests), -1, dtype=np.int64))
        for number, rows in enumerate(looks):
            alike[-1][list(rows)] = number
    k = max(NEAREST, NEIGHBOURS + min(MOST_OWN, largest(alike) - 1))
    others = nearest_others(source, distinct, k)
    found: dict[str, Any] = {"duplicates": duplicates(digests, looks, source, others), "label_doubts": None}
    if labels is None:
        return found
    names = sorted(set(labels) - {""})
    number_of = {name: number for number, name in enumerate(names)}
    numbered = np.array([number_of.get(label, -1) for label in labels], dtype=np.int64)
    by = "features" if untrained is None else "untrained"
    if untrained is None and pictures is not None:
        seen = nearest_others(Small(pictures), distinct, k, narrow=True)
        if _agree(seen, numbered) >= PLAIN:
            by, others = "pictures", seen
    elif untrained is not None and untrained is not source:
        try:
            others = nearest_others(untrained, distinct, k, narrow=True)
        except VectorsError:  # a frozen feature without direction is no reason to refuse a build
            by = "features"
    told = doubted(others, numbered, alike, names.__getitem__)
    return {**found, "label_doubts": {"by": by, **told}}


@dataclass(frozen=True)
class Small:
    """Small gray pictures (N, H, W) as features (N, H W + 1): less their mean, and a last number that is never 0."""

    pictures: Pixels

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.pictures), 1 + self.pictures[0].size

    @cached_property
    def _mean(self) -> Floats:
        mean: Floats = self.pictures.mean(axis=0, dtype=np.float64).astype(np.float32).reshape(-1)
        return mean

    def read(self, start: int, stop: int) -> Floats:
        features = np.ones((stop - start, self.shape[1]), dtype=np.float32)
        features[:, :-1] = self.pictures[start:stop].reshape(stop - start, -1) - self._mean
        return features


def _agree(others: Others, labels: Labels) -> float:
    """Return the share of the labelled images whose nearest other has their label."""
    given = labels[others.asked]
    if not others.rows.shape[1] or not (given >= 0).any():
        return 0.0
    return float((labels[others.rows[:, 0]] == given)[given >= 0].mean())
