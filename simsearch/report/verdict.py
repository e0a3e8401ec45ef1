"""What a report answers: does the recipe make fewer errors at the boundary, and does normalization alone?"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simsearch.evaluation.comparison import BASELINES, HEADLINE, Comparison
from simsearch.evaluation.figures import BY_KEY, CLAIM, Place, headline_k
from simsearch.page.html import get
from simsearch.vectors.search import KINDS

Report = Mapping[str, Any]

LEAST_QUERIES = 6  # with fewer pairs no sign-flip test can reach p < 0.05: 2 of 32 flips are as far from 0 as any
TOO_FEW = "too few to tell"
WIDEST = 0.3  # an interval that says little
MUCH_FORCED = 0.1  # of an error: where labels are so small that any search has it
ENOUGH_RECALL = 0.9  # of an index: below, it is warned of


@dataclass(frozen=True)
class Verdict:
    """The comparison of boundary errors over the most seeds, with the errors of both sides; None where not known.

    `cosine` are those of recipe/cosine and baseline/cosine: what normalization alone does.
    """

    comparison: Comparison
    after: float | None
    before: float | None
    cosine: tuple[float | None, float | None]

    @property
    def alone(self) -> str:
        """How normalization alone does against the recipe where this does not beat it, else ""."""
        recipe, baseline = self.cosine
        if recipe is None or baseline is None or recipe < baseline:
            return ""
        return "does as well as" if recipe == baseline else "does better than"

    @property
    def word(self) -> str:
        """The claim in a word: "held", "not shown" or "the opposite"."""
        if self.comparison.word == "worse":
            return "the opposite"
        return "held" if self.comparison.word == "better" and not self.alone else "not shown"


def verdict(report: Report) -> Verdict | None:
    """Return the verdict of a report; None without a comparison over the boundary."""
    found = most_seeds(report, BASELINES[0], HEADLINE)
    if found is None:
        return None

    def error(system: str) -> float | None:
        several = get(report.get("seeds"), "systems", system, found.place.scoped, "mean")
        value = several if found.seeds > 1 else found.place.of(report["systems"].get(system))
        return None if value is None else float(value)

    return Verdict(found, error(found.system), error(found.baseline), (error("recipe/cosine"), error(BASELINES[-1])))


def too_few(queries: int, interval: Sequence[float] | None, *, seen: bool | None = None) -> str | None:
    """Return "too few to tell" and how many are needed, where a figure over so many queries says nothing; else None.

    `seen` is given for a difference: whether it is one. Then fewer than 6 say nothing, nor does an interval that is
    wider than .3, unless the difference is seen all the same.
    """
    width = 0.0 if interval is None else round(interval[1] - interval[0], 9)
    needed = math.ceil(queries * (width / WIDEST) ** 2) if width > WIDEST and not seen else 0
    if seen is not None and queries < LEAST_QUERIES:
        needed = max(needed, LEAST_QUERIES)
    if needed <= queries:
        return None
    return f"{TOO_FEW}: {queries:,} {'query' if queries == 1 else 'queries'}, about {needed:,} are needed"


def forced_words(report: Report) -> str | None:
    """Return how much of the error at the boundary no search can avoid, where that is a tenth or more; else None."""
    least = report.get("boundary_error_least")  # an older report does not know
    if least is None or least < MUCH_FORCED:
        return None
    k = headline_k(report["k"])
    return f"{100 * least:.1f} % is the least that can be, as labels have fewer than {k} images to find"


def low_recall(report: Report) -> str | None:
    """Return a sentence where the index misses more than a tenth of the exact neighbours, and what to do; else None."""
    k = str(headline_k(report["k"]))
    share = (report["index"].get("ann_recall") or {}).get(k)
    if share is None or share >= ENOUGH_RECALL:
        return None
    missed = f"{1 - share:.0%}".replace("%", " %")
    factory = str(report["index"].get("factory"))
    keys = [f"index.{key}=" for key, kind in KINDS.items() if re.search(rf"(^|,)({kind})", factory)]
    more = f"Let it look at more (--set {' or '.join(keys)})" if keys else f"{factory} has no setting: name another"
    return (
        f"ann_recall@{k} {share:.3f}: the index misses {missed} of the exact first {k}. {more}, or have one chosen by "
        "--set index.target_recall=0.95, without a factory"
    )


def most_seeds(report: Report, baseline: str, *systems: str) -> Comparison | None:
    """Return the boundary errors' comparison with `baseline` over the most seeds, of `systems` or of any; or None."""
    alike = [
        found
        for found in comparisons(report)
        if (found.metric, found.scope, found.baseline) == (CLAIM, "boundary", baseline)
        and (not systems or found.system in systems)
    ]
    return max(alike, key=lambda found: found.seeds, default=None)


def comparisons(report: Report) -> list[Comparison]:
    """Return the comparisons of a report that have a difference, in the figures that this version knows."""
    entries = (entry for entry in report.get("comparisons") or [] if entry["metric"] in BY_KEY)
    return [Comparison(**entry) for entry in entries if entry["difference"] is not None]


def shown(report: Report, system: str, place: Place) -> tuple[float | None, Any]:
    """Return a figure of a system and its interval, None where it has none."""
    figures = report["systems"].get(system) or {}
    return place.of(figures), place.of(figures.get("intervals"))
