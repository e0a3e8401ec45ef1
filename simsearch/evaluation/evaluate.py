"""report.json: every system evaluated on one set of queries, as one plain dictionary."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Flags, Integers, Labels
from simsearch.console import Tell
from simsearch.errors import VectorsError
from simsearch.evaluation.boundary import boundary_queries
from simsearch.evaluation.collapse import ROWS as COLLAPSE_ROWS
from simsearch.evaluation.collapse import spread
from simsearch.evaluation.comparison import BASELINES, HEADLINE
from simsearch.evaluation.details.collect import Evidence, collect, reasons
from simsearch.evaluation.details.first_hits import first_hits_by_score
from simsearch.evaluation.details.suspects import Pairs
from simsearch.evaluation.false_alarm_table import false_accept_table
from simsearch.evaluation.few_shot import few_shot as measure_few_shot
from simsearch.evaluation.figures import CLAIM, all_places, headline_k
from simsearch.evaluation.gallery_curve import curve_report, gallery_curve
from simsearch.evaluation.head_gain import head_gain
from simsearch.evaluation.measured import SystemResult, mean_of, with_intervals
from simsearch.evaluation.paired import compare_systems
from simsearch.evaluation.strangers import stranger_table
from simsearch.evaluation.systems import SYSTEMS, FeatureSource, Task, blocks, exact_systems, gather
from simsearch.evaluation.through_index import IndexResult, evaluate_index
from simsearch.vectors.index import Index
from simsearch.vectors.normalize import normalize
from simsearch.vectors.search import DEFAULT, Search

SCHEMA = 1
GATE = BASELINES[0]

Report = dict[str, Any]
Results = dict[str, SystemResult]


@dataclass(frozen=True)
class Features:
    """The raw features that are evaluated; all hold the same rows. Without a reference nothing is "boundary".

    `frozen`: those that the recipe's head was trained on.
    """

    recipe: FeatureSource
    baseline: FeatureSource | None = None
    reference: FeatureSource | None = None
    frozen: FeatureSource | None = None


@dataclass(frozen=True)
class Evaluation:
    """The report, details and tables of rarity, ready for json.dump, and the per-query values: name -> (Q,) array."""

    report: Report
    details: Report
    false_accepts: Report | None
    strangers: Report | None
    per_query: dict[str, NDArray[Any]]


def evaluate(
    *,
    build: str,
    features: Features,
    gallery: int,
    query_rows: Sequence[int] | Labels,
    labels: Labels | None,
    groups: Labels | None = None,
    index: Index,
    index_bytes: int,
    ks: Sequence[int],
    search: Search = DEFAULT,
    label_names: Sequence[str] | None = None,
    val_rows: Sequence[int] | Labels = (),
    twins: Pairs | None = None,
    near: tuple[Integers, Integers] | None = None,
    few_shot: bool = False,
    name: Callable[[int], str] | None = None,
    progress: Tell = lambda message: None,
) -> Evaluation:
    """Return the report (design section 5) and the per-query values of all systems that can be measured.

    Rows [0, gallery) are searched; `query_rows` (Q,) are searched with, leave-one-out where they lie in the gallery.
    No query finds an image of its group, of `groups` (N,): an integer a row, negative for one of its own, or None.
    `labels` (N,) are one integer a row (negative: unlabelled), or None: label figures are then null and ann_recall
    stays; `label_names` are their names (else their numbers). What a score means is read from pairs of `val_rows`.
    `twins` (P, 2) are (position among the queries, gallery row) that look the same, `near` positions of the
    queries that have a near twin and of those looked at. `few_shot` adds that figure,
    which is for labels that were not trained on. `name(row)` names an image in errors. Memory: two copies of one
    gallery and blocks.

    Raises VectorsError for shapes that do not fit and for features without direction.
    """
    rows = np.asarray(query_rows, dtype=np.int64)
    _check(features, gallery, rows, labels, index, ks)
    task = Task(gallery, rows, labels, tuple(sorted(set(ks))), groups)
    if task.neighbours < 1:
        raise VectorsError(
            f"all {gallery} images that are searched are of the group of a query", hint="check dataset.group"
        )
    timed_k = headline_k(task.ks)
    boundary = _boundary(features.reference, task, progress)

    exact, nearest = exact_systems("recipe", features.recipe, task, boundary, name=name, progress=progress)
    results: Results = dict(exact)
    progress(f"{HEADLINE}: search through the index {index.factory}")
    through = evaluate_index(index, features.recipe, task, boundary, nearest.thresholds, search, timed_k=timed_k)
    results[HEADLINE] = _as_exact(through.system, results["recipe/cosine"], index)
    if features.baseline is not None:
        if features.baseline is features.recipe or labels is None:  # as with epochs = 0: nothing is computed twice
            results |= {name.replace("recipe/", "baseline/"): result for name, result in exact.items()}
        else:
            results |= exact_systems("baseline", features.baseline, task, boundary, name=name, progress=progress)[0]

    progress("intervals, comparisons and details")
    results = with_intervals(results, task.ks)
    named = str if label_names is None else label_names.__getitem__
    measured = Evidence(task, results, boundary, through, nearest, lambda label: None if label < 0 else named(label))
    joining, details = collect(measured, features.recipe, features.baseline, twins, near)
    pairs = results["recipe/cosine"].verification  # the same for every system
    shots = None
    if few_shot and labels is not None:
        shots = measure_few_shot(normalize(gather(features.recipe, rows)), task.query_labels, groups=task.query_groups)
    gain = None
    if features.frozen is not None:
        progress("the head against the frozen features")
        gain = head_gain(results["recipe/cosine"], features.frozen, task)
    progress("recall by photos in the gallery")
    curve = gallery_curve(features.recipe, task)
    report: Report = {
        "schema": SCHEMA,
        "build": build,
        "queries": len(rows),
        "gallery": gallery,
        "classes": None if labels is None else len(np.unique(labels[labels >= 0])),
        "k": list(task.ks),
        "systems": {system: _figures(results[system], task.ks) for system in SYSTEMS if system in results},
        "index": {
            "factory": index.factory,
            "ann_recall": {k: shares.mean() for k, shares in through.ann_shares.items()},
            "qps": None if through.qps is None else float(f"{through.qps:.4g}"),
            "bytes": index_bytes,
            "ntotal": index.ntotal,
        },
        "comparisons": [asdict(entry) for entry in compare_systems(results, task.ks)],
        "few_shot": shots and asdict(shots),
        "verification": pairs and {key: getattr(pairs, key) for key in ("pairs", "same", "different", "sampled")},
        "head_gain": gain and asdict(gain),
        "gallery_curve": curve and curve_report(curve, task, measured.name),
        "placebo": _placebo(features, results, task, progress),
        "unanswerable": None if task.relevant is None else int((task.relevant == 0).sum()),
        "boundary_queries": None if boundary is None else int(boundary.sum()),
        "boundary_error_least": _least_error(task, boundary),
        "groups": _groups(task),
        **joining,
    }
    # Never the queries, also where a caller would watch and measure with the same images.
    val = np.setdiff1d(np.asarray(val_rows, dtype=np.int64), rows)
    false_accepts = strangers = None
    if labels is not None:
        progress("how near strangers come")
        false_accepts = false_accept_table(
            gather(features.recipe, val), labels[val], None if groups is None else groups[val]
        )
        strangers = stranger_table(features.recipe, labels, val, gallery, groups)
    taken = np.random.default_rng(0).permutation(gallery)[:COLLAPSE_ROWS]
    room = spread(normalize(gather(features.recipe, np.sort(taken))), report["classes"])
    report["collapse"] = room and room.to_json()
    report["first_hits_by_score"] = first_hits_by_score(measured, strangers)
    known = {**report, "false_accepts": false_accepts, "strangers": strangers}
    report["reasons"] = reasons(known, labelled=labels is not None, baseline=features.baseline is not None)
    per_query = _per_query(results, task, boundary, through)
    return Evaluation(_plain(report), _plain(details), false_accepts, strangers, per_query)


def _least_error(task: Task, boundary: Flags | None) -> float | None:
    """Return the claim's error over the boundary in the best order: with fewer images to find than k, not 0."""
    if boundary is None or task.relevant is None:
        return None
    k = headline_k(task.ks)
    return float(1 - np.minimum(task.relevant[boundary], k).mean() / k)


def _groups(task: Task) -> Report | None:
    """Return how many groups the images are in, and for how many queries rows of the gallery were left out for it."""
    if task.groups is None:
        return None
    sizes = np.unique(task.groups[task.groups >= 0], return_counts=True)[1]
    cut = (task.own.counts > (task.own.rows >= 0)).sum()
    alone = int((task.groups < 0).sum())
    return {"groups": len(sizes) + alone, "largest": int(sizes.max(initial=1)), "queries_left_out_for": int(cut)}


def _check(
    features: Features, gallery: int, rows: Integers, labels: Labels | None, index: Index, ks: Sequence[int]
) -> None:
    total = features.recipe.shape[0]
    if not ks or min(ks) < 1:
        raise VectorsError(f"expected k of at least 1, seen {list(ks)}", hint="check [evaluation] k")
    if not len(rows) or rows.min() < 0 or rows.max() >= total or not 1 <= gallery <= total:
        raise VectorsError(
            f"expected queries and a gallery within {total} rows, seen {len(rows)} queries, {gallery} rows"
        )
    for key in ("baseline", "reference", "frozen"):
        source: FeatureSource | None = getattr(features, key)
        if source is not None and source.shape[0] != total:
            raise VectorsError(f"{key} features: expected {total} rows as in the recipe's, seen {source.shape[0]}")
    if labels is not None and labels.shape != (total,):
        raise VectorsError(f"labels: expected the shape ({total},), seen {labels.shape}")
    if index.dim != features.recipe.shape[1] or index.ntotal < gallery:
        seen = f"{index.ntotal} x {index.dim}"
        raise VectorsError(f"index: expected at least {gallery} rows x {features.recipe.shape[1]}, seen {seen}")


def _boundary(source: FeatureSource | None, task: Task, progress: Tell) -> Flags | None:
    if source is None or task.labels is None:
        return None
    progress("boundary queries: margins between class means")
    queries, gallery = gather(source, task.query_rows), blocks(source, task.gallery)
    chosen = boundary_queries(queries, gallery, task.query_labels, task.gallery_labels, task.own)
    return chosen if chosen.any() else None


def _as_exact(system: SystemResult, cosine: SystemResult, index: Index) -> SystemResult:
    """Return the index's figures with those of pairs, as cosine search has them, and a Flat one's to rank R too."""
    deep = {place: one for place, one in cosine.figures.items() if place.figure.deep and index.is_flat}
    return SystemResult({**system.figures, **deep}).verified(cosine.verification)


def _figures(result: SystemResult, ks: Sequence[int]) -> Report:
    ends = result.tree(ks, lambda found: found.interval) if result.figures else None
    return {**result.tree(ks, lambda found: found.mean), "intervals": ends}


def _placebo(features: Features, results: Results, task: Task, progress: Tell) -> Report | None:
    """Return the scored baseline's error over the reference's tenth, and over the tenth that it would choose itself."""
    baseline, k = results.get(GATE, SystemResult()), headline_k(task.ks)
    reference = baseline.mean(CLAIM, k, "boundary")
    if reference is None:
        return None
    own = _boundary(features.baseline, task, progress)
    itself = None if own is None else mean_of(baseline.values(CLAIM, k)[own])
    return {"system": GATE, "k": k, "reference": reference, "self": itself}


def _per_query(results: Results, task: Task, boundary: Flags | None, through: IndexResult) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any] | None] = {"rows": task.query_rows, "relevant": task.relevant, "boundary": boundary}
    arrays |= {f"{HEADLINE}/ann@{k}": shares for k, shares in through.ann_shares.items()}
    arrays |= {
        place.stored(system): result.values(*place)
        for system, result in results.items()
        for place in all_places(task.ks)
        if place.figure.file and place.scope == "all" and place in result.figures
    }
    return {key: values for key, values in arrays.items() if values is not None}


def _plain(value: Any) -> Any:
    """Return plain Python numbers in plain containers; NaN and infinities become None, as JSON has neither."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
