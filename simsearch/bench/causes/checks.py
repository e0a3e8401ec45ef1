"""The suspects of a loss of quality, one after the other, each run again with its old counterpart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsearch.arrays import Integers
from simsearch.artifacts import Artifact
from simsearch.bench.causes import rerun
from simsearch.bench.judging.metrics import METRICS, metric_words
from simsearch.errors import InvariantError
from simsearch.stages.common import Data
from simsearch.stages.index import gallery_index
from simsearch.vectors.agreement import verify
from simsearch.vectors.features import FeatureFile
from simsearch.vectors.index import Index
from simsearch.vectors.search import Search

AGREEMENT = "feature_agreement"
SAME_FEATURES = 1 - METRICS[AGREEMENT].least
MOST_IMAGES = 20_000  # embedded again where data and embedder both moved
MOST_DIFFERENCES = 4
OTHER_WEIGHTS = "the same settings and data gave other weights (code, versions or machine)"


@dataclass(frozen=True)
class Side:
    """One night's artifacts of a cell, opened."""

    artifacts: Mapping[str, Artifact]
    table: rerun.Listing
    features: FeatureFile
    search: Search

    @property
    def index(self) -> Index:
        """Return the index over the gallery, read from its file."""
        return gallery_index(self.artifacts["index"])

    @property
    def factory(self) -> str:
        """Return its factory string."""
        return str(self.artifacts["index"].facts["factory"])

    def settings(self, stage: str) -> dict[str, Any]:
        """Return the settings of a stage, flat: "training.epochs" -> 12."""
        return dict(_flat(self.artifacts[stage].manifest["settings"]))


@dataclass(frozen=True)
class Case:
    """A finding to be explained: the two sides, and how the metric is measured on queries that both have."""

    before: Side
    after: Side
    metric: str
    k: int
    rows: tuple[Integers, Integers]
    good: float
    bad: float
    data: Callable[[], Data]

    @property
    def words(self) -> str:
        """Return what is measured: "recall@1"."""
        return metric_words(self.metric, self.k, "all")

    @property
    def loss(self) -> float:
        """Return what was lost, above 0."""
        return METRICS[self.metric].loss(self.good, self.bad)

    def mean(self, side: int, table: rerun.Listing, source: Any, index: Index, search: Search) -> float:
        """Return the metric now, over the shared queries as they stand in the data of `side` (0 before, 1 after)."""
        values = rerun.values_of(self.metric, self.k, table, source, index, search)
        return float(np.nanmean(values[self.rows[side]]))

    def mended(self, value: float) -> bool:
        """Return whether at least half of the loss is gone at `value`."""
        return METRICS[self.metric].loss(self.good, value) <= self.loss / 2


def find_stage(case: Case) -> tuple[str | None, str]:
    """Return (stage, why) of a loss of quality."""
    for check in (_search_settings, _index, _features, _data_or_embedder):
        found = check(case)
        if found is not None:
            return found
    return None, "no setting, data, weights or features moved, and the code gives what it gave: versions or the machine"


def _search_settings(case: Case) -> tuple[str, str] | None:
    before, after = case.before, case.after
    if before.search == after.search or before.factory != after.factory:
        return None
    value = case.mean(1, after.table, after.features, after.index, before.search)
    if not case.mended(value):
        return None
    moved = setting_differences(before.search.to_json(), after.search.to_json())
    return "search settings", f"{moved}: {_again(case, value, 'the old settings')}"


def _index(case: Case) -> tuple[str, str] | None:
    before, after = case.before, case.after
    if before.factory != after.factory:
        index = rerun.index_over(after.features, after.table.gallery, before.factory)
        value = case.mean(1, after.table, after.features, index, before.search)
        if case.mended(value):
            return "index", f"factory {before.factory} -> {after.factory}: {_again(case, value, 'the old factory')}"
        return None
    # The same factory: does tonight's code still make the index that it made, of the features of the accepted night?
    try:
        index = rerun.index_over(before.features, before.table.gallery, before.factory)
        verify(index, before.table.gallery, before.features.read(0, min(before.table.gallery, 1000)))
        value = case.mean(0, before.table, before.features, index, before.search)
    except InvariantError as error:
        return "index", f"made again from the accepted night's features: {error.message}"
    if not METRICS[case.metric].loss(case.good, value) > case.loss / 2:
        return None
    again = f"{case.words} is {value:.3f} (it was {case.good:.3f})"
    return "index", f"the code that builds or searches it: made again from the accepted night's features, {again}"


def _features(case: Case) -> tuple[str, str] | None:
    return other_code(case.data(), case.before, case.after)


def other_code(data: Data, before: Side, after: Side) -> tuple[str, str] | None:
    """Return (stage, why) where the code at hand no longer makes the features that it made."""
    trained, embedded = (before.artifacts[stage] for stage in ("train", "embed"))
    cosine = rerun.least_cosine(data, trained, embedded, before.table, after.table)
    return None if cosine is None or cosine >= SAME_FEATURES else ("features", other_features(cosine))


def other_features(cosine: float) -> str:
    """Return words for features that the code at hand makes otherwise."""
    return (
        "the code that turns images into features (decoding, preprocessing, ONNX Runtime): by the accepted night's "
        f"embedder an image comes out with a cosine of {cosine:.4f} to what it was (at least {SAME_FEATURES} expected)"
    )


def _data_or_embedder(case: Case) -> tuple[str, str] | None:
    before, after = case.before, case.after
    words = data_words(before, after)
    settings = setting_differences(before.settings("train"), after.settings("train"))
    trained = before.artifacts["train"].content != after.artifacts["train"].content
    if words and not settings:
        return "data", words
    if words and trained:
        # Both moved: what does the old embedder make of tonight's data?
        if len(after.table.records) > MOST_IMAGES:
            return "data", f"{words}; the embedder's settings moved too ({settings}), which was too large to tell apart"
        source = rerun.Held(rerun.embed_again(case.data(), before.artifacts["train"], after.table.records))
        index = rerun.index_over(source, after.table.gallery, after.factory)
        value = case.mean(1, after.table, source, index, after.search)
        if not case.mended(value):
            return "data", f"{words}: {_again(case, value, 'the old embedder')}"
    if not trained:
        return None
    what = settings or OTHER_WEIGHTS
    if words:
        return "embedder", what
    index = rerun.index_over(before.features, before.table.gallery, after.factory)
    value = case.mean(0, before.table, before.features, index, after.search)
    return "embedder", f"{what}: {_again(case, value, 'the old embedder')}"


def data_words(before: Side, after: Side) -> str:
    """Return what of the data moved, in words; nothing where nothing did."""
    changes = rerun.data_changes(before.table, after.table)
    return ", ".join(f"{count:,} images {what}" for what, count in changes.items())


def _again(case: Case, value: float, counterpart: str) -> str:
    return f"with {counterpart} {case.words} is {value:.3f} (tonight {case.bad:.3f}, accepted {case.good:.3f})"


def setting_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return words for settings that differ: "training.epochs 12 -> 1"."""
    found = [
        f"{key} {before.get(key)} -> {after.get(key)}"
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    ]
    more = f" and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
    return ", ".join(found[:MOST_DIFFERENCES]) + more


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
