"""The defects stage: a score of how far a picture is from normal ones, and from where on it is called defective."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np

from simsearch.arrays import Doubles
from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.embedder.bundle.fingerprint import embedder_fingerprint
from simsearch.recipe.defects import Defects
from simsearch.stages.common import Data
from simsearch.stages.normals import LEFT_OUT, check_normals, parts
from simsearch.stages.step import Result, Step

VERSION = 1
DETECTOR, TOLD = "detector.npz", "defects.json"


def defects(data: Data, trained: Artifact, embedded: Artifact, table: Defects, *, learned: bool) -> Step:
    """Return the step that fits [defects] on the features of `embedded`; `learned`: images trained the embedder."""
    inputs = {"dataset": data.artifact.reference, "train": trained.reference, "embed": embedded.reference}
    work = partial(fit_defects, data, trained, embedded, table, learned)
    return Step("defects", "Defects", VERSION, {**table.model_dump(), "learned": learned}, inputs, work)


def refuse_normals(data: Data, table: Defects, *, learned: bool) -> None:
    """Raise what fitting would, of labels and numbers of images: before anything is trained or embedded."""
    from simsearch.defects.conformal import Calibration

    records = list(data.records())
    check_normals(records, table)
    split = parts(records, table, learned=learned)
    scores = np.zeros(len(split.calibration))
    Calibration(scores, split.groups_of(split.calibration)).threshold(table.false_alarms)


def fit_defects(
    data: Data,
    trained: Artifact,
    embedded: Artifact,
    table: Defects,
    learned: bool,
    space: Workspace,
    progress: Progress,
) -> Result:
    """Write detector.npz, what scores features, and defects.json, what its scores mean.

    Raises RecipeError for a label that no image has, VectorsError for normal images that are too few, or all equal.
    """
    from simsearch.defects.conformal import Calibration, leave_one_group_out
    from simsearch.defects.pooled import POOLED
    from simsearch.evaluation.systems import gather
    from simsearch.vectors.features import FeatureFile

    records = list(data.records())
    check_normals(records, table)
    split = parts(records, table, learned=learned)
    kind = POOLED[table.method]
    with FeatureFile(embedded.file("features.h5")) as file:
        features = gather(file, split.fit)
        progress.tell(f"fitting {table.method}")
        detector = kind.fit(features)
        groups = split.groups_of(split.calibration)
        if split.how == LEFT_OUT:
            progress.tell("leaving groups out in turn")
            scores = leave_one_group_out(kind.fit, features, groups)
        else:
            scores = detector.scores(gather(file, split.calibration))
        calibration = Calibration(scores, groups)
        threshold = calibration.threshold(table.false_alarms)
        tried, found = (
            detector.scores(gather(file, rows)) if len(rows) else np.empty(0) for rows in (split.test, split.defects)
        )
    low, high = calibration.spread(table.false_alarms)
    told: dict[str, Any] = {
        "schema": 1,
        "normal": table.normal,
        "method": table.method,
        "false_alarms": table.false_alarms,
        "threshold": threshold,
        "false_alarms_spread": [low, high],
        "fit": {"images": len(split.fit), "groups": split.count(split.fit)},
        "calibration": {
            "how": split.how,
            "images": len(split.calibration),
            "groups": calibration.n,
            "scores": scores.tolist(),
            "of_group": None if groups is None else groups.tolist(),
        },
        "grouped": split.groups is not None,
        "test": {
            "normal": len(tried),
            "defective": len(found),
            "false_alarms": _share(tried, threshold),
            "found": _share(found, threshold),
        },
        "warnings": [],
    }
    with (space.out / DETECTOR).open("wb") as written:
        np.savez(written, allow_pickle=False, **detector.arrays())
    (space.out / TOLD).write_text(json.dumps(told, indent=1, allow_nan=False))
    facts = {key: told[key] for key in ("method", "threshold", "false_alarms", "grouped")}
    facts |= {"normals": len(split.fit), "groups": calibration.n, "embedder": embedder_fingerprint(trained)}
    return facts, f"{table.method} of {len(split.fit):,} normal images, threshold by {_counted(calibration.n, split)}"


def _share(scores: Doubles, threshold: float) -> float | None:
    """Return which share of some scores is called defective."""
    return float((scores >= threshold).mean()) if len(scores) else None


def _counted(count: int, split: Any) -> str:
    what = "images" if split.groups is None else "groups"
    return f"{count:,} {what}" + (", each left out in turn" if split.how == LEFT_OUT else "")
