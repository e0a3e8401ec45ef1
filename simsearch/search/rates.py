"""How rare a false alarm is: what a build knows of it, and why not."""

from __future__ import annotations

import json
from typing import Any

from simsearch.artifacts import Artifact
from simsearch.errors import RecipeError
from simsearch.evaluation.false_alarms import Rate, pair_shares, stranger_shares
from simsearch.home import Build
from simsearch.images.records import ImageRecord
from simsearch.search.narrowing import Found
from simsearch.search.question import Hit, Judgement
from simsearch.statistics.intervals import wilson_interval

_UNKNOWN = (None, False)
_FILE = "far.json"
_STRANGERS = "strangers.json"
TICKS = (0.1, 0.01, 0.001)  # rates that a least score is chosen by


class Rates:
    """How rare a score is among pairs of different labels, and among strangers, as the evaluate artifact has it.

    A provisional build has none, and knows neither.
    """

    def __init__(self, build: Build, evaluated: Artifact | None) -> None:
        self._build = build
        # Builds of an earlier version have no such file; without labels it holds null.
        files = evaluated.manifest["files"] if evaluated else {}
        self._counted = _FILE in files
        self._far = _read(evaluated, _FILE) if self._counted else None
        strangers = _read(evaluated, _STRANGERS) if _STRANGERS in files else None
        self._pairs = None if self._far is None else pair_shares(self._far)
        self._strangers = None if strangers is None else stranger_shares(strangers)

    @property
    def least(self) -> float | None:
        """Return the lowest rate that so many different-label pairs can show; None where no rate is known."""
        return None if self._far is None else 1 / float(self._far["pairs"])

    def low(self, share: float) -> float:
        """Return the lower end of the 95 % interval (Wilson) of a share of so many different-label pairs."""
        return 0.0 if self.least is None else wilson_interval(share * (pairs := round(1 / self.least)), pairs)[0]

    @property
    def know_strangers(self) -> bool:
        """Whether the build knows how near images come whose label it does not have."""
        return self._strangers is not None

    @property
    def known_of_hits(self) -> bool:
        """Whether the build knows of a hit how rare its score is, in either way."""
        return self._pairs is not None or self._strangers is not None

    def of(self, score: float) -> Rate | None:
        """Return the share of different-label pairs that score at least `score`, in (0, 1]; None where unknown."""
        return None if self._pairs is None else self._pairs.reached(score)

    def least_scores(self) -> dict[float, float]:
        """Return, by rate, the lowest score that so few different-label pairs reach, as far as so many can show it."""
        if self._pairs is None:
            return {}
        found = {rate: self._pairs.least_score(rate) for rate in TICKS}
        return {rate: score for rate, score in found.items() if score is not None}

    def of_strangers(self, score: float) -> Rate | None:
        """Return the share of val queries that, without their own label, find a score of at least `score`; or None."""
        return None if self._strangers is None else self._strangers.reached(score)

    def hit(self, rank: int, score: float, record: ImageRecord, *, path: str | None, gone: bool, same: bool) -> Hit:
        """Return a hit with how rare its score is, as far as the build knows; `same`: it is the query's own file."""
        pairs, strangers = self.of(score) or _UNKNOWN, self.of_strangers(score) or _UNKNOWN
        return Hit(
            rank,
            score,
            record.label,
            record.image,
            path,
            record.row,
            same,
            pairs[0],
            None,
            strangers[0],
            pairs[1],
            strangers[1],
            gone,
        )

    def hits(self, found: Found) -> list[Hit]:
        """Return hits whose files were not looked for, of a query that is no file."""
        if not self.known_of_hits:
            return [
                Hit(rank, score, record.label, record.image, None, record.row)
                for rank, (score, _, record) in enumerate(found, 1)
            ]
        return [
            self.hit(rank, score, record, path=None, gone=False, same=False)
            for rank, (score, _, record) in enumerate(found, 1)
        ]

    def judged(self, score: float, max_far: float, *, identical: bool) -> Judgement:
        """Return whether two images of this score are of the same label, as at most `max_far` of pairs of others are.

        Files that are `identical` are. Raises RecipeError when the build knows no rates.
        """
        least, rate = self.known(), self.of(score)
        assert rate is not None  # as was checked
        share, at_most = rate
        # With few pairs a share above the limit may be chance: of 270 pairs 1 says little of one in a thousand.
        surely = least <= max_far or (share > least and self.low(share) > max_far)
        return Judgement(score, share, True if identical or share <= max_far else False if surely else None, at_most)

    def known(self) -> float:
        """Return the lowest rate. Raises RecipeError, which says why, when the build knows no rates."""
        if self.least is not None:
            return self.least
        hint = "--min-score cuts by the score itself"
        if self._build.provisional:
            state, then = self._build.standing()
            why, hint = f"it answers by {state}", f"{then}; {hint}"
        elif not self._build.record.labelled:
            why = "it has no labels"
        elif self._build.record.recipe["dataset"]["split"] == "disjoint":
            why = "its labels were not trained on, so no val images stand for them"
        elif self._counted:
            why = "its val images have no pair of different labels"
        else:
            why, hint = "it was made by an older simsearch", "run the same simsearch build again"
        raise RecipeError(f"build {self._build.name} does not know how rare a false alarm is: {why}", hint=hint)


def _read(evaluated: Artifact | None, name: str) -> Any:
    return None if evaluated is None else json.loads(evaluated.file(name).read_bytes())
