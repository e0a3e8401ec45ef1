"""Triplets and quadruplets by the book: loops over all tuples, which the tests of miners and losses compare with.

`distances` is anything indexed [i][j], compared in the precision that it has; a tuple is (pair, pair), and costs
distance of the first - distance of the second + margin. Only tuples with a cost above 0 are returned.
"""


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
