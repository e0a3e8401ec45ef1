"""Why a cell got worse: which stage moved, known by digests and by running the suspect again with its old counterpart.

The suspects are gone through from the cheapest to prove: search settings, index, features (the code that turns images
into features, preprocessing included), data, embedder. The first whose old counterpart takes at least half of the loss
away, or whose code no longer gives what it gave, is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np

from simsearch.bench.causes import rerun
from simsearch.bench.causes.checks import (
    AGREEMENT,
    SAME_FEATURES,
    Case,
    Side,
    find_stage,
    other_features,
    setting_differences,
)
from simsearch.bench.causes.losers import losers
from simsearch.bench.judging.metrics import METRICS, kept_name, metric_words
from simsearch.bench.judging.pairing import Pair, shared_queries
from simsearch.bench.measuring.measure import FAILURES, data_of, search_of, words_of
from simsearch.bench.measuring.scratch import NightHome
from simsearch.bench.records import Cause, Finding, Result
from simsearch.console import safe
from simsearch.evaluation.figures import CLAIM
from simsearch.vectors.features import FeatureFile

NEEDED = ("dataset", "train", "embed", "index", "evaluate")


@dataclass
class Detective:
    """Explains findings from the scratch areas of the accepted night and of tonight."""

    accepted: NightHome
    tonight: NightHome
    notes: list[str] = field(default_factory=list)

    def explain(self, findings: Sequence[Finding], pairs: Sequence[Pair]) -> Iterator[Finding]:
        """Yield the findings, those that are worse with their cause.

        Of a cell three things are explained apart, each by its plainest loss: speed, what the index finds of the exact
        answer, and the rest, which an embedder can lose as well.
        """
        by_cell = {after.cell.name: (before, after) for before, after in pairs}
        causes: dict[tuple[str, str], Cause] = {}
        worse = [finding for finding in findings if finding.worse and finding.cause is None]
        for finding in sorted(worse, key=_plainness):
            if _kind(finding) not in causes:
                what = metric_words(finding.metric, finding.k, finding.scope)
                self.tonight.progress.say(f"Cause of {what} in {safe(finding.cell)}?")
                causes[_kind(finding)] = self._cause(finding, *by_cell[finding.cell])
        for finding in findings:
            cause = causes.get(_kind(finding)) if finding.worse else None
            yield finding if cause is None or finding.cause is not None else replace(finding, cause=cause)

    def agreement(self, pairs: Sequence[Pair]) -> Iterator[Finding]:
        """Yield whether tonight's code still makes the accepted night's features, once a recipe and seed."""
        seen = set()
        for before, after in pairs:
            trained = before.digests.get("train", {}).get("content")
            if after.status != "measured" or trained in seen:
                continue
            seen.add(trained)
            try:
                old, new = (
                    {stage: home.store.open(stage, **result.digests[stage]) for stage in ("dataset", "train", "embed")}
                    for result, home in ((before, self.accepted), (after, self.tonight))
                )
                tables = rerun.Listing.read(old["dataset"]), rerun.Listing.read(new["dataset"])
                cosine = rerun.least_cosine(data_of(after.cell, self.tonight), old["train"], old["embed"], *tables)
            except FAILURES as error:  # as when the accepted night's artifacts are gone
                self.notes.append(f"{after.cell.name}: agreement of features was not judged: {words_of(error)}")
                continue
            if cosine is not None:
                worse = cosine < SAME_FEATURES
                cause = Cause("features", other_features(cosine)) if worse else None
                found = Finding(after.cell.name, AGREEMENT, None, "all", 1.0, cosine, cosine - 1)
                yield replace(found, worse=worse, cause=cause)

    def _cause(self, finding: Finding, before: Result, after: Result) -> Cause:
        try:
            with ExitStack() as stack:
                sides = self._side(stack, before, self.accepted), self._side(stack, after, self.tonight)
                if METRICS[finding.metric].judged == "speed":
                    return _cause_of_speed(*sides)
                case = self._case(finding, before, after, sides)
                stage, why = find_stage(case)
                classes, queries, picture = losers(finding, before, after, sides)
                return Cause(
                    stage, why, classes, queries, picture, metric_words(finding.metric, finding.k, finding.scope)
                )
        except FAILURES as error:
            stage, moved = moved_by_digest(before, after)
            return Cause(stage, f"{moved} (by digests alone, as nothing could be run again: {words_of(error)})")

    def _side(self, stack: ExitStack, result: Result, home: NightHome) -> Side:
        opened = {stage: home.store.open(stage, **result.digests[stage]) for stage in NEEDED}
        features = stack.enter_context(FeatureFile(opened["embed"].file("features.h5")))
        return Side(opened, rerun.Listing.read(opened["dataset"]), features, search_of(opened["evaluate"]))

    def _case(self, finding: Finding, before: Result, after: Result, sides: tuple[Side, Side]) -> Case:
        """Return what is run again: a figure without a k, as MAP@R, is explained by the error at the largest k."""
        metric, k = finding.metric, finding.k
        one, other = shared_queries(before, after)
        if k is None:
            both = before.per_query.keys() & after.per_query.keys()
            names = [name for name in both if name.startswith(f"{CLAIM}@")]
            metric, k = CLAIM, max(int(name.partition("@")[2]) for name in names)
        name = kept_name(metric, k)
        if finding.scope == "boundary":
            near = (before.per_query["boundary"][one] > 0) | (after.per_query["boundary"][other] > 0)
            one, other = one[near], other[near]
        good = float(np.nanmean(before.per_query[name][one]))
        bad = float(np.nanmean(after.per_query[name][other]))
        return Case(*sides, metric, k, (one, other), good, bad, lambda: data_of(after.cell, self.tonight))


def _cause_of_speed(before: Side, after: Side) -> Cause:
    """Return what decides speed: index and search settings, then the embedder, else nothing that is kept."""
    if before.factory != after.factory:
        return Cause("index", f"factory {before.factory} -> {after.factory}")
    if before.search != after.search:
        return Cause("search settings", setting_differences(before.search.to_json(), after.search.to_json()))
    settings = setting_differences(before.settings("train"), after.settings("train"))
    if settings:
        return Cause("embedder", settings)
    old, new = (dict(side.artifacts["evaluate"].manifest["versions"]) for side in (before, after))
    versions = setting_differences(old, new)
    return Cause(None, f"no setting moved; {f'versions: {versions}' if versions else 'code or machine'}")


def moved_by_digest(before: Result, after: Result) -> tuple[str | None, str]:
    """Return the first stage whose artifact is not what it was, in the order of the data flow, and words for it."""
    for stage, name in (("data", "dataset"), ("embedder", "train"), ("features", "embed"), ("index", "index")):
        if before.digests.get(name) != after.digests.get(name):
            return stage, f"the {name} artifact is another one"
    if before.cell.search != after.cell.search:
        return "search settings", setting_differences(dict(before.cell.search), dict(after.cell.search))
    return None, "no artifact moved"


def _kind(finding: Finding) -> tuple[str, str]:
    if METRICS[finding.metric].judged == "speed":
        return finding.cell, "speed"
    return finding.cell, finding.metric if finding.metric == "ann_recall" else "quality"


def _plainness(finding: Finding) -> tuple[bool, float]:
    """Return what is over all queries first, then the surest."""
    return finding.scope == "boundary", 0.0 if finding.p_value is None else finding.p_value
