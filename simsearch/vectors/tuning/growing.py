"""What a graph loses as rows join it: its recall on queries that it has never seen falls while its settings stay.

A list or a code of more rows is searched as before; a graph of more rows is walked as far as before and sees less of
them. So a graph is checked over all rows but those that verify, and what the rows that joined since it was tuned cost
it is taken to be lost once more for those that still are to join, by the logarithm of their number.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from simsearch.vectors.search import Search
from simsearch.vectors.tuning.held import Without
from simsearch.vectors.tuning.sweep import Point, measure
from simsearch.vectors.tuning.truth import ask, unit_blocks
from simsearch.vectors.tuning.tuning import Built, Tuning, none_own

_MOST_JOINING = 0.02  # of the rows: fewer change a graph by less than a check can tell


class Growing:
    """A graph over all rows but those that verify, between the one that was tuned and the one that is served."""

    def __init__(self, run: Tuning, best: Built) -> None:
        rest = Without(run.source, run.rows, np.sort(run.held.verifying))
        self.rows = rest.shape[0]
        self._index, _ = run.build(best.candidate, rest, self.rows)
        run.progress(f"exact neighbours of {len(run.verifying):,} rows in {self.rows:,}")
        self._questions = ask(run.verifying, none_own(run.verifying), unit_blocks(rest, self.rows, None))
        self._further = math.log(run.rows / self.rows) / math.log(self.rows / run.rest.shape[0])

    @staticmethod
    def matters(run: Tuning, best: Built) -> bool:
        """Return whether so many rows are held out that a graph over all of them is another."""
        return best.candidate.is_graph and len(run.held.rows()) > _MOST_JOINING * run.rows

    def check(self, before: Point, search: Search, z: float) -> Point:
        """Return what the rows that verify find, carried on to all rows; `before`: what they found as it was tuned."""
        now = measure(self._index, self._questions, search, z=z)
        lost = max(0.0, before.recall - now.recall) * self._further
        recall, low, high = (max(0.0, value - lost) for value in (now.recall, now.low, now.high))
        return replace(now, recall=recall, low=low, high=high)
