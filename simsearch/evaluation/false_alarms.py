"""What a score means: how often two images of different labels score as much. Pure Python, for the cold query."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

FALSE_ACCEPT_RATES = (0.1, 0.01, 0.001, 0.0001)  # that figures are given at
ROUNDING = 1e-6  # of a score: float32 sums of one pair differ by nearly that much between two matrix products


class Rate(NamedTuple):
    """How rare a score is: the share that scores as much; `at_most`: none of those that were looked at does."""

    share: float
    at_most: bool = False


class Shares:
    """Which share of `count` reaches a score, by a table of [score, share that is at least as high], scores falling."""

    def __init__(self, table: list[list[float]], count: int) -> None:
        self._table, self._least = table, 1 / count
        self._falling = [-score for score, _ in table]

    def reached(self, score: float) -> Rate:
        """Return the share that scores at least `score`, in [1 / count, 1].

        Between two scores of the table the share is interpolated linearly, so that a nearer image never has a higher
        rate; beyond the highest it is the least that so many can show. What is looked up is 1e-6 below `score`: the
        table's scores come from another matrix product, and float32 sums of one pair differ by nearly that much between
        two products, which must not give a pair that ties with the table's a rate too low.
        """
        score -= ROUNDING
        after = bisect_left(self._falling, -score)  # the first entry that is not above the score
        if after == len(self._table):
            return Rate(1.0)
        reached, share = self._table[after]
        if reached < score:
            above, less = self._table[after - 1] if after else (score, 0.0)
            share = less + (above - score) / (above - reached) * (share - less)
        return Rate(float(max(self._least, share)), at_most=after == 0 and reached < score)

    def least_score(self, share: float) -> float | None:
        """Return the lowest score that at most a `share` reaches; None where so few cannot show one so small."""
        if share < self._least:
            return None
        above, less = self._table[0][0] + ROUNDING, 0.0  # just beyond the highest
        for score, reached in self._table:
            if reached > share:
                down = (share - less) / (reached - less) if less else 0.0
                return above - down * (above - score) + ROUNDING
            above, less = score, reached
        return above


def pair_shares(found: dict[str, Any]) -> Shares:
    """Return the shares of different-label pairs, by far.json: "pairs", how many were counted, and "table"."""
    return Shares(found["table"], found["pairs"])


def stranger_shares(found: dict[str, Any]) -> Shares:
    """Return the shares of val queries by their best hit once their own label is out of the gallery.

    By strangers.json: "images", how many there are, and "table".
    """
    return Shares(found["table"], found["images"])
