"""Why a cell got worse: which stage moved, known by digests and by running the suspect again with its old counterpart.

The suspects are gone through from the cheapest to prove: search settings, index, features (the code that turns images
into features, preprocessing included), data, embedder. The first whose old counterpart takes at least half of the loss
away, or whose code no longer gives what it gave, is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from simsearch.bench.causes import checks, rerun
from simsearch.bench.causes.defective import STAGE, Tried, cause_of_defects
from simsearch.bench.causes.pictures import before_and_after
from simsearch.bench.judging.compared import Pair, shared_queries
from simsearch.bench.judging.metrics import DEFECTS, METRICS, kept_name, metric_words
from simsearch.bench.measuring.measure import FAILURES, data_of, search_of, words_of
from simsearch.bench.measuring.scratch import NightHome
from simsearch.bench.records import Cause, Finding, Loser, Result
from simsearch.console import safe
from simsearch.evaluation.figures import CLAIM
from simsearch.images.montage import montage_png
from simsearch.vectors.features import FeatureFile

CLASSES, QUERIES = 5, 5
PICTURED = 3
Sides = tuple[checks.Side, checks.Side]
Losers = tuple[tuple[Loser, ...], tuple[Loser, ...], bytes | None]
NEEDED = ("dataset", "train", "embed", "index", "evaluate")


@dataclass
class Detective:
    """Explains findings from the scratch areas of the accepted night and of tonight.

    `stand_ins` are the results that were judged in the place of tonight's, by the names of cells, and where they lie.
    """

    accepted: NightHome
    tonight: NightHome
    stand_ins: tuple[NightHome, Mapping[str, Result]] | None = None
    notes: list[str] = field(default_factory=list)

    def explain(self, findings: Sequence[Finding], pairs: Sequence[Pair]) -> Iterator[Finding]:
        """Yield the findings, those that are worse with their cause.

        Of a cell these are explained apart, each by its plainest loss: speed, what the index finds of the exact answer,
        either figure of defects, and the rest, which an embedder can lose as well.
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
                old = {stage: self.accepted.store.open(stage, **before.digests[stage]) for stage in NEEDED[:3]}
                new = self.tonight.store.open("dataset", **after.digests["dataset"])
                tables = rerun.Listing.read(old["dataset"]), rerun.Listing.read(new)
                cosine = rerun.least_cosine(data_of(after.cell, self.tonight), old["train"], old["embed"], *tables)
            except FAILURES as error:  # as when the accepted night's artifacts are gone
                self.notes.append(f"{after.cell.name}: agreement of features was not judged: {words_of(error)}")
                continue
            if cosine is not None:
                worse = cosine < checks.SAME_FEATURES
                cause = Cause("features", checks.other_features(cosine)) if worse else None
                found = Finding(after.cell.name, checks.AGREEMENT, None, "all", 1.0, cosine, cosine - 1)
                yield replace(found, worse=worse, cause=cause)

    def _cause(self, finding: Finding, before: Result, after: Result) -> Cause:
        home = self.tonight
        if self.stand_ins is not None and METRICS[finding.metric].judged == "paired":
            place, others = self.stand_ins
            home, after = (place, others[after.cell.name]) if after.cell.name in others else (home, after)
        try:
            with ExitStack() as stack:
                sides = self._side(stack, before, self.accepted), self._side(stack, after, home)
                if METRICS[finding.metric].judged == "speed":
                    return _cause_of_speed(*sides)
                if finding.metric in DEFECTS:
                    pair, at, progress = (before, after), self.tonight.path, self.tonight.progress
                    data = partial(data_of, after.cell, self.tonight)
                    return cause_of_defects(Tried(*sides, finding, pair, at, data, progress))
                case = self._case(finding, before, after, sides)
                stage, why = checks.find_stage(case)
                classes, queries, picture = _losers(finding, before, after, sides)
                return Cause(
                    stage, why, classes, queries, picture, metric_words(finding.metric, finding.k, finding.scope)
                )
        except FAILURES as error:
            stage, moved = moved_by_digest(before, after, finding.metric)
            return Cause(stage, f"{moved} (by digests alone, as nothing could be run again: {words_of(error)})")

    def _side(self, stack: ExitStack, result: Result, home: NightHome) -> checks.Side:
        stages = [*NEEDED, *(stage for stage in ("defects",) if stage in result.digests)]
        opened = {stage: home.store.open(stage, **result.digests[stage]) for stage in stages}
        features = stack.enter_context(FeatureFile(opened["embed"].file("features.h5")))
        return checks.Side(opened, rerun.Listing.read(opened["dataset"]), features, search_of(opened["evaluate"]))

    def _case(self, finding: Finding, before: Result, after: Result, sides: Sides) -> checks.Case:
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
        return checks.Case(*sides, metric, k, (one, other), good, bad, lambda: data_of(after.cell, self.tonight))


def _cause_of_speed(before: checks.Side, after: checks.Side) -> Cause:
    """Return what decides speed: index and search settings, then the embedder, else nothing that is kept."""
    if before.factory != after.factory:
        return Cause("index", f"factory {before.factory} -> {after.factory}")
    if before.search != after.search:
        return Cause("search settings", checks.setting_differences(before.search.to_json(), after.search.to_json()))
    settings = checks.setting_differences(before.settings("train"), after.settings("train"))
    if settings:
        return Cause("embedder", settings)
    old, new = (dict(side.artifacts["evaluate"].manifest["versions"]) for side in (before, after))
    versions = checks.setting_differences(old, new)
    return Cause(None, f"no setting moved; {f'versions: {versions}' if versions else 'code or machine'}")


def moved_by_digest(before: Result, after: Result, metric: str) -> tuple[str | None, str]:
    """Return the first stage whose artifact is not what it was, in the order of the data flow, and words for it."""
    last = (STAGE, "defects") if metric in DEFECTS else ("index", "index")
    for stage, name in (("data", "dataset"), ("embedder", "train"), ("features", "embed"), last):
        if before.digests.get(name) != after.digests.get(name):
            return stage, f"the {name} artifact is another one"
    if metric not in DEFECTS and before.cell.search != after.cell.search:
        return "search settings", checks.setting_differences(dict(before.cell.search), dict(after.cell.search))
    return None, "no artifact moved"


def _losers(finding: Finding, before: Result, after: Result, sides: Sides) -> Losers:
    """Return the classes and the queries of a finding that lost most, and a PNG of the first few queries."""
    one, other = shared_queries(before, after)
    name = kept_name(finding.metric, finding.k)
    old, new = before.per_query[name][one], after.per_query[name][other]
    loss = old - new if METRICS[finding.metric].higher_is_better else new - old
    records = [r for r in sides[1].table.records if r.query]
    labels = [records[i].label for i in other]
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for i, label in enumerate(labels):
        if not np.isnan(loss[i]):
            groups[label].append(i)
    classes = [Loser(label, len(at), float(old[at].mean()), float(new[at].mean())) for label, at in groups.items()]
    sign = METRICS[finding.metric].loss
    classes = sorted((c for c in classes if sign(c.before, c.after) > 0), key=lambda c: -sign(c.before, c.after) * c.n)
    worst = [int(i) for i in np.argsort(-np.nan_to_num(loss), kind="stable")[:QUERIES] if loss[i] > 0]
    queries = tuple(Loser(after.queries[other[i]], 1, float(old[i]), float(new[i])) for i in worst)
    shown = worst[:PICTURED]
    picture = _picture([(int(one[i]), int(other[i])) for i in shown], sides) if shown else None
    return tuple(classes[:CLASSES]), queries, picture


def _picture(places: list[tuple[int, int]], sides: Sides) -> bytes:
    """Return two lines a query as PNG: its neighbours in the accepted night, and tonight."""
    rows = [[record.row for record in side.table.records if record.query] for side in sides]
    return montage_png(before_and_after([(rows[0][one], rows[1][other]) for one, other in places], sides))


def _kind(finding: Finding) -> tuple[str, str]:
    if METRICS[finding.metric].judged == "speed":
        return finding.cell, "speed"
    return finding.cell, finding.metric if finding.metric in ("ann_recall", *DEFECTS) else "quality"


def _plainness(finding: Finding) -> tuple[bool, float]:
    """Return what is over all queries first, then the surest."""
    return finding.scope == "boundary", 0.0 if finding.p_value is None else finding.p_value
