"""Which quadruplets of a batch count: the second term of the quadruplet loss, in two forms.

`paper` (Chen, Chen, Zhang, Huang 2017, arXiv 1704.01719, equation 6): an anchor-positive pair (a, p) is compared with
pairs {n1, n2} of two other classes, max(0, d(a, p) - d(n1, n2) + margin2). The rules of mining.py choose the pairs
{n1, n2} for (a, p), in place of negatives. {n1, n2} counts once, not in both orders, and so does {a, p} unless the rule
starts from anchors (batch_hard, distance_weighted): a mean is the same with every pair counted twice.

`text` (the wording of one of the texts that this project implements): max(0, d(a, p) - d(a, n2) + margin), n2 of a
third class besides those of a and n1. That is one more triplet: it compares distances from one anchor, and cannot mend
the fault which the loss was made for, within-class distances that exceed between-class distances elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from simsearch.embedder.losses.distance_weighted import Distribution, Pairs, draw_negatives, drawn_tuples
from simsearch.embedder.losses.mining import Rows, Rule, Selection, add_up, selection, sorted_rows, window


def pair_quadruplets(distances: Tensor, labels: Tensor, margin: float, rule: Rule) -> Selection:
    """Return the second term of `paper`: `distances` (B, B), `labels` (B,) int from 0 on; empty below 3 classes.

    All between-class pairs are sorted once, and "pairs without class c" is all of them less those with c, whose places
    stand in a list a class: O(B^2 log B) time, O(B^2) memory. Among equally near pairs the first one, by (n1, n2) with
    n1 < n2, is taken where the rule takes one.
    """
    within = _within_pairs(distances, labels, rule)
    between = _upper(labels[:, None] != labels)
    weights = torch.zeros_like(distances)
    if not len(within.first) or not len(between.first):
        return selection(weights, distances.new_zeros(()), distances.new_zeros(()))
    ranked, order = _sort(distances[between])
    between = Pairs(between.first[order], between.second[order])
    classes, wanted = labels[within.first], distances[within]
    places = _ClassPlaces(labels[between.first], labels[between.second])

    start, stop = window(ranked, wanted, margin, rule)
    if rule.nearest:
        start = places.next_without(classes, start)
        nearest = ranked[start.clamp_max(len(ranked) - 1)]
        stop = start + ((start < len(ranked)) & (nearest < wanted + margin))
    # Of the places from start to stop those with the pair's own class do not count.
    own_start, own_stop = places.index(classes, start), places.index(classes, stop)
    counts = (stop - start) - (own_stop - own_start)
    taken = _taken(start, stop, len(ranked))
    taken.index_add_(0, places.place, -_taken(own_start, own_stop, len(places.place)))
    weights[between] = -taken.to(weights.dtype)
    weights[within] = counts.to(weights.dtype)
    return selection(weights, counts.sum(dtype=torch.float64), (counts > 0).double().mean())


def third_class_triplets(distances: Tensor, labels: Tensor, margin: float, rule: Rule) -> Selection:
    """Return the second term in the form `text`: `distances` (B, B), `labels` (B,) int.

    Rules that take one negative take as n2 the nearest of the classes other than n1's, n1 being the first term's.
    The others take every (n1, n2) of different classes whose n2 fits the rule, so that n2 counts as often as there are
    images of a third class.
    """
    weights = torch.empty_like(distances)
    count, used, pairs = distances.new_zeros(3, dtype=torch.float64)
    members = (labels[:, None] == labels).sum(dim=1)
    for rows in sorted_rows(distances, labels, margin, rule):
        if rule.nearest:
            rows = _second_nearest_class(rows, labels, margin)
            count += add_up(weights, rows)
        else:
            third = len(labels) - members[rows.span, None] - members
            count += add_up(weights, rows, third.to(weights.dtype))
        used += (rows.stop > rows.start).sum()
        pairs += rows.pairs.sum()
    return selection(weights, count, used / pairs.clamp_min(1))


def drawn_quadruplets(
    distances: Tensor, labels: Tensor, margins: tuple[float, float], dim: int, form: str
) -> tuple[Selection, Selection]:
    """Return both terms with distance-weighted drawing: for each pair (a, p) one n1, and one n2 of a third class.

    n2 comes from the distribution of n1 (`paper`) or of a (`text`), with the class of a or n1 left out. `distances`
    (B, B) squared L2 of embeddings (B, dim), `labels` (B,) int, `margins` of the first and the second term.
    """
    table = Distribution(distances, labels, dim)
    within, negatives, drawn = draw_negatives(table, labels)
    first = drawn_tuples(distances, within, Pairs(within.first, negatives), drawn, margins[0])
    rows, without = (negatives, within.first) if form == "paper" else (within.first, negatives)
    others, third = table.draw(rows, without)
    return first, drawn_tuples(distances, within, Pairs(rows, others), drawn & third, margins[1])


def _within_pairs(distances: Tensor, labels: Tensor, rule: Rule) -> Pairs:
    """Return pairs (T,) of one class: each once, or each anchor with its farthest positive."""
    same = labels[:, None] == labels
    if not rule.farthest_positive:
        return _upper(same)
    same.fill_diagonal_(False)
    anchors = same.any(dim=1).nonzero().squeeze(1)
    return Pairs(anchors, distances.masked_fill(~same, -1).argmax(dim=1)[anchors])


def _upper(chosen: Tensor) -> Pairs:
    """Return the pairs i < j (T,) where `chosen` (B, B) is true, by (i, j)."""
    return Pairs(*chosen.triu(1).nonzero(as_tuple=True))


def _sort(distances: Tensor) -> tuple[Tensor, Tensor]:
    """Return distances (T,) in rising order, and their places before (T,) int64; equal ones stay in order.

    The bits of floats that are not negative rise with them, and torch sorts whole numbers many times faster (radix).
    """
    bits = distances.view(torch.int32 if distances.dtype == torch.float32 else torch.int64)
    ranked, order = bits.sort(stable=True)
    return ranked.view(distances.dtype), order


def _taken(start: Tensor, stop: Tensor, size: int) -> Tensor:
    """Return how many of the intervals [start, stop) (T,) hold each of the places 0 .. size - 1: (size,) int64."""
    steps = torch.zeros(size + 1, dtype=torch.int64, device=start.device)
    one = torch.ones_like(start)
    return steps.index_add_(0, start, one).index_add_(0, stop, -one)[:-1].cumsum(0)


class _ClassPlaces:
    """For every class the rising places, among G sorted between-class pairs, of those pairs that hold the class.

    `place` (2 G,) int64 has all lists one after another by class.
    """

    def __init__(self, first: Tensor, second: Tensor) -> None:
        self.size = len(first)
        # Place 0 stands at 0 and 1, place 1 at 2 and 3; small whole numbers are sorted fastest.
        self.owner, order = torch.stack([first, second], dim=1).flatten().int().sort(stable=True)
        self.place = order // 2
        self.keys = self.owner.long().mul_(self.size).add_(self.place)

    def index(self, classes: Tensor, place: Tensor) -> Tensor:
        """Return where in all lists (T,) the first of the class's places >= `place` (T,) in 0 .. G stands, or would."""
        return torch.searchsorted(self.keys, classes * self.size + place)

    def next_without(self, classes: Tensor, place: Tensor) -> Tensor:
        """Return the first place (T,) from `place` on of a pair that does not hold the class; G where there is none.

        In one class's list L the number of other pairs before L[j] is L[j] - j, and never falls. With L[i] the first
        entry >= `place`, the run of the class's pairs from `place` on ends where that number first exceeds place - i.
        """
        # j counts through all lists, so that L[j] - j lies in -2 G .. G: steps of 4 G keep the classes apart.
        apart = 4 * self.size
        others = self.owner.long().mul_(apart).add_(self.place)
        others -= torch.arange(len(others), device=others.device)
        before = self.index(classes, place)
        after = torch.searchsorted(others, classes * apart + place - before, right=True)
        return place + after - before


def _second_nearest_class(rows: Rows, labels: Tensor, margin: float) -> Rows:
    """Return the rows with each negative replaced by the nearest later one of another class, if within the margin."""
    size = len(labels)
    ordered = labels[rows.order]
    places = torch.arange(1, size, device=labels.device)
    changes = torch.where(ordered[:, 1:] != ordered[:, :-1], places, size - 1)
    # For each place the first later one where the class changes; the last place is the anchor's own class: inf.
    ends = changes.flip(1).cummin(dim=1).values.flip(1)
    ends = torch.nn.functional.pad(ends, (0, 1), value=size - 1)
    start = ends.gather(1, rows.start.clamp_max(size - 1))
    near = rows.ranked.gather(1, start) < rows.wanted + margin
    return rows._replace(start=start, stop=start + (near & (rows.stop > rows.start)))
