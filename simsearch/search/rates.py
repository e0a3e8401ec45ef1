"""How rare a false alarm is: what a build knows of it, and why not."""

from __future__ import annotations

import json

from simsearch.artifacts import Artifact
from simsearch.errors import RecipeError
from simsearch.evaluation.false_alarms import false_accept_rate
from simsearch.home import Build

_FILE = "far.json"


class Rates:
    """The shares of different-label pairs that score at least so much, as the evaluate artifact of a build has them."""

    def __init__(self, build: Build, evaluated: Artifact) -> None:
        self._build = build
        # Builds of an earlier version have no such file; without labels it holds null.
        self._counted = _FILE in evaluated.manifest["files"]
        self._far = json.loads(evaluated.file(_FILE).read_bytes()) if self._counted else None

    @property
    def least(self) -> float | None:
        """Return the lowest rate that so many different-label pairs can show; None where no rate is known."""
        return None if self._far is None else 1 / float(self._far["pairs"])

    def of(self, score: float) -> float | None:
        """Return the share of different-label pairs that score at least `score`, in (0, 1]; None where unknown."""
        return None if self._far is None else false_accept_rate(self._far, score)

    def known(self) -> float:
        """Return the lowest rate. Raises RecipeError, which says why, when the build knows no rates."""
        if self.least is not None:
            return self.least
        hint = "--min-score cuts by the score itself"
        if not self._build.record.labelled:
            why = "it has no labels"
        elif self._build.record.recipe["dataset"]["split"] == "disjoint":
            why = "its labels were not trained on, so no val images stand for them"
        elif self._counted:
            why = "its val images have no pair of different labels"
        else:
            why, hint = "it was made by an older simsearch", "run the same simsearch build again"
        raise RecipeError(f"build {self._build.name} does not know how rare a false alarm is: {why}", hint=hint)
