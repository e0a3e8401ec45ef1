"""What a searcher is asked, and what it answers: values, which the command line, a server and Python share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simsearch.evaluation.false_alarms import ROUNDING

if TYPE_CHECKING:
    from simsearch.search.hit import Hit

MAX_FAR = 0.001


@dataclass(frozen=True, slots=True)
class Question:
    """How many hits are wanted, and which: of at least `min_score`, no likelier a false alarm than `max_far`.

    `collapse`: one of each group of near-identical hits, with how many more it stands for.
    """

    k: int = 10
    min_score: float | None = None
    max_far: float | None = None
    collapse: bool = False

    def refuses(self, hit: Hit) -> str | None:
        """Return what a hit fails, "min_score" or "max_far", or None; a score may be less by what rounding takes."""
        if self.min_score is not None and hit.score < self.min_score - ROUNDING:
            return "min_score"
        rate = hit.false_accept_rate
        return "max_far" if self.max_far is not None and (rate is None or rate > self.max_far) else None


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of one query, nearest first.

    `widened`: the index as it is set finds too few, and was searched wider or exactly. `left_out` is how many of the
    nearest were refused, by what they fail. `milliseconds` are those of the query, or its share of a batch.
    """

    hits: tuple[Hit, ...]
    widened: bool
    left_out: dict[str, int]
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether two images are of the same label; `same` is None where there are too few pairs to tell."""

    score: float
    false_accept_rate: float
    same: bool | None
