"""Rows held out of every index that is tried: what queries are that an index has never seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simsearch.arrays import Floats, Integers
from simsearch.vectors.tuning.truth import Source

ENOUGH = 1_000  # val rows; where there are fewer, other rows join them
MOST = 4_000  # half to tune with, half to verify with
_SHARE = 5  # at most a fifth of the rows: an index over the others is to be like one over all


@dataclass(frozen=True)
class Held:
    """Rows (n,) that tune, rows (n,) that verify, and how many of both are val rows."""

    tuning: Integers
    verifying: Integers
    val: int

    def rows(self) -> Integers:
        """Return both, ascending."""
        return np.sort(np.concatenate([self.tuning, self.verifying]))

    def to_json(self) -> dict[str, int]:
        """Return the counts: "tuning", "verifying", and "val" and "others" of both."""
        both = len(self.tuning) + len(self.verifying)
        return {
            "tuning": len(self.tuning),
            "verifying": len(self.verifying),
            "val": self.val,
            "others": both - self.val,
        }


def hold_out(rows: int, val: Integers, seed: int) -> Held:
    """Return which of `rows` rows are held out, at most 4,000 and a fifth: val rows, and others where these are few."""
    random = np.random.default_rng(seed)
    most = min(MOST, rows // _SHARE)
    val = np.unique(val[(val >= 0) & (val < rows)]).astype(np.int64)
    chosen = random.permutation(val)[:most]
    own = len(chosen)
    if own < ENOUGH:
        others = np.setdiff1d(np.arange(rows), val, assume_unique=True)
        chosen = np.concatenate([chosen, random.choice(others, min(most - own, len(others)), replace=False)])
    chosen = random.permutation(chosen)
    return Held(chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :], own)


class Without:
    """The first `rows` rows of a source without those held out (ascending), numbered anew."""

    def __init__(self, source: Source, rows: int, held: Integers) -> None:
        self._source, self._held = source, held
        self._before = held - np.arange(len(held))  # rows that are kept before each
        self.shape = (rows - len(held), source.shape[1])

    def origin(self, kept: Integers) -> Integers:
        """Return the rows of the source that are `kept` here."""
        found: Integers = kept + np.searchsorted(self._before, kept, side="right")
        return found

    def read(self, start: int, stop: int) -> Floats:
        """Return the features (stop - start, D)."""
        if start >= stop:
            return np.empty((0, self.shape[1]), dtype=np.float32)
        first, last = self.origin(np.array([start, stop - 1]))
        kept = np.ones(last + 1 - first, dtype=bool)
        low, high = np.searchsorted(self._held, (first, last + 1))
        kept[self._held[low:high] - first] = False
        block: Floats = self._source.read(int(first), int(last) + 1)[kept]
        return block
