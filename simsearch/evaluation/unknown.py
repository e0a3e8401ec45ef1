"""From which strength on a query's label counts as known, such that 1 in 20 images of labels never seen passes.

A fifth of the labels is left out of what is searched, five times, and its images ask: they are of no label there. What
a head that was trained on those labels says of them would flatter it, so another is trained without them, and what it
says sets the threshold of the head in use (measured on labels that neither saw: docs/results.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simsearch.arrays import Doubles, Flags, Floats, Integers, Labels
from simsearch.console import Tell
from simsearch.evaluation.unknown_figures import Asked, figures
from simsearch.evaluation.vote import VOTERS, Vote, vote

ACCEPTED = 0.05  # of the images of labels that were never seen
FOLDS = LEAST_LABELS = 5
LEAST_IMAGES = 40  # with fewer, 1 in 20 is one image or none
_MOST, _LEAST, _PAIRS = 2_000, 200, 1 << 27  # images that ask at a time, and scores of theirs
_BLOCK = 1 << 24  # scores held at a time: 64 MB

Features = Callable[[Flags], Floats]


@dataclass(frozen=True)
class Rows:
    """The images: `labels` (N,), negative for none, in the first `gallery` rows those that are measured with.

    The first `searched` are in the index: beyond the gallery they are found, and never ask, as they are `queries`.
    `groups` (N,): no image finds one of its group, negative for one of its own.
    """

    labels: Labels
    gallery: int
    searched: int
    queries: Integers
    groups: Labels | None = None
    fold: Labels = field(init=False)  # of each row; -1 where its label is not in the gallery
    count: int = field(init=False)  # of labels

    def __post_init__(self) -> None:
        names = np.unique(self.labels[: self.gallery])
        names = names[names >= 0]
        order = np.random.default_rng(0).permutation(len(names))
        fold = np.full(int(self.labels.max(initial=-1)) + 2, -1, dtype=np.int64)  # the last: of no label
        fold[names[order]] = np.arange(len(names)) % FOLDS
        object.__setattr__(self, "fold", fold[self.labels])
        object.__setattr__(self, "count", len(names))

    def until(self, end: int, chosen: Flags) -> Integers:
        """Return the chosen of the first `end` rows."""
        return np.flatnonzero(chosen[:end])

    def sample(self, rows: Integers) -> Integers:
        """Return at most 2,000 of `rows`, seeded, and fewer where many are searched."""
        most = max(_LEAST, min(_MOST, _PAIRS // max(1, self.searched)))
        return rows if len(rows) <= most else np.sort(np.random.default_rng(0).permutation(rows)[:most])

    def ask(self, embeddings: Floats, rows: Integers, base: Integers) -> Vote:
        """Return what rows `base` say of `rows`, exactly."""
        there, of_base = embeddings[base], self.labels[base]
        k, size = min(VOTERS, len(base)), max(1, _BLOCK // max(1, len(base)))
        votes = []
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            scores = embeddings[part] @ there.T
            scores[part[:, None] == base] = -np.inf
            if self.groups is not None:
                of_part = self.groups[part][:, None]
                scores[(of_part >= 0) & (of_part == self.groups[base])] = -np.inf
            nearest = np.argpartition(scores, -k, axis=1)[:, -k:]
            found = np.take_along_axis(scores, nearest, axis=1)
            order = np.argsort(-found, axis=1, kind="stable")
            found = np.take_along_axis(found, order, axis=1)
            said = np.where(np.isfinite(found), of_base[np.take_along_axis(nearest, order, axis=1)], -1)
            votes.append(vote(found, said))
        return Vote(*map(np.concatenate, zip(*votes, strict=True))) if votes else vote(np.empty((0, 0)), rows[:, None])


def too_few(rows: Rows) -> str | None:
    """Return why no threshold can be had, None where it can."""
    images = int((rows.fold[: rows.gallery] >= 0).sum())
    if rows.count < LEAST_LABELS:
        return f"it has {rows.count} labels, and with fewer than {LEAST_LABELS} none can stand for those never seen"
    return f"it has {images} images that are searched, fewer than {LEAST_IMAGES}" if images < LEAST_IMAGES else None


def calibrate(rows: Rows, stored: Floats, without: Features | None, progress: Tell) -> dict[str, Any]:
    """Return threshold, figures and curves, ready for JSON, from unit embeddings `stored` (N, D) of all rows.

    `without(kept)` gives embeddings (N, D) by a head that was trained on the kept rows alone; None: the stored ones are
    of no label more than of others. Queries are asked with for the figures, which decide nothing. Memory: two copies of
    the embeddings, and 200 MB.
    """
    found = _Found(rows, stored, heads=without is not None)
    for fold in range(FOLDS):
        progress(f"a fifth of the labels left out, {fold + 1} of {FOLDS}")
        kept = (rows.fold >= 0) & (rows.fold != fold)
        found.add(fold, kept, stored if without is None else without(kept))
    return found.told()


class _Found:
    """What was asked, fold by fold."""

    def __init__(self, rows: Rows, stored: Floats, *, heads: bool) -> None:
        self.rows, self.stored, self.heads = rows, stored, heads
        self.ends = sorted({rows.gallery, rows.searched})
        self.unseen: dict[int, list[Doubles]] = {end: [] for end in self.ends}
        answered = rows.queries[rows.fold[rows.queries] >= 0]
        self.queries = rows.sample(answered)
        self.deployed, self.of_heads = Asked(), Asked()

    def add(self, fold: int, kept: Flags, embeddings: Floats) -> None:
        """Ask with what this fold leaves out."""
        rows = self.rows
        out = rows.sample(rows.until(rows.gallery, rows.fold == fold))
        for end in self.ends:
            self.unseen[end].append(rows.ask(embeddings, out, rows.until(end, kept)).strengths)
        base, of_fold = rows.until(rows.gallery, kept), rows.fold[self.queries]
        unknown = self.queries[of_fold == fold]
        self.deployed.unknown(rows.labels[unknown], rows.ask(self.stored, unknown, base))
        if self.heads:
            self.of_heads.unknown(rows.labels[unknown], rows.ask(embeddings, unknown, base))
            known = self.queries[of_fold == (fold + 1) % FOLDS]
            self.of_heads.known(rows.labels[known], rows.ask(embeddings, known, base))

    def told(self) -> dict[str, Any]:
        """Return the document."""
        rows, gallery, searched = self.rows, self.rows.gallery, self.rows.searched
        base = rows.until(gallery, rows.fold >= 0)
        self.deployed.known(rows.labels[self.queries], rows.ask(self.stored, self.queries, base))
        thresholds = {end: _passed_by(np.concatenate(self.unseen[end]), ACCEPTED) for end in self.ends}
        return {
            "threshold": thresholds[searched],
            "unknown_accepted": ACCEPTED,
            "labels": rows.count,
            "images": sum(map(len, self.unseen[gallery])),
            "corpus": searched,
            "fold_heads": figures(self.of_heads, thresholds[gallery]) if self.heads else None,
            "deployed": figures(self.deployed, thresholds[gallery]),
        }


def _passed_by(strengths: Doubles, share: float) -> float:
    """Return the least strength that at most this share of images is above, counted with one more (conformal)."""
    ordered = np.sort(strengths)[::-1]
    return float(ordered[min(max(0, int(share * (len(ordered) + 1)) - 1), len(ordered) - 1)])
