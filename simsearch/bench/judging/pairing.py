"""Which cells, and which queries, of two nights are held against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from simsearch.arrays import Integers
from simsearch.bench.records import Cell, Result

Pair = tuple[Result, Result]


def pair_cells(before: Sequence[Result], after: Sequence[Result]) -> tuple[list[Pair], list[Result], list[Result]]:
    """Return (pairs of (before, after), left over of before, left over of after), the pairs in the order of `after`.

    Cells of the same name are pairs. What is left is paired within recipe and seed: with the same factory (another
    search setting), then at the same place of the matrix (another factory), in order. So a setting that was changed in
    the matrix is a change, and not one cell that vanished and another that is new.
    """
    left_before, left_after = list(before), list(after)
    pairs: list[Pair] = []
    keys: tuple[Callable[[Cell], object], ...] = (
        lambda cell: cell.name,
        lambda cell: (cell.recipe, cell.seed, cell.factory, cell.slot[1]),
        lambda cell: (cell.recipe, cell.seed, cell.factory),
        lambda cell: (cell.recipe, cell.seed, cell.slot),
    )
    for key in keys:
        waiting: defaultdict[object, list[Result]] = defaultdict(list)
        for result in left_before:
            waiting[key(result.cell)].append(result)
        rest = []
        for result in left_after:
            if waiting[key(result.cell)]:
                pairs.append((waiting[key(result.cell)].pop(0), result))
            else:
                rest.append(result)
        left_after = rest
        left_before = [result for results in waiting.values() for result in results]
    place = {id(result): i for i, result in enumerate(after)}
    pairs.sort(key=lambda pair: place[id(pair[1])])
    return pairs, left_before, left_after


def shared_queries(before: Result, after: Result) -> tuple[Integers, Integers]:
    """Return where the queries that both have stand in each, (n,) and (n,), in the order of `after`."""
    place = {name: i for i, name in enumerate(before.queries)}
    found = [(place[name], i) for i, name in enumerate(after.queries) if name in place]
    columns = np.array(found, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]
