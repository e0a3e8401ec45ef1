"""What a searcher is asked, and what it answers: values, which the command line, a server and Python share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple

from simsearch.console import shorten
from simsearch.errors import RecipeError
from simsearch.evaluation.false_alarms import ROUNDING

MAX_FAR = 0.001


class Hit(NamedTuple):
    """One neighbour: rank from 1, score (inner product of embeddings, -1 to 1), and which image it is.

    `path` is None where the file is not on this machine; `gone` tells that the folder is, and the file is not in it.
    `same_file` tells that it is the query itself, byte for byte.
    `false_accept_rate` is the share of different-label pairs that score at least as much, `stranger_rate` that of val
    queries whose best hit does once their own label is out of the gallery; None where that is unknown. Each is
    `_at_most` so much where none of those that were looked at does.
    `alike` is how many more near-identical hits it stands for, None where hits are not collapsed.
    A tuple, as a frozen dataclass takes seven times as long to make (3.0 of 0.4 us), and a server makes thousands.
    """

    rank: int
    score: float
    label: str
    image: str
    path: str | None
    row: int
    same_file: bool = False
    false_accept_rate: float | None = None
    alike: int | None = None
    stranger_rate: float | None = None
    false_accept_rate_at_most: bool = False
    stranger_rate_at_most: bool = False
    gone: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the keys of a hit in `query --json`; "..._at_most" is there where it is true."""
        record: dict[str, Any] = {
            "rank": self.rank,
            "score": self.score,
            "label": self.label,
            "image": self.image,
            "path": self.path,  # none tells of a file that is gone, too
            "row": self.row,
            "same_file": self.same_file,
            "false_accept_rate": self.false_accept_rate,
        }
        if self.alike is not None:
            record["alike"] = self.alike
        record["stranger_rate"] = self.stranger_rate
        if self.false_accept_rate_at_most:
            record["false_accept_rate_at_most"] = True
        if self.stranger_rate_at_most:
            record["stranger_rate_at_most"] = True
        return record


@dataclass(frozen=True, slots=True)
class Question:
    """How many hits are wanted, and which: of at least `min_score`, no likelier a false alarm than `max_far`.

    `collapse`: one of each group of near-identical hits, with how many more it stands for. `where`: only images that
    pass a filter, as "label = apple" (where.py); `not_self`: not the query itself, the same bytes or the same file.
    Raises RecipeError for a `k` below 1, a `min_score` that is no number, a `max_far` that is no share, and a `where`
    that is no text.
    """

    k: int = 10
    min_score: float | None = None
    max_far: float | None = None
    collapse: bool = False
    where: str | None = None
    not_self: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _checked_count(self.k))
        if self.min_score is not None:
            object.__setattr__(self, "min_score", _checked_number(self.min_score, "min_score", "a score from -1 to 1"))
        if self.max_far is not None:
            object.__setattr__(self, "max_far", checked_share(self.max_far))
        if self.where is not None and not isinstance(self.where, str):
            raise _unlike("where", "a filter as text", self.where)

    @property
    def takes_all(self) -> bool:
        """Whether every hit is taken as it comes: none is refused, left out as the query itself, or collapsed."""
        return self.min_score is None and self.max_far is None and not (self.collapse or self.not_self)

    def taken(self, hits: list[Hit]) -> tuple[tuple[Hit, ...], dict[str, int]]:
        """Return those of the hits that it takes, and how many were refused, by what they fail."""
        if self.min_score is None and self.max_far is None:
            return tuple(hits), {}
        refused = [self.refuses(hit) for hit in hits]
        kept = tuple(hit for hit, why in zip(hits, refused, strict=True) if why is None)
        return kept, {why: refused.count(why) for why in refused if why}

    def refuses(self, hit: Hit) -> str | None:
        """Return what a hit fails, "min_score" or "max_far", or None; a score may be less by what rounding takes."""
        if self.min_score is not None and hit.score < self.min_score - ROUNDING:
            return "min_score"
        rate = hit.false_accept_rate
        return "max_far" if self.max_far is not None and (rate is None or rate > self.max_far) else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The label that the nearest images say, and whether the query is `known` to be of a label at all.

    `margin`: the label's share of their votes less that of the next, 0 to 1. Of images of labels that are not in the
    corpus the share `unknown_accepted` is said to be known, as found by those that `calibrated_on` names. `stale`: the
    command that finds it anew, where the corpus has changed by more than a tenth since.
    """

    label: str
    known: bool
    margin: float
    unknown_accepted: float
    calibrated_on: str
    stale: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `verdict` in `query --json`."""
        found = {
            "label": self.label,
            "known": self.known,
            "margin": round(self.margin, 4),
            "unknown_accepted": self.unknown_accepted,
            "calibrated_on": self.calibrated_on,
        }
        return found if self.stale is None else {**found, "stale": True, "command": self.stale}


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of one query, nearest first.

    `widened`: the index as it is set finds too few, and was searched wider or exactly. `left_out` is how many of the
    nearest were refused, by what they fail. `milliseconds` are those of the query, or its share of a batch.
    `verdict` is over all images that are searched, whatever the question takes of them; None where the build has none.
    """

    hits: tuple[Hit, ...]
    widened: bool
    left_out: dict[str, int]
    milliseconds: float = 0.0
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether two images are of the same label; `same` is None where there are too few pairs to tell."""

    score: float
    false_accept_rate: float
    same: bool | None
    false_accept_rate_at_most: bool = False


def checked_share(value: object) -> float:
    """Return `max_far` as a number; RecipeError for what is no share above 0 and up to 1."""
    wanted = "a share above 0 and up to 1"
    share = _checked_number(value, "max_far", wanted)
    if not 0 < share <= 1:
        raise _unlike("max_far", wanted, value)
    return share


def _checked_count(value: object) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise _unlike("k", "a whole number from 1", value)
    return int(value)


def _checked_number(value: object, name: str, wanted: str) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or math.isnan(value):
        raise _unlike(name, wanted, value)
    return float(value)


def _unlike(name: str, wanted: str, value: object) -> RecipeError:
    example = {"k": "k=10", "min_score": "min_score=0.8", "max_far": "max_far=0.001", "where": "where='label = apple'"}[
        name
    ]
    return RecipeError(f"{name}: expected {wanted}, seen {shorten(repr(value), 40)}", hint=f"as {example}")
