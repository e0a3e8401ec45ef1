"""Which label an answer's neighbours say, or that it is none of these: by a threshold that the build brings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from simsearch.artifacts import Artifact
from simsearch.evaluation.vote import VERDICT_FILE, VOTERS, vote
from simsearch.home import Build
from simsearch.search.narrowing import Found, Own, others
from simsearch.search.question import Verdict

STALE = 0.1  # of the images: so many added, changed or deleted since the threshold was found

More = Callable[[int], tuple[list[Found], object]]


class Verdicts:
    """What a build knows for verdicts; `reason`: why it gives none, in words, with the command that would help."""

    def __init__(self, build: Build, judged: Artifact | None) -> None:
        self._facts = {} if judged is None else json.loads(judged.file(VERDICT_FILE).read_bytes())
        self.reason = _reason(build, self._facts)
        self._stale = _stale(build, int(self._facts.get("corpus", 0)))

    def of(self, found: Found, own: Own, more: More) -> Verdict | None:
        """Return the verdict on a query, its own row left out; None where the build gives none.

        `found` are the nearest of all, or too few of them: `more(n)[0][0]` are the n nearest.
        """
        if self.reason is not None:
            return None
        if len(found) <= VOTERS:
            found = more(VOTERS + 1)[0][0]
        voters = [one for one in others(found, own, VOTERS, more) if one[2].label]
        if not voters:
            return None
        names = sorted({record.label for _, _, record in voters})
        numbers = np.array([[names.index(record.label) for _, _, record in voters]])
        said = vote(np.array([[score for score, _, _ in voters]]), numbers)
        return Verdict(
            names[int(said.labels[0])],
            bool(said.strengths[0] > self._facts["threshold"]),
            float(said.margins[0]),
            float(self._facts["unknown_accepted"]),
            str(self._facts["calibrated_on"]),
            self._stale,
        )


def _reason(build: Build, facts: dict[str, Any]) -> str | None:
    if build.provisional:
        return f"it answers by {build.standing()[0]}"
    if build.of_vectors:
        return "it was made from vectors, and which labels their embedder saw is not known"
    if not facts:
        made = build.retrain() if build.record.synced and build.of_files else "the same simsearch build again"
        return f"it was made by an older simsearch: {made} makes what a verdict needs"
    return facts.get("reason")


def _stale(build: Build, corpus: int) -> str | None:
    """Return the command that finds the threshold anew where a sync has changed much; moved files are the same."""
    synced = build.record.synced or {}
    changed = sum(int(synced.get(kind, 0)) for kind in ("added", "changed", "deleted"))
    return build.retrain() if changed > STALE * corpus else None
