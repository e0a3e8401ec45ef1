"""What two nights have in common: the queries, the figures that are tested, and the differences query by query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Doubles, Integers
from simsearch.bench.judging.metrics import Key, kept_name, tested
from simsearch.bench.records import Result

Pair = tuple[Result, Result]  # of the accepted night, of tonight


@dataclass(frozen=True)
class Compared:
    """A figure of a cell: its means, and the differences of the shared queries (n,), NaN where one has no value.

    `images`: how many they are over, where a difference is of a group of images.
    """

    cell: str
    key: Key
    before: float
    after: float
    differences: Doubles
    images: int | None = None

    @property
    def over(self) -> int:
        """Return how many queries, or images, it is over."""
        return len(self.tested) if self.images is None else self.images

    @property
    def tested(self) -> Doubles:
        """Return the differences of the queries that have one."""
        return self.differences[~np.isnan(self.differences)]


def shared_queries(before: Result, after: Result) -> tuple[Integers, Integers]:
    """Return where the queries that both have stand in each, (n,) and (n,), in the order of `after`."""
    place = {name: i for i, name in enumerate(before.queries)}
    found = [(place[name], i) for i, name in enumerate(after.queries) if name in place]
    columns = np.array(found, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0], columns[:, 1]


def compared(before: Result, after: Result) -> Iterator[Compared]:
    """Yield what is tested of a cell, over the queries that both nights have."""
    one, other = shared_queries(before, after)
    if not len(one):
        return
    near = None
    if "boundary" in before.per_query and "boundary" in after.per_query:
        # Chosen by either night's reference: neither may leave out the queries that the other found hard.
        near = (before.per_query["boundary"][one] > 0) | (after.per_query["boundary"][other] > 0)
    for key in gated(before, after):
        name, scope = kept_name(*key[:2]), key[2]
        values = before.per_query[name][one], after.per_query[name][other]
        usable = ~(np.isnan(values[0]) | np.isnan(values[1]))
        if scope == "boundary":
            usable &= False if near is None else near
        if usable.any():
            old, new = (np.where(usable, column, np.nan) for column in values)
            # Shares of k as floats: 0.3 - 0.2 and 0.2 - 0.1 must tie.
            differences = np.round(new - old, 9)
            yield Compared(after.cell.name, key, float(np.nanmean(old)), float(np.nanmean(new)), differences)


def gated(before: Result, after: Result) -> list[Key]:
    """Return which figures are tested: those of `tested` that both nights have, at the k that both have."""
    both = before.per_query.keys() & after.per_query.keys()
    ks = sorted(int(name.partition("@")[2]) for name in both if name.startswith("ann_recall@"))
    return [key for key in tested(ks) if kept_name(*key[:2]) in both] if ks else []
