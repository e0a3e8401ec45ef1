"""Distance-weighted negatives: one for each anchor-positive pair, near and far ones alike likely.

Wu, Manmatha, Smola, Krähenbühl 2017, "Sampling Matters in Deep Embedding Learning", arXiv 1706.07567, section 4.1.
Points spread evenly over a sphere lie at distances of density q(d) ~ d^(dim - 2) (1 - d^2 / 4)^((dim - 3) / 2), d the
Euclidean distance: nearly all at sqrt(2). A negative is drawn with probability proportional to min(lambda, 1 / q(d)),
lambda = 1 / q(0.5), so that noise among the nearest does not rule; at d >= 1.4 it is never drawn (its loss is 0 in
nearly all cases). A row without a negative below 1.4 has no weights: its pairs draw nothing and count as idle.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from simsearch.embedder.losses.mining import Selection, row_blocks, selection

CUTOFF = 0.5  # Euclidean; nearer negatives are as likely as one at this distance
NONZERO_LOSS_CUTOFF = 1.4


class Pairs(NamedTuple):
    """Pairs of images of one batch: two index tensors (T,) int64."""

    first: Tensor
    second: Tensor


def drawing_weights(distances: Tensor, own: Tensor, dim: int) -> Tensor:
    """Return (R, B) float64, proportional to the probabilities within a row; the largest of a row is 1, or all are 0.

    `distances` (R, B) squared L2; `own` (R, B) bool: the anchor's own class, which is never drawn.
    """
    squares = distances.double().clamp(CUTOFF**2, NONZERO_LOSS_CUTOFF**2)
    # In logarithms: at 512 dimensions q spans more than a float can hold. log d^(dim - 2) = (dim - 2) / 2 log d^2.
    logs = -(dim - 2) / 2 * squares.log() - (dim - 3) / 2 * torch.log1p(-squares / 4)
    logs.masked_fill_(own | (distances >= NONZERO_LOSS_CUTOFF**2), -math.inf)
    most = logs.amax(dim=1, keepdim=True)
    return (logs - most.masked_fill(most == -math.inf, 0)).exp()


class Distribution:
    """The distribution of every row of a batch, ready for drawing with one class left out.

    Columns are sorted by class, so leaving a class out takes one interval out of a row's running sums.
    """

    def __init__(self, distances: Tensor, labels: Tensor, dim: int) -> None:
        """`distances` (B, B) squared L2, `labels` (B,) int; the table holds B x B float64."""
        self.labels = labels
        self.by_class = labels.argsort(stable=True)
        grouped = labels[self.by_class]
        self.start = torch.searchsorted(grouped, labels)
        self.stop = torch.searchsorted(grouped, labels, right=True)
        # A leading column of zeros: the sum before place i is until[:, i].
        self.until = distances.new_zeros(len(labels), len(labels) + 1, dtype=torch.float64)
        for span in row_blocks(len(labels)):
            weights = drawing_weights(distances[span], labels[span, None] == labels, dim)
            torch.cumsum(weights[:, self.by_class], dim=1, out=self.until[span, 1:])

    def draw(self, rows: Tensor, without: Tensor) -> tuple[Tensor, Tensor]:
        """Return for each of `rows` (T,) an image (T,) int64 from its row, and whether there was any (T,) bool.

        The class of the image `without` (T,) is left out; the row's own class always is. Uses torch's global random
        state, one float64 a row.
        """
        start, stop = self.start[without], self.stop[without]
        before, until = self.until[rows, start], self.until[rows, stop]
        whole = self.until[rows, -1]
        left = before + (whole - until)
        sums = left * torch.rand(len(rows), dtype=torch.float64, device=rows.device)
        # The bounds hold what rounding could spoil: never a place inside the interval, never one after the end.
        sums = torch.where(sums < before, sums, torch.maximum(sums + (until - before), until))
        sums = torch.minimum(sums, torch.nextafter(whole, torch.zeros_like(whole)))
        drawn = self.by_class[_place_of(self.until, rows, sums)]
        # Running sums made in parallel may rise by a rounding error where there is no weight: look once more.
        allowed = (self.labels[drawn] != self.labels[without]) & (self.labels[drawn] != self.labels[rows])
        return drawn, allowed & (left > 0)


def _place_of(until: Tensor, rows: Tensor, sums: Tensor) -> Tensor:
    """Return the largest place i (T,) with until[row, i] <= sum and a weight, by halving: all rows at once."""
    low = torch.zeros_like(rows)
    high = torch.full_like(rows, until.shape[1] - 1)  # until[row, low] <= sum < until[row, high]
    for _ in range((until.shape[1] - 1).bit_length()):
        middle = (low + high) // 2
        right = until[rows, middle] <= sums
        low, high = torch.where(right, middle, low), torch.where(right, high, middle)
    return low


def drawn_triplets(distances: Tensor, labels: Tensor, margin: float, dim: int) -> Selection:
    """Return one drawn triplet for each anchor-positive pair: `distances` (B, B) squared L2, `labels` (B,) int."""
    within, negatives, drawn = draw_negatives(Distribution(distances, labels, dim), labels)
    return drawn_tuples(distances, within, Pairs(within.first, negatives), drawn, margin)


def draw_negatives(table: Distribution, labels: Tensor) -> tuple[Pairs, Tensor, Tensor]:
    """Return all positive pairs (T,), the negative drawn for each (T,) int64, and whether there was one (T,) bool."""
    same = labels[:, None] == labels
    same.fill_diagonal_(False)
    anchors, positives = same.nonzero(as_tuple=True)
    negatives, drawn = table.draw(anchors, anchors)
    return Pairs(anchors, positives), negatives, drawn


def drawn_tuples(distances: Tensor, within: Pairs, between: Pairs, drawn: Tensor, margin: float) -> Selection:
    """Return the tuples (within[t], between[t]) as a Selection; those not drawn[t], or without loss, are idle."""
    used = drawn & (distances[between] < distances[within] + margin)
    count = used.sum(dtype=torch.float64)
    ones = used.to(distances.dtype)
    weights = torch.zeros_like(distances)
    weights.index_put_(within, ones, accumulate=True).index_put_(between, -ones, accumulate=True)
    return selection(weights, count, count / max(1, len(used)))
