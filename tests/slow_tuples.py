"""Triplets and quadruplets by the book: loops over all tuples, which the tests of miners and losses compare with.

`distances` is anything indexed [i][j], compared in the precision that it has; a tuple is (pair, pair), and costs
distance of the first - distance of the second + margin. Only tuples with a cost above 0 are returned.
"""

import torch
from hypothesis import strategies as st

from simsearch.embedder.losses.distance_weighted import NONZERO_LOSS_CUTOFF

LABELS = torch.tensor([0, 2, 1, 0, 0, 3, 1, 2, 1, 0, 2, 1, 0])


def pairs(labels):
    return [(a, p) for a in range(len(labels)) for p in range(len(labels)) if a != p and labels[a] == labels[p]]


def anchor_pairs(distances, labels, mining):
    """The anchor-positive pairs that a miner looks at."""
    if mining != "batch_hard":
        return pairs(labels)
    found = []
    for a in range(len(labels)):
        mine = [pair for pair in pairs(labels) if pair[0] == a]
        if mine:
            found.append(max(mine, key=lambda pair: distances[pair[0]][pair[1]]))  # the first of equal ones
    return found


def choose(mining, within, candidates, margin):
    """Of candidates (distance, tuple) those that a rule compares with a within-class distance."""
    if mining in ("semi_hard", "semi_hard_all"):
        candidates = [one for one in candidates if one[0] > within]
    if mining == "hard":
        candidates = [one for one in candidates if one[0] <= within]
    if mining in ("semi_hard", "batch_hard"):
        candidates = sorted(candidates, key=lambda one: one[0])[:1]  # stable: the first of equal ones
    return [one for one in candidates if one[0] < within + margin]


def triplets(distances, labels, margin, mining):
    """[((a, p), (a, n))] of a rule."""
    found = []
    for a, p in anchor_pairs(distances, labels, mining):
        negatives = [(distances[a][n], n) for n in range(len(labels)) if labels[n] != labels[a]]
        found += [((a, p), (a, n)) for _, n in choose(mining, distances[a][p], negatives, margin)]
    return found


def pair_quadruplets(distances, labels, margin, mining):
    """[((a, p), (n1, n2))] of the form `paper`."""
    found, size = [], len(labels)
    for a, p in anchor_pairs(distances, labels, mining):
        others = [
            (distances[i][j], (i, j))
            for i in range(size)
            for j in range(i + 1, size)
            if len({labels[a], labels[i], labels[j]}) == 3
        ]
        found += [((a, p), pair) for _, pair in choose(mining, distances[a][p], others, margin)]
    return found


def third_class_triplets(distances, labels, margin, mining):
    """[((a, p), (a, n2))] of the form `text`, one for every n1 that goes with it."""
    found, size = [], len(labels)
    for a, p in anchor_pairs(distances, labels, mining):
        negatives = [(distances[a][n], n) for n in range(size) if labels[n] != labels[a]]
        if mining in ("semi_hard", "batch_hard"):
            first = [n for _, n in choose(mining, distances[a][p], negatives, margin)]
        else:
            first = [n for _, n in negatives]
        for n1 in first:
            third = [one for one in negatives if labels[one[1]] != labels[n1]]
            found += [((a, p), (a, n2)) for _, n2 in choose(mining, distances[a][p], third, margin)]
    return found


def mean_cost(distances, tuples, margin):
    """The mean cost of tuples; 0 (with a gradient of zeros) for none."""
    costs = [distances[i][j] - distances[k][m] + margin for (i, j), (k, m) in tuples]
    return sum(costs) / len(costs) if costs else 0 * distances[0][0]


@st.composite
def tied_batches(draw, most=10):
    """Symmetric distances with many ties, all multiples of an eighth, so that sums are exact; labels; a margin."""
    size = draw(st.integers(1, most))
    labels = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    cells = draw(st.lists(st.integers(0, 8), min_size=size * size, max_size=size * size))
    distances = torch.tensor(cells, dtype=torch.float64).reshape(size, size).triu(1) / 8
    return distances + distances.T, torch.tensor(labels), draw(st.sampled_from([0.125, 0.2, 0.5, 2.0]))


def counts_of(tuples, size):
    counts = torch.zeros(size, size, dtype=torch.float64)
    for within, between in tuples:
        counts[within] += 1
        counts[between] -= 1
    return counts


def active_of(tuples, pairs):
    return len({within for within, _ in tuples}) / max(1, len(pairs))


def slow_probabilities(distances, labels, dim):
    """Wu et al. 2017, section 4.1, in plain numbers."""
    rows = []
    for a in range(len(labels)):
        row = []
        for n in range(len(labels)):
            d = float(distances[a, n]) ** 0.5
            inverse = [1 / (x ** (dim - 2) * (1 - x * x / 4) ** ((dim - 3) / 2)) for x in (max(d, 0.01), 0.5)]
            row.append(min(inverse) if labels[n] != labels[a] and d < NONZERO_LOSS_CUTOFF else 0.0)
        rows.append([weight / (sum(row) or 1) for weight in row])
    return torch.tensor(rows, dtype=torch.float64)
