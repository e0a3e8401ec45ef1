"""The defects stage: a score of how far a picture is from normal ones, and from where on it is called defective."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simsearch.arrays import Doubles
from simsearch.artifacts import Artifact, Workspace
from simsearch.changes.state import DELETED, rows_of
from simsearch.console import Progress
from simsearch.defects.pixels import PixelFigures
from simsearch.defects.shown import pictures
from simsearch.embedder.bundle.fingerprint import embedder_fingerprint
from simsearch.errors import VectorsError
from simsearch.images.records import ImageRecord
from simsearch.recipe.defects import AUTO, PATCH, Defects
from simsearch.stages.common import Data
from simsearch.stages.drawn import Look, draw
from simsearch.stages.masks import Masks
from simsearch.stages.normals import LEFT_OUT, MOST_NUMBERS, Parts, check_normals, parts, refuse_outliers
from simsearch.stages.step import Result, Step

VERSION = 3
NARROW = 1280  # numbers of a feature, among which near twins are looked for
LOOKED_WITHIN = 8  # parts of the groups that are fitted on, each left out in turn to find outliers among them
LOOKED_AT = 200  # normal pictures, for their size and colour
DETECTOR, TOLD, MAPS = "detector.npz", "defects.json", "maps.onnx"


@dataclass(frozen=True)
class Fitted:
    """A detector as arrays, and the scores of the images that set its threshold, and of those that try it.

    `fitted`: the scores of those that it was fitted on, each without its group, where they are to be looked at.
    """

    arrays: dict[str, NDArray[Any]]
    fitted: Doubles
    calibration: Doubles
    normal: Doubles
    defective: Doubles
    pixels: PixelFigures | None = None
    look: Look | None = None  # where places are known


def defects(data: Data, trained: Artifact, embedded: Artifact, table: Defects, *, learned: bool) -> Step:
    """Return the step that fits [defects] on the features of `embedded`; `learned`: images trained the embedder."""
    inputs = {"dataset": data.artifact.reference, "train": trained.reference, "embed": embedded.reference}
    masks = Masks.beside(data, table)
    work = partial(fit_defects, data, trained, embedded, table, masks, learned)
    settings = {**table.settings(), "learned": learned}
    return Step("defects", "Defects", VERSION, settings, inputs | masks.inputs(), work)


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
    masks: Masks,
    learned: bool,
    space: Workspace,
    progress: Progress,
) -> Result:
    """Write detector.npz, what scores features, and defects.json, what its scores mean.

    Raises RecipeError for a label that no image has, VectorsError for normal images that are too few, or all equal.
    """
    from simsearch.defects.conformal import Calibration

    records = list(data.records())
    check_normals(records, table)
    split = parts(records, table, learned=learned, deleted=rows_of(data.artifact, DELETED))
    choice = None
    if table.method == AUTO:
        from simsearch.stages.choosing import chosen

        choice = chosen(data, trained, embedded, table, split, space.scratch, progress)
        table = table.model_copy(update={"method": choice.method})
        progress.say(f"Method {choice.reason}")
    fit = partial(_patches, data, trained, masks, space) if table.method == PATCH else partial(_pooled, embedded)
    # Scores of what an embedder was trained on are no measure: one in 669 good tiles was far from the others there.
    within = table.outliers == "refuse" and not learned and split.how != LEFT_OUT
    made = fit(table, split, within and split.count(split.fit) > LOOKED_WITHIN, progress)
    if table.outliers == "refuse":
        rows = np.concatenate((split.fit[: len(made.fitted)], split.calibration, split.test))
        refuse_outliers(records, rows, np.concatenate((made.fitted, made.calibration, made.normal)))
    groups = split.groups_of(split.calibration)
    calibration = Calibration(made.calibration, groups)
    threshold = calibration.threshold(table.false_alarms)
    progress.tell("near twins")
    warnings = [*([] if split.groups is not None else _twins(embedded, split)), *masks.warnings()]
    low, high = calibration.spread(table.false_alarms)
    told: dict[str, Any] = {
        "schema": 1,
        "normal": table.normal,
        "method": table.method,
        "chosen": None if choice is None else asdict(choice),
        "false_alarms": table.false_alarms,
        "threshold": threshold,
        "false_alarms_spread": [low, high],
        "fit": {"images": len(split.fit), "groups": split.count(split.fit)},
        "calibration": {
            "how": split.how,
            "images": len(split.calibration),
            "groups": calibration.n,
            "rows": split.calibration.tolist(),
            "scores": made.calibration.tolist(),
            "of_group": None if groups is None else groups.tolist(),
        },
        "grouped": split.groups is not None,
        "looks": _looks(data, records, split),
        "test": _tried(records, split, made, threshold),
        "pixels": None if made.pixels is None else asdict(made.pixels),
        "scored": {
            "normal": {"rows": split.test.tolist(), "scores": made.normal.tolist()},
            "defective": {"rows": split.defects.tolist(), "scores": made.defective.tolist()},
        },
        "warnings": warnings,
    }
    if made.look:
        told["drawn"] = pictures(told, lambda row: records[row].label).rows()
        draw(space.out, told["drawn"], made.look, masks, threshold)
    with (space.out / DETECTOR).open("wb") as written:
        np.savez(written, allow_pickle=False, **made.arrays)
    (space.out / TOLD).write_text(json.dumps(told, indent=1, allow_nan=False))
    facts = {key: told[key] for key in ("method", "threshold", "false_alarms", "grouped")}
    facts |= {"normals": len(split.fit), "groups": calibration.n, "embedder": embedder_fingerprint(trained)}
    return facts, f"{table.method} of {len(split.fit):,} normal images, threshold by {_counted(calibration.n, split)}"


def _pooled(embedded: Artifact, table: Defects, split: Parts, within: bool, progress: Progress) -> Fitted:
    """Fit a score of features; `within`: score what it was fitted on, too."""
    from simsearch.defects.conformal import leave_one_group_out
    from simsearch.defects.pooled import POOLED
    from simsearch.evaluation.systems import gather
    from simsearch.vectors.features import FeatureFile

    kind = POOLED[table.method]
    with FeatureFile(embedded.file("features.h5")) as file:
        features, *others = (gather(file, rows) for rows in (split.fit, split.calibration, split.test, split.defects))
    if table.method == "mahalanobis" and features.shape[1] > MOST_NUMBERS:
        raise VectorsError(
            f"method mahalanobis takes features of at most {MOST_NUMBERS:,} numbers, seen {features.shape[1]:,}",
            hint="--method neighbours has no such bound; or train a head, whose features are narrow (embedder.dim)",
        )
    progress.tell(f"fitting {table.method}")
    detector = kind.fit(features)
    counted, normal, defective = (detector.scores(one) if len(one) else np.empty(0) for one in others)
    if split.how == LEFT_OUT:
        progress.tell("leaving groups out in turn")
        counted = leave_one_group_out(kind.fit, features, split.groups_of(split.fit))
    fitted = np.empty(0)
    if within:
        fitted = leave_one_group_out(kind.fit, features, split.groups_of(split.fit), most=LOOKED_WITHIN)
    return Fitted(detector.arrays(), fitted, counted, normal, defective)


def _patches(
    data: Data,
    trained: Artifact,
    masks: Masks,
    space: Workspace,
    table: Defects,
    split: Parts,
    within: bool,
    progress: Progress,
) -> Fitted:
    """Fit a bank of patches, and write the network that makes the maps of pictures; `within` as `_pooled`."""
    from simsearch.defects.conformal import numbered
    from simsearch.stages.patches import PatchMaps, bank_of, mapper_of, network_below
    from simsearch.stages.places import look, look_at

    model = network_below(trained, table.patch.strides)
    (space.out / MAPS).write_bytes(model)
    maps = PatchMaps(data, mapper_of(model, trained, table.patch), space.scratch, progress)
    groups = split.groups_of(split.fit)
    bank = replace(bank_of(maps, split.fit, groups, table.patch), before=maps.mapper.before())
    owners = numbered(groups, len(split.fit))
    left_out = owners if split.how == LEFT_OUT else None
    fitted = np.empty(0)
    if within:
        fitted = bank.scores(maps.of(split.fit, "each normal one by the others"), owners)
    counted = bank.scores(maps.of(split.calibration, "what sets the threshold"), left_out)
    normal, defective, pixels = look_at(bank, maps, split.test, split.defects, masks)
    numbers = {} if left_out is None else dict(zip(split.fit.tolist(), left_out.tolist(), strict=True))
    return Fitted(bank.arrays(), fitted, counted, normal, defective, pixels, partial(look, bank, maps, numbers))


def _twins(embedded: Artifact, split: Parts) -> list[str]:
    """Return what is to be said of pictures that no group keeps together, and that are shots of one thing."""
    from simsearch.defects.splitting import near_twins, split_by_group
    from simsearch.evaluation.systems import gather
    from simsearch.vectors.features import FeatureFile

    known, asked = split.fit, np.concatenate((split.calibration, split.test))
    if split.how == LEFT_OUT:
        drawn = split_by_group(None, len(split.fit))
        known, asked = split.fit[drawn.fit], split.fit[drawn.calibration]
    with FeatureFile(embedded.file("features.h5")) as file:
        features = gather(file, np.concatenate((known, asked)))
    if features.shape[1] > NARROW:  # distances nearly stay (Johnson and Lindenstrauss 1984)
        way = np.random.default_rng(0).normal(size=(features.shape[1], NARROW)).astype(np.float32)
        features = features @ way
    numbers = np.arange(len(features))
    found = near_twins(features, numbers[: len(known)], numbers[len(known) :])
    if not found.optimistic:
        return []
    return [
        f"warning: optimistic: {len(found.rows):,} of {found.looked:,} normal images that were looked at have a near "
        "twin among the others, as another shot of the same thing; pictures of new things will be called defective "
        "more often: --set dataset.group=... keeps shots of one thing together"
    ]


def _looks(data: Data, records: Sequence[ImageRecord], split: Parts) -> dict[str, Any]:
    """Return what normal pictures look like, of a few that are evenly spread."""
    from simsearch.defects.looks import Looks

    some = split.fit[np.unique(np.linspace(0, len(split.fit) - 1, min(len(split.fit), LOOKED_AT)).astype(np.int64))]
    few = (records[row] for row in some.tolist())
    return Looks.of(data.reader.array(one.image, None, one.sha256) for one in few).to_json()


def _tried(records: Sequence[ImageRecord], split: Parts, made: Fitted, threshold: float) -> dict[str, Any]:
    """Return how well images that had no part in it are told apart: image AUROC, over all and by label."""
    from simsearch.defects.figures import flagged, image_figures

    found: dict[str, Any] = {"normal": len(made.normal), "defective": len(made.defective)}
    for key, scores, rows in (("false_alarms", made.normal, split.test), ("found", made.defective, split.defects)):
        found[key] = asdict(flagged(scores >= threshold, split.groups_of(rows))) if len(scores) else None
    if not len(made.normal) or not len(made.defective):
        return found
    labels = sorted({records[row].label for row in split.defects.tolist()})
    number = {label: kind for kind, label in enumerate(labels)}
    kinds = [-1] * len(made.normal) + [number[records[row].label] for row in split.defects.tolist()]
    rows = np.concatenate((split.test, split.defects))
    scores = np.concatenate((made.normal, made.defective))
    figures = image_figures(scores, np.array(kinds), split.groups_of(rows))
    called, of = made.defective >= threshold, np.array(kinds[len(made.normal) :])
    of_kind = {kind: flagged(called[of == kind], split.groups_of(split.defects[of == kind])) for kind in figures.kinds}
    by_label = {labels[kind]: {**asdict(area), "found": asdict(of_kind[kind])} for kind, area in figures.kinds.items()}
    found |= {**asdict(figures.overall), "groups": figures.groups, "kinds": by_label}
    # Kinds of which training, or the choice of the method, had some, and those of which it had none.
    at_hand = {records[row].label for row in split.at_hand.tolist()}
    unseen = np.array([kind if kind < 0 else int(labels[kind] not in at_hand) for kind in kinds])
    areas = image_figures(scores, unseen, split.groups_of(rows)).kinds
    if len(areas) == 2:
        for key, kind in (("seen", 0), ("unseen", 1)):
            named = [label for label in labels if (label not in at_hand) == kind]
            found[key] = {"kinds": named, **asdict(areas[kind])}
    return found


def _counted(count: int, split: Parts) -> str:
    what = "images" if split.groups is None else "groups"
    return f"{count:,} {what}" + (", each left out in turn" if split.how == LEFT_OUT else "")
