"""Where it goes wrong: what pictures and long tables are drawn from, in details.json, and what report.json holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simsearch.arrays import Flags, Integers
from simsearch.evaluation.comparison import HEADLINE
from simsearch.evaluation.details.classes import LabelName, leaks, per_class
from simsearch.evaluation.details.near_twins import near_twins
from simsearch.evaluation.details.norm_buckets import norm_buckets
from simsearch.evaluation.details.suspects import LEAST_NEIGHBOURS, Pairs, label_suspects, near_duplicates
from simsearch.evaluation.gallery_curve import LEAST_LABELS
from simsearch.evaluation.measured import SystemResult
from simsearch.evaluation.systems import FeatureSource, Nearest, Task, gather
from simsearch.evaluation.through_index import IndexResult

MOST_CLASSES = 200  # in report.json; details.json has all
_EACH = 8  # queries of a kind

Json = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What has been measured when the details are drawn up."""

    task: Task
    results: Mapping[str, SystemResult]
    boundary: Flags | None
    through: IndexResult
    nearest: Nearest
    name: LabelName


def collect(
    measured: Evidence,
    recipe: FeatureSource,
    baseline: FeatureSource | None,
    twins: Pairs | None,
    near: tuple[Integers, Integers] | None,
) -> tuple[Json, Json]:
    """Return (keys that join report.json, details.json).

    report.json: "per_class" (the 200 worst labels), "leaks", "norm_buckets" (without curves), "label_suspects" and how
    many there are in "label_suspects_total", "near_duplicates", "near_twins" (of `near`: positions of the queries that
    have one, and of those looked at; None: nobody looked). details.json: "neighbours", "norm_buckets", "per_class" (all
    labels), "roc": {system: [[far, tar], ...] of at most 100 points} for the systems whose pairs were verified.
    """
    task, name = measured.task, measured.name
    classes = leaked = suspects = total = buckets = None
    if task.relevant is not None:
        labels, rows, relevant = task.query_labels, measured.through.rows, task.relevant
        classes = per_class(measured.results[HEADLINE], labels, task.ks, name)
        leaked = leaks(rows, measured.through.scores, task.query_rows, labels, task.gallery_labels, relevant, name)
        suspects, total = label_suspects(rows, task.query_rows, labels, task.gallery_labels, relevant > 0, name)
        if baseline is not None:
            spaces = gather(baseline, task.query_rows), gather(recipe, task.query_rows)
            buckets = norm_buckets(*spaces, labels, task.query_rows, task.query_groups)
    report: Json = {
        "per_class": classes and classes[:MOST_CLASSES],
        "leaks": leaked,
        "norm_buckets": buckets and _without_curves(buckets),
        "label_suspects": suspects,
        "label_suspects_total": total,
        "near_duplicates": near_duplicates(measured.nearest, twins, task.query_rows, measured.results, task.ks),
        "near_twins": near_twins(near, measured.results, task.ks),
    }
    roc = {
        system: found.verification.curve for system, found in measured.results.items() if found.verification is not None
    }
    details = {"neighbours": neighbours(measured), "norm_buckets": buckets, "per_class": classes, "roc": roc}
    return report, details


def neighbours(measured: Evidence) -> list[Json]:
    """Return at most 24 queries with what the index finds: 8 "typical" and 8 "boundary" by a seeded draw, 8 "worst".

    {"kind", "row", "label", "hits": [{"row", "score", "label"}]}, labels None where there are none. The worst are those
    whose first k are all wrong, then those with any wrong one; in either the highest wrong score first, ties by query.
    A query may be of several kinds. Queries that cannot be answered are left out where there are labels.
    """
    task, through = measured.task, measured.through
    random = np.random.default_rng(0)
    everyone = np.arange(len(task.query_rows)) if task.relevant is None else np.flatnonzero(task.relevant > 0)
    chosen = {"typical": random.permutation(everyone)[:_EACH]}
    if measured.boundary is not None:
        chosen["boundary"] = random.permutation(np.flatnonzero(measured.boundary))[:_EACH]
    if task.relevant is not None:
        wrong = task.gallery_labels[through.rows] != task.query_labels[:, None]
        worst = np.where(wrong, through.scores, -np.inf).max(axis=1)
        order = np.lexsort((-worst[everyone], ~wrong[everyone].all(axis=1)))
        chosen["worst"] = everyone[order][wrong[everyone[order]].any(axis=1)][:_EACH]

    def label(row: int) -> str | None:
        return None if task.labels is None else measured.name(int(task.labels[row]))

    return [
        {
            "kind": kind,
            "row": int(task.query_rows[i]),
            "label": label(int(task.query_rows[i])),
            "hits": [
                {"row": row, "score": round(score, 6), "label": label(row)}
                for row, score in zip(through.rows[i].tolist(), through.scores[i].tolist(), strict=True)
            ],
        }
        for kind, queries in chosen.items()
        for i in queries
    ]


def _without_curves(buckets: Json) -> Json:
    return {
        space: {
            third: entry and {key: value for key, value in entry.items() if key != "curve"}
            for third, entry in thirds.items()
        }
        for space, thirds in buckets.items()
        if space != "examples"
    }


def reasons(report: Json, *, labelled: bool, baseline: bool) -> dict[str, str]:
    """Return why figures of the report that one expects are None or empty: key -> a few words."""
    words = {
        "verification": "the queries have no pair of one label, or none of two",
        "comparisons": "there is no reference, or no query that lies between two labels" if baseline else "no baseline",
        "per_class": "no labels",
        "leaks": "no labels",
        "norm_buckets": "too few labelled queries" if baseline else "no baseline",
        "label_suspects": f"fewer than {LEAST_NEIGHBOURS} neighbours were looked at",
        "false_accepts": "the val images have no pair of different labels",
        "strangers": "no val image, or no other label in the gallery",
        "gallery_curve": f"fewer than {LEAST_LABELS} labels, or than half of them, have 2 photos in the gallery",
        "first_hits_by_score": "no query has another image of its label in the gallery",
    }
    missing = [key for key in words if report[key] is None or (key == "comparisons" and not report[key])]
    return {key: words[key] if labelled else "no labels" for key in missing}
