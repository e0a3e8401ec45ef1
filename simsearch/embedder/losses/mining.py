"""Which triplets of a batch count: the miners, and the one plain thing in which every miner and loss meet.

A miner takes distances (B, B) and labels (B,), and returns a `Selection`. The rules, d_p and d_n the distances from an
anchor to a positive and to a negative, always d_n < d_p + margin (other triplets have no loss):

    all                 every triplet
    hard                d_n <= d_p; "hard" of pytorch-metric-learning
    batch_hard          per anchor the farthest positive and the nearest negative (Hermans, Beyer, Leibe 2017, arXiv
                        1703.07737, equation 5)
    semi_hard           per anchor-positive pair the nearest negative with d_n > d_p (FaceNet: Schroff, Kalenichenko,
                        Philbin 2015, arXiv 1503.03832, section 3.2 and equation 4)
    semi_hard_all       every triplet with d_n > d_p; "semihard" of pytorch-metric-learning
    distance_weighted   per anchor-positive pair one drawn negative; in distance_weighted.py

Why semi-hard: one of the texts that this project implements words FaceNet's rule the other way round, "do not use
triplets with d_n > d_p". That keeps the hardest negatives only (`hard`), whose gradient drives all embeddings to one
point, where every distance is equal and the loss stays at the margin. The purpose that it gives, not to collapse to
loss = margin, is that of FaceNet's rule: a negative counts when it is farther than the positive, yet inside the margin.

No miner lists triplets: each row of distances is sorted once, a pair's negatives are then the places from `start` to
`stop` of its row, and the triplets' loss is a weighted sum of distances whose weights are counts. That takes
O(B^2 log B) time and O(B^2) memory, in blocks of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

# Rows of a batch are worked on in blocks of at most so many distances (some 30 bytes each while they are).
BLOCK_CELLS = 2**22
# Features shorter than this are not stretched to length 1: a zero feature then has a finite gradient.
SHORTEST = 1e-6


class Selection(NamedTuple):
    """The tuples that a miner chose, summed up as the distances that they compare; each has a loss above 0.

    A tuple costs (a within-class distance - a between-class distance + margin). With `weights` (B, B) = (how often a
    distance is the first of the two - how often it is the second) / `tuples`, the mean cost is the sum of
    weights x distances, plus margin. `tuples` () is their number; `active` () the share of anchor-positive pairs that
    have one (batch_hard: of anchors with a positive and a negative). All three in the type of the distances.
    """

    weights: Tensor
    tuples: Tensor
    active: Tensor


class Rule(NamedTuple):
    """Which between-class distances d_n a within-class distance d_p is compared with, besides d_n < d_p + margin."""

    farther: bool = False  # only d_n > d_p
    not_farther: bool = False  # only d_n <= d_p
    nearest: bool = False  # only the least of those
    farthest_positive: bool = False  # of all d_p of an anchor only the largest


RULES = {
    "all": Rule(),
    "hard": Rule(not_farther=True),
    "batch_hard": Rule(nearest=True, farthest_positive=True),
    "semi_hard": Rule(farther=True, nearest=True),
    "semi_hard_all": Rule(farther=True),
}


def unit(features: Tensor) -> Tensor:
    """Return embeddings (B, dim) of features (B, dim): each divided by its L2 norm, or by 1e-6 where that is longer."""
    norms: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / norms.clamp_min(SHORTEST)


def squared_distances(embeddings: Tensor) -> Tensor:
    """Return squared L2 distances (B, B) of embeddings (B, dim), in their type, for comparing: without gradient.

    Equal embeddings have equal distances to the last bit, whatever their rows, and d(a, b) = d(b, a): a negative that
    equals the positive is not farther. The faster 2 - 2 x y by a matrix product does not promise that, since the edge
    of a matrix is summed in another order.
    """
    embeddings = embeddings.detach()
    squares = embeddings.new_empty(len(embeddings), len(embeddings))
    for rows in row_blocks(len(embeddings)):
        exact = torch.cdist(embeddings[rows], embeddings, compute_mode="donot_use_mm_for_euclid_dist")
        torch.square(exact, out=squares[rows])
    return squares


def row_blocks(size: int) -> Iterator[slice]:
    """Yield slices that cover range(size), each of at most BLOCK_CELLS / size rows, and at least one row."""
    step = max(1, BLOCK_CELLS // max(1, size))
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))


def triplets(distances: Tensor, labels: Tensor, margin: float, rule: Rule) -> Selection:
    """Return the triplets of a rule: `distances` (B, B) float, lower is nearer, `labels` (B,) int; `margin` above 0.

    Among equally near negatives, and equally far positives, the first one is taken where the rule takes one.
    """
    weights = torch.empty_like(distances)
    count, used, pairs = distances.new_zeros(3, dtype=torch.float64)
    for rows in sorted_rows(distances, labels, margin, rule):
        count += add_up(weights, rows)
        used += (rows.stop > rows.start).sum()
        pairs += rows.pairs.sum()
    return selection(weights, count, used / pairs.clamp_min(1))


def selection(weights: Tensor, count: Tensor, active: Tensor) -> Selection:
    """Return a Selection of weights that are not yet divided by the number of tuples; they are changed in place."""
    weights.div_(count.clamp_min(1))
    return Selection(weights, count.to(weights.dtype), active.to(weights.dtype))


class Rows(NamedTuple):
    """The anchors of a block of R rows: their negatives from the nearest on, and each pair's window of them."""

    span: slice
    order: Tensor  # (R, B) int64: the batch by distance; the anchor's own class comes last
    ranked: Tensor  # (R, B): distances in that order; of the own class: inf
    mates: Tensor  # (R, K) int64: the anchor's own class, K the size of the largest class
    pairs: Tensor  # (R, K) bool: where that is a positive, and the rule looks at it; else the anchor itself, or filling
    wanted: Tensor  # (R, K): d_p
    start: Tensor  # (R, K) int64: the first of the negatives' places that the pair takes
    stop: Tensor  # (R, K) int64: the place after the last one; start = stop where the pair takes none


def sorted_rows(distances: Tensor, labels: Tensor, margin: float, rule: Rule) -> Iterator[Rows]:
    """Yield all anchors in blocks of rows."""
    size = len(labels)
    by_class = labels.argsort(stable=True)
    grouped = labels[by_class]
    first = torch.searchsorted(grouped, labels)
    members = torch.searchsorted(grouped, labels, right=True) - first
    step = torch.arange(int(members.max()) if size else 0, device=labels.device)
    for span in row_blocks(size):
        block = distances[span]
        own = labels[span, None] == labels
        ranked, order = block.masked_fill(own, math.inf).sort(dim=1, stable=True)
        mates = by_class[(first[span, None] + step).clamp_max(size - 1)]
        anchors = torch.arange(span.start, span.stop, device=labels.device)
        pairs = (step < members[span, None]) & (mates != anchors[:, None])
        wanted = block.gather(1, mates)
        if rule.farthest_positive:
            farthest = wanted.masked_fill(~pairs, -1).argmax(dim=1, keepdim=True)
            pairs &= (step == farthest) & ranked[:, :1].isfinite()
        start, stop = window(ranked, wanted, margin, rule)
        yield Rows(span, order, ranked, mates, pairs, wanted, start, torch.where(pairs, stop, start))


def window(ranked: Tensor, wanted: Tensor, margin: float, rule: Rule) -> tuple[Tensor, Tensor]:
    """Return places (..., K) of the first and after the last of rising `ranked` (..., B) that each `wanted` takes."""
    farther = torch.searchsorted(ranked, wanted, right=True)
    start = farther if rule.farther else torch.zeros_like(farther)
    stop = farther if rule.not_farther else torch.searchsorted(ranked, wanted + margin)
    if rule.nearest:
        stop = torch.minimum(stop, start + 1)
    return start, torch.maximum(start, stop)


def add_up(weights: Tensor, rows: Rows, worth: Tensor | None = None) -> Tensor:
    """Set the block's rows of `weights` (B, B) to signed counts; return the number of tuples, () float64.

    With `worth` (R, B) a negative, by its column, counts so many times instead of once.
    """
    counts = (rows.stop - rows.start).to(weights.dtype)
    # A pair enters at its first place and leaves after its last: running sums say how many pairs take each place.
    steps = weights.new_zeros(len(rows.order), weights.shape[1] + 1)
    one = steps.new_ones(()).expand_as(counts)
    taken = steps.scatter_add_(1, rows.start, one).scatter_add_(1, rows.stop, -one)[:, :-1].cumsum(1)
    if worth is not None:
        ranked = worth.gather(1, rows.order)
        until = torch.nn.functional.pad(ranked.cumsum(1, dtype=torch.float64), (1, 0))
        counts = (until.gather(1, rows.stop) - until.gather(1, rows.start)).to(weights.dtype)
        taken *= ranked
    weights[rows.span].scatter_(1, rows.order, -taken).scatter_add_(1, rows.mates, counts)
    return counts.sum(dtype=torch.float64)
